"""Scenarios: a bank and its customers in one JSON file, executed and judged.

model        what a scenario consists of
json_text    JSON files and their errors
parse        the input, in every known spelling
branches     the processes of a scenario's bank
execute      the customers, as sessions, all at the same time
output       the results, written whole or not at all
checker      whether an output can be right: PASS, FAIL or UNKNOWN
history, search, chain, witness    the checker's steps: what was seen, all together, each alone, in words
"""
