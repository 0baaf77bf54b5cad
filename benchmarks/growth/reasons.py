"""Why each curve has its slope: the only sentences on docs/growth.md that no figure makes.

Decides nothing. They come from profiles; whoever changes what they speak of takes new ones.
"""

_PROFILED = (
    "(py-spy 0.4.3, 100 or 200 samples a second, some with other work on the machine: shares, no times.)"
)

BRANCHES = (
    "Every branch applies what every other one decides, and all of them share two processors here. Of a "
    "branch of five with a caller each, 50% of the time goes into applying the entries of the others, 9% "
    "into decoding them, 24% into commits, and 4% into what its own customers ask for: so the work for a "
    "transfer grows with the number of branches, and on two processors the transfers a second fall with "
    "it. Where each branch has a machine of its own, what falls is only what it has left for its own "
    "customers. A single transfer of one caller waits for its own branch alone, but here that waits for "
    "the others to do their work on the same processors: a step and a sync at each of the n. "
    "Acknowledgements are n² messages, from each to each, and wait 20 ms for each other, so that a caller "
    "who transfers again and again pays for them only now and then. Idle branches ask each other for "
    "their heads once a second, n² questions; from ten on each asks less often "
    "(`BRANCHES_AT_FULL_PULSE`), so it is n from there. Memory hardly grows: a stream to each other "
    "branch. (py-spy 0.4.3, 200 samples a second of those who hold the interpreter's lock, on a machine "
    "that did nothing else: shares, no times.)"
)

ACCOUNTS = (
    "One transfer in a request costs the same whatever the number of accounts: its way in and out is most "
    "of it. In bulk, of a thousand accounts each has several movements in every batch, which are summed "
    "up before anything is done about them, and hundreds between two checkpoints, which are two or three "
    "rows of its statement. Of 10,000, 1,000 transfers touch nearly 2,000 different ones; from 65,536 on, "
    "more than two generations of rows in memory, an account is seldom there when it is asked for. With a "
    "million, 20% of the branch's time goes into reading accounts that are not in memory and 38% into "
    "writing tables, against nothing and 9% with 10,000. That is where it ends: a transfer reads two rows "
    "and writes two of `account`, each on a page of its own, however many more accounts there are. Memory "
    "is bounded by the number of rows that are remembered (two generations of 32,768, and what is being "
    "written), by how long it may take to apply again what is newer than the tables, and by SQLite's cache "
    "of 32 MB; it rises until these are full, and no further. A start after a kill applies again what "
    "takes as long as 262,144 plain movements of large batches, or half as much again, in which each "
    "account to be read counts as three. " + _PROFILED
)

HISTORY = (
    "Nothing looks at what is old. A commit appends to the log, whose last page is always the same one, "
    "and to the keys, which begin with when they were made (with keys drawn altogether at random, as they "
    "were before, each transfer wrote a page of its own of a tree that grew: at two million entries 10% "
    "more of a processor and 30 MB more of SQLite's cache). Postings are appended as well, those of many "
    "accounts side by side, and the index that says where an account's are begins with the segment, of which "
    "each has 262,144 rows: a checkpoint writes into the last one's part, which has some 10 MB, whatever was "
    "there before. (When the index had each account's rows side by side, ten million entries were a page of "
    "it for each account and checkpoint, and bulk 0.77 to 0.8 times as fast as with a hundred thousand: "
    "docs/decisions/0021-an-index-for-each-segment.md.) In profiles of the branch, writing the tables is 10% "
    "of its time and inserting into statements 3% of it, with ten million entries as with a hundred "
    "thousand. What rises is how many segments a look at an old moment goes through, here 16 with ten "
    "million. A start reads the two ends of each log and nothing in between; after a kill it applies "
    "again what the tables lack, which does not depend on the history. Nothing in memory "
    "is of the history. " + _PROFILED
)

HELD = (
    "Who waits stands in a heap for the log it waits for, by the entry that it lacks: an entry that "
    "arrives wakes those who wait for it or an earlier one, and looks at nobody else; and so does the "
    "clock, by deadlines. A heartbeat looks at who began to wait since the last one, once. So a hold ends "
    "as soon among many as alone. What it takes alone is for the most part how long a machine takes that "
    "rests in between: of ten a second a bare gRPC call took 2.0 ms in the median, where one right after the "
    "other took 0.6 (`python tools/measure_time.py`), and a sync alone 1.15 instead of 0.16. A hold's end is "
    "a sync, a step, and a message. Answers to who is freed at once go back together, on the stream of each "
    "client: as calls to gRPC by themselves they took 54 to 66 µs each, nearly all of it gRPC's. The "
    "memory: of some 7 kB for a call that waits the core has 2.6, and the rest is its message, "
    "its task and its place on the stream. As a call by itself it was 24, of which 22 is what a call takes "
    "at a server on grpc.aio that does nothing but let it wait; other clients may make such calls still. "
    "Each of those is 60 objects to Python's search for garbage in cycles: to look through 86,000 calls "
    "takes a branch two seconds, in which it serves nobody, so it looks through everything only once in "
    "ten million objects. " + _PROFILED
)
