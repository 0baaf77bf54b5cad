"""What one branch is told when it starts, and what follows from it."""

import pytest

from bankbook.core.ports import Genesis
from bankbook.core.replica import Settings
from bankbook.core.types import AccountId, BranchId, CustomerId
from bankbook.server.config import (
    NO_DELAY,
    ORIGINAL_PORT_BASE,
    AccountMode,
    BranchConfig,
    Delay,
    account_of,
)

GENESIS = Genesis("bank-of-tests", (BranchId(1), BranchId(2), BranchId(3)))
SECOND = 1_000_000


def test_a_branch_that_is_told_nothing_listens_on_a_free_port_of_this_machine_only() -> None:
    config = BranchConfig(BranchId(1), GENESIS)
    assert config.listen == "127.0.0.1:0"
    assert config.data is None
    assert config.token_key is None
    assert config.delay_from(BranchId(2)) == NO_DELAY


def test_branch_1_of_the_original_system_is_at_port_50051() -> None:
    assert ORIGINAL_PORT_BASE + 1 == 50051


def test_a_link_with_a_delay_of_its_own_does_not_take_the_common_one() -> None:
    slow, common = Delay(SECOND, 2 * SECOND), Delay(5, 5)
    config = BranchConfig(BranchId(1), GENESIS, delay=common, delays={BranchId(3): slow})
    assert config.delay_from(BranchId(2)) == common
    assert config.delay_from(BranchId(3)) == slow


@pytest.mark.parametrize(
    ("common_us", "single_us"), [(0, 0), (20 * SECOND, 0), (0, 20 * SECOND), (20 * SECOND, SECOND)]
)
def test_what_is_on_its_way_over_the_slowest_link_is_not_asked_for_again(
    common_us: int, single_us: int
) -> None:
    config = BranchConfig(
        BranchId(1), GENESIS, delay=Delay(0, common_us), delays={BranchId(2): Delay(0, single_us)}
    )
    assert config.settings().resend_us == Settings().resend_us + max(common_us, single_us)


def test_in_a_bank_of_fifty_no_branch_asks_more_questions_a_second_than_in_one_of_ten() -> None:
    ten, fifty = (
        BranchConfig(BranchId(1), Genesis("bank", tuple(BranchId(n + 1) for n in range(count)))).settings()
        for count in (10, 50)
    )
    assert ten.heartbeat_us == Settings().heartbeat_us
    assert fifty.heartbeat_us == 5 * ten.heartbeat_us
    assert fifty.silence_us == 5 * ten.silence_us


def test_no_request_is_held_longer_than_the_branch_was_told() -> None:
    assert BranchConfig(BranchId(1), GENESIS, hold_limit_us=7).settings().hold_limit_us == 7


@pytest.mark.parametrize(
    ("delay", "text"),
    [
        (Delay(2 * SECOND, 2 * SECOND), "2s"),
        (Delay(SECOND // 2, 2 * SECOND), "0.5s..2s"),
        (NO_DELAY, "0s"),
    ],
)
def test_a_delay_is_told_in_seconds(delay: Delay, text: str) -> None:
    assert str(delay) == text


def test_customers_have_accounts_of_their_own_or_all_the_same() -> None:
    customers = [CustomerId("1"), CustomerId("2")]
    assert [account_of(AccountMode.OWN, each) for each in customers] == [AccountId("1"), AccountId("2")]
    assert len({account_of(AccountMode.SHARED, each) for each in customers}) == 1
