"""The replica itself: the standard library only, and orjson for the text of entries.

The core knows no asyncio, gRPC, SQL, clock, randomness or threads; what it needs of them comes in
as arguments. Reading order:

    types        ids, money and their bounds
    vector       version vectors
    clock        the reading of a branch's clocks, and the hybrid logical clock
    entry        the immutable decision in a branch's log
    guarantees   the four session guarantees, as one table
    token        the session token: the customer's bankbook
    outcome      every way a request can end, and what each means for the money
    commands     what customers ask, and what they are answered
    messages     what branches say to each other
    ports        what the core asks of a store
    ledger       the decision: one straight ladder for each command
    holds        requests that wait for entries
    peers        the other branches, as far as this one knows them
    freshness    BOUNDED and LATEST: questions to the other branches
    admission    who is refused at sight, and why a hold was given up
    replication  logs on their way in and out
    replica      all of it as one machine: effects = replica.step(inputs, now)
"""
