"""The load generator: what `bankbook bench` does to a bank, and what it measures meanwhile.

settings    what a bench is asked to do, and what is wrong with what was asked
schedule    when each request is due
accounts    which accounts are chosen, how often
workload    which requests a customer makes
histogram   latencies, counted with a fixed relative error
tally       what was measured by one client, and by all of them
callers     the loop: wait until a request is due, make it, note how long that took
client      one process of callers
clients     all of these processes, from the one that started them
bank        the bank that is measured: one of its own, or one that runs
prepare     accounts at a bank that has none
branches    what the branches say of themselves
lag         how long an acknowledged write takes to the other branches
machine     processors, memory and disk, as the system tells them
run         all of it, from the bank's start to the figures
report      the figures, for programs
plot        the figures, as a picture
"""
