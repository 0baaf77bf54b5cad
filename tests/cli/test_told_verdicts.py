"""What a person is told of many customers that were too hard to decide."""

import pytest
from rich.console import Console

from bankbook.cli.report import tell_verdict
from bankbook.core.types import CustomerId
from bankbook.scenario.checker import Kind, Undecided, Verdict


@pytest.mark.parametrize(
    ("customers", "words"),
    [
        (["3"], "customer 3: too hard"),
        ([str(number) for number in range(1, 41)], "customers 1 to 40: too hard"),
        (["1", "2", "alice", "9"], "customers 1 to 2, alice, 9: too hard"),
        ([str(number) for number in range(0, 200, 2)], "customers 0, 2, 4, 6, 8 and 95 more: too hard"),
    ],
)
def test_customers_with_the_same_reason_share_a_line(customers: list[str], words: str) -> None:
    undecided = tuple(Undecided(CustomerId(customer), "too hard") for customer in customers)
    out = Console(width=120)
    with out.capture() as told:
        tell_verdict(Verdict(Kind.UNKNOWN, "Too hard.", undecided=undecided), out)
    assert [line.strip() for line in told.get().splitlines()][1:] == [words]
