"""How Bankbook's costs grow: `make growth`, which writes docs/growth.md.

curves    the four curves, their sizes, figures, targets, and the reason for each slope
branches  one to twenty branches
stores    a thousand to a million accounts, ten thousand to ten million entries: one branch, a prepared store
held      one to a hundred thousand held requests
prepare   stores with a past, made in minutes
banks     banks over prepared stores: started, loaded, killed
lab       where a curve is measured, and two banks in turns
figures   what came of a run
page      docs/growth.md, from these figures alone
plots     its pictures
cli       `python -m benchmarks.growth`
"""
