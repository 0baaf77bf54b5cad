"""Where a branch keeps its state.

`memory` serves tests, scenarios in a hurry and the simulator, `sqlite` everything that must survive.
`base` says what every store does; one contract suite, tests/store/test_contract.py, holds them to it.
"""
