"""Which requests customers make."""

from collections import Counter
from itertools import islice

import pytest

from bankbook.bench.settings import Load, Skew, Workload
from bankbook.bench.workload import Customer, Request
from bankbook.core.commands import Deposit, ReadBalance, Transfer

BRANCHES = (1, 2, 3)
DRAWS = 10_000


def requests_of(load: Load, number: int = 0, count: int = DRAWS) -> list[Request]:
    customer = Customer(load, BRANCHES, number)
    return list(islice(iter(customer.next, None), count))


@pytest.mark.parametrize("skew", Skew)
@pytest.mark.parametrize("workload", Workload)
def test_the_same_seed_and_number_ask_the_same(workload: Workload, skew: Skew) -> None:
    load = Load(workload=workload, skew=skew, seed=3)
    assert requests_of(load, count=100) == requests_of(load, count=100)
    assert requests_of(load, count=100) != requests_of(load, number=3, count=100)
    assert requests_of(load, count=100) != requests_of(Load(workload=workload, skew=skew), count=100)


@pytest.mark.parametrize(("workload", "kind"), [("deposits", Deposit), ("transfers", Transfer)])
def test_a_request_has_as_many_operations_as_were_asked_for(workload: str, kind: type) -> None:
    for request in requests_of(Load(workload=Workload(workload), bulk=50), count=10):
        assert len(request.operations) == 50
        assert {type(each) for each in request.operations} == {kind}


def test_mixed_reads_four_balances_for_each_transfer() -> None:
    kinds = Counter(type(request.operations[0]) for request in requests_of(Load(workload=Workload.MIXED)))
    assert set(kinds) == {ReadBalance, Transfer}
    assert kinds[ReadBalance] == pytest.approx(0.8 * DRAWS, rel=0.03)


def test_most_requests_are_made_at_the_usual_branch_and_the_rest_at_any_other() -> None:
    visited = Counter(request.branch for request in requests_of(Load(remote=0.15), number=1))
    assert visited[2] == pytest.approx(0.85 * DRAWS, rel=0.03)
    assert visited[1] == pytest.approx(visited[3], rel=0.2)


def test_customers_are_spread_over_the_branches() -> None:
    usual = [requests_of(Load(remote=0.0), number, count=5) for number in range(6)]
    assert [{request.branch for request in requests} for requests in usual] == [{1}, {2}, {3}, {1}, {2}, {3}]


def test_at_a_bank_of_one_branch_there_is_nowhere_else_to_go() -> None:
    customer = Customer(Load(remote=1.0), (7,), 0)
    assert {customer.next().branch for _ in range(100)} == {7}
