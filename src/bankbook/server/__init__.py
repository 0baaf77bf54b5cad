"""One branch as a process, and the launcher of many.

config        what one branch is told when it starts
logs          structured logs: readable on a terminal, JSON lines otherwise
driver        the short and dull loop around the core: gather, step, commit, release
group_commit  how long a step waits for company
streams       the streams to and from the other branches
customers     the Bank service of bankbook.v1; multiplexing: its streams of calls
original      the Bank service of the original protocol
admin         the Admin service
branch        all of it as one process, from its start to its end
tasks         several things at once, of which the first to end ends the others
signals       which signals tell a process to stop
launcher      many branches, each a process that never outlives the launcher
"""
