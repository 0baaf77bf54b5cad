"""Rights move ahead of need, so a branch that is cut off goes on serving its usual withdrawals."""

import pytest
from core.cut_off import cut_off_for_a_minute


@pytest.mark.parametrize("seed", range(2))
def test_branches_cut_off_for_a_minute_accept_what_rights_placed_with_hindsight_could_cover(
    seed: int,
) -> None:
    minute = cut_off_for_a_minute(seed, 2.0, accounts=3, before=150)
    assert minute.accepted >= 0.99 * minute.coverable, minute
    assert minute.coverable == minute.asked
    assert minute.lowest >= 0


def test_branches_cut_off_with_too_little_money_refuse_some_and_never_overdraw() -> None:
    minute = cut_off_for_a_minute(7, 0.5, accounts=3, before=60)
    assert minute.accepted < minute.coverable < minute.asked
    assert minute.lowest >= 0
