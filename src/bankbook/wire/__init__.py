"""Protocol buffers, and the only translation between their messages and the core's types.

v1/, original/   the protocols, and the code generated from them
requests         what customers ask and are answered
peers            what branches say to each other
status           outcomes as gRPC statuses, and back
"""
