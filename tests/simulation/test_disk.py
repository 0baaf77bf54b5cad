"""What a simulated disk leaves of a commit."""

import pytest

from bankbook.core.clock import HybridTime
from bankbook.core.encoding import make_entry
from bankbook.core.entry import Record, RecordKind
from bankbook.core.ports import Changes, Genesis, Identity
from bankbook.core.types import BranchId, Incarnation, Money, Origin, Seq
from bankbook.core.vector import NOTHING
from bankbook.scenario.faults import CommitFault
from bankbook.simulation.disk import SimulatedDisk
from bankbook.store.base import CommitRefusedError, CommitUnknownError

ONE = Origin(BranchId(1), Incarnation(7))


def changes() -> Changes:
    entry = make_entry(
        origin=ONE,
        seq=Seq(1),
        clock=HybridTime(1),
        dependencies=NOTHING,
        records=(Record(RecordKind.REJOINING),),
    )
    return Changes([entry], clock=HybridTime(1))


def disk() -> SimulatedDisk:
    return SimulatedDisk(Identity(ONE, Genesis("test", (BranchId(1),), Money(0))))


def test_a_commit_is_there_once_it_is_synced_and_the_judges_hear_of_it() -> None:
    there, heard = disk(), list[Changes]()
    there.committed = heard.append  # type: ignore[method-assign, assignment]
    made = changes()
    there.write(made)
    assert (there.applied()[ONE], heard) == (0, [])
    there.sync()
    assert (there.applied()[ONE], heard) == (1, [made])


@pytest.mark.parametrize(
    ("fault", "error", "kept"),
    [
        (CommitFault.REFUSED, CommitRefusedError, 0),
        (CommitFault.DOUBTFUL_LOST, CommitUnknownError, 0),
        (CommitFault.DOUBTFUL_KEPT, CommitUnknownError, 1),
    ],
)
def test_a_commit_fails_once_in_each_way(fault: CommitFault, error: type[Exception], kept: int) -> None:
    there = disk()
    there.fault = fault
    with pytest.raises(error):
        there.commit(changes())
    assert there.applied()[ONE] == kept
    if not kept:
        there.commit(changes())
        assert there.applied()[ONE] == 1


def test_a_full_disk_refuses_until_there_is_room() -> None:
    there = disk()
    there.is_full = True
    for _ in range(2):
        with pytest.raises(CommitRefusedError, match="make room"):
            there.commit(changes())
    there.is_full = False
    there.commit(changes())
    assert there.applied()[ONE] == 1


@pytest.mark.parametrize("keeps", [True, False])
def test_what_was_not_synced_survives_a_crash_whole_or_not_at_all(keeps: bool) -> None:
    there = disk()
    there.write(changes())
    there.crash(keeps_unsynced=keeps)
    assert there.applied()[ONE] == int(keeps)
    there.crash(keeps_unsynced=True)
    assert there.applied()[ONE] == int(keeps)
