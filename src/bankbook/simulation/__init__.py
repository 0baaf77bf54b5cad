"""Evidence: a whole bank under simulated faults, in one thread, from one seed.

clock        virtual time: an event loop that jumps to the next timer
disk         a branch's store on a disk that can fail
network      streams, partitions, delays
streams      a branch's streams over it
branch       the real driver, handler and core, on a machine that crashes
calls        what stands in the place of gRPC between the real client and the real handler
world        one bank of all these
faults       what goes wrong
workload     what customers ask
operations   what was asked and told
pasts        what a session has written and seen
commits      what must be true of every disk
checks       what must be true of every answer
trace        what happened, in order
aftermath    the end: nothing goes wrong any more, and all comes to rest
report       what came of it
run          one simulation from its seed to its report
"""
