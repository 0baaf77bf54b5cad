"""Protocol buffers, and the only translation between their messages and the core's types.

v1/, original/   the protocols, and the code generated from them
requests         what customers ask and are answered
peers            what branches say to each other
copies           what a new store is given by one of them
multiplexing     requests and answers on a stream of them
status           outcomes as gRPC statuses, and back
"""
