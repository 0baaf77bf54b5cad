"""The example scenario answered with nothing but zeros, which the original checker gave full marks."""

from pathlib import Path

from checkers.histories import Story, deposit, read, withdraw

from bankbook.checkers import Kind
from bankbook.core.types import Money
from bankbook.scenario.model import Interface
from bankbook.scenario.parse import read_scenario

INPUT = Path(__file__).resolve().parents[2] / "examples" / "input_big.json"


def test_all_zero_output_is_refused_by_what_it_lacks() -> None:
    story = Story(branches=50, floor=None)
    scenario = read_scenario(INPUT, opening_balance=Money(0))
    for customer in scenario.customers:
        for event in customer.events:
            assert event.branch is not None, "the example names one each time"
            if event.interface is Interface.QUERY:
                story.ask(customer.id, event.branch, read(), 0)
            else:
                assert event.money is not None, "the example has queries, deposits and withdrawals"
                command = deposit if event.interface is Interface.DEPOSIT else withdraw
                story.ask(customer.id, event.branch, command(event.money))
    verdict = story.verdict("read your writes")
    assert verdict.kind is Kind.FAIL
    assert verdict.witness is not None
    first, second = verdict.witness.operations
    assert (first, second) == (2, 3)  # the first deposit, and the query after it
    assert verdict.broken > 10
