"""What cannot be asked of a bench, and what is said of it."""

import pytest

from bankbook.bench.settings import Load, SettingsError, Workload, check


@pytest.mark.parametrize(
    ("load", "branches", "told"),
    [
        (Load(bulk=0), 1, "--bulk: a request carries 1 to 8192 operations, not 0"),
        (Load(bulk=8193), 1, "--bulk: a request carries 1 to 8192 operations, not 8193"),
        (Load(bulk=2, workload=Workload.MIXED), 1, "a batch has writes only"),
        (Load(bulk=100, clients=2, operations=150), 1, "at least 200 operations, not 150"),
        (Load(durable=1), 1, "the bank has one branch, and no other one's disk; --branches gives it more"),
        (Load(durable=3), 3, "the bank has 3 branches, so 2 other disks at the most"),
        (Load(accounts=1), 1, "--accounts: a transfer needs two accounts"),
        (Load(duration_s=0), 1, "--duration: nothing can be measured in no time"),
        (
            Load(callers=7, sessions=4, clients=2),
            3,
            "4 sessions need at least 8 callers, not 7",
        ),
        (
            Load(callers=1, clients=2),
            1,
            "1 callers cannot be shared by 2 processes; give --callers 2 or more",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_why(load: Load, branches: int, told: str) -> None:
    with pytest.raises(SettingsError, match=told.replace("(", r"\(")):
        check(load, branches)


@pytest.mark.parametrize(
    ("load", "branches"),
    [
        (Load(), 1),
        (Load(bulk=8192), 3),
        (Load(durable=2), 3),
        (Load(accounts=1, workload=Workload.DEPOSITS), 1),
        (Load(operations=1, duration_s=0), 1),
    ],
)
def test_what_is_just_possible_is_not(load: Load, branches: int) -> None:
    check(load, branches)
