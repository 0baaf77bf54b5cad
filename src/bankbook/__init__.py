"""Bankbook: a distributed account store in which every customer reads their own writes.

The packages, from the top down; each imports only from those below it:

    cli        the commands a person types
    bench      the load generator: what it does to a bank, and what it measures
    scenario   JSON scenarios: parse, run, report, check
    client     the customer's side: Bank, Session, their synchronous twins
    server     one branch as a process, and the launcher of many
    wire       protocol buffers, and the only translation between messages and the core's types
    store      where a branch keeps its state: memory, SQLite
    core       the replica itself: a pure, deterministic state machine
"""
