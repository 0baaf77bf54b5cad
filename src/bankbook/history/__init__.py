"""Recorded histories: what customers asked and were told, and the file that it is kept in.

record     what a history is made of
file       JSON lines, as docs/history.md describes them
commands   a command as JSON
fields     the parts of a JSON object, or an error that says which is wrong

Knows no bank: any system whose customers are recorded so can be judged, by bankbook.checkers.
"""
