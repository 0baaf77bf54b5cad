"""Why each curve has its slope: the only sentences on docs/growth.md that no figure makes.

Decides nothing. They come from profiles; whoever changes what they speak of takes new ones.
"""

BRANCHES = (
    "Every branch decodes and applies what every other one decides, so with n branches each transfer costs "
    "the deciding branch once and each of the others the price of applying it; all of them share the "
    "machine's processors here, and have some of their own elsewhere. Idle branches ask each other for "
    "their heads once a second, which grows with the square of their number; from ten branches on each "
    "asks less often (`BRANCHES_AT_FULL_PULSE`), so it grows with their number from there."
)

ACCOUNTS = (
    "A thousand accounts are in memory and are written into the tables once for many postings. The more "
    "accounts, the fewer postings each has between two checkpoints, and from some 65,000 on the less often "
    "it is among those that are in memory: with a million, each transfer reads two rows from the file, and "
    "writes two of `account` and two of `statement` for itself alone. The caches are bounded by numbers of "
    "rows, so memory rises until they are full, and no further."
)

HISTORY = (
    "A commit appends to the log, whose last page is always the same one; nothing looks at old entries. "
    "Keys and statements are trees in another order than time, which grow by a level at a million and at a "
    "hundred million rows. A start reads the ends of each log and not what is in between; after a kill it "
    "replays what the tables lack, which is bounded however long the history is."
)

HELD = (
    "Who waits stands in a heap for the log that it waits for, by the entry that it lacks: an entry that "
    "arrives wakes those that wait for it, and looks at nobody else. Being freed costs a step of the core "
    "and an answer each."
)
