"""Bank and Session: what a session knows, and what may be concluded where no answer came."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import cast

import grpc
import grpc.aio
import pytest
from branches_in_one_loop import FOREVER_S, BankInOneLoop, open_bank
from client.fake_branch import Context, FakeBranch, abort_with, fake_branch, hang

from bankbook.client import (
    LATEST,
    LOCAL,
    AccountExistsError,
    Bank,
    BankbookError,
    BranchUnreachableError,
    Guarantee,
    InsufficientFundsError,
    InvalidRequestError,
    InvalidTokenError,
    OutcomeUnknownError,
    Receipt,
    RefusedError,
    RetryableError,
    Session,
    SessionToken,
    UnknownAccountError,
    bounded,
    retries,
    sending,
)
from bankbook.client.attempts import Channels, Line
from bankbook.client.calls import TIMEOUT_S_MAX
from bankbook.wire.commands import AnyRequest
from bankbook.wire.v1 import bank_pb2

# What a session can do, as its customer writes it.
WRITES: list[Callable[[Session], Coroutine[object, object, Receipt]]] = [
    lambda session: session.deposit(5),
    lambda session: session.withdraw(5),
    lambda session: session.transfer("bert", 5),
    lambda session: session.open_account(),
    lambda session: session.submit({"anna": -5, "bert": 5}),
    lambda session: session.reserve(5),
    lambda session: session.capture("1.0badcafe-17-0"),
    lambda session: session.release("1.0badcafe-17-0"),
]

# Codes of which nobody can say that the branch did nothing before they were told.
NO_ANSWER = [
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN,
]
REFUSED = [
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED,
]


async def is_held_until_joined(bank: BankInOneLoop, session: Session, branch: int, *publishers: int) -> int:
    """Return the balance that a query tells, which has to wait until the branch has joined others."""
    query = asyncio.ensure_future(session.balance(branch=branch))
    for publisher in publishers:
        await bank.until_held(branch, 1)
        await bank.join(branch, publisher)
    return (await query).balance


# What a session knows.


async def test_a_session_reads_its_own_writes_at_whichever_branch_it_walks_into() -> None:
    async with open_bank(2, joined=False) as bank:
        session = bank.client().session("anna")
        await session.deposit(400, branch=1)
        assert await is_held_until_joined(bank, session, 2, 1) == 400


async def test_a_session_that_goes_on_elsewhere_with_its_token_reads_its_writes() -> None:
    async with open_bank(2, joined=False) as bank:
        at_home = bank.client().session("anna")
        await at_home.deposit(400, branch=1)
        saved = str(at_home.token)
        on_the_road = bank.client().session("anna", token=SessionToken.from_text(saved))
        assert await is_held_until_joined(bank, on_the_road, 2, 1) == 400


async def test_two_devices_that_merge_their_tokens_know_what_both_know() -> None:
    async with open_bank(3, joined=False) as bank:
        phone, desk = bank.client().session("anna"), bank.client().session("anna")
        await phone.deposit(1, branch=1)
        await desk.deposit(2, branch=2)
        phone.merge(desk.token)
        assert await is_held_until_joined(bank, phone, 3, 1, 2) == 3


async def test_requests_of_one_session_at_the_same_time_lose_nothing_of_what_each_learned() -> None:
    async with open_bank(3, joined=False) as bank:
        session = bank.client().session("anna")
        await asyncio.gather(*(session.deposit(1, branch=1 + n % 2) for n in range(40)))
        assert await is_held_until_joined(bank, session, 3, 1, 2) == 40
        assert len(session.token.parts) == 1, "one reply covers all that was sent"


async def test_a_session_that_asks_for_very_much_at_once_never_outgrows_its_token() -> None:
    async with open_bank(2, joined=False) as bank:
        session = bank.client().session("anna")
        most = 0

        async def deposit(number: int) -> None:
            nonlocal most
            await session.deposit(1, branch=1, key=f"1/by-itself-{number}")
            most = max(most, len(session.token.parts))

        await asyncio.gather(*(deposit(number) for number in range(4 * sending.REQUESTS_UNDER_WAY_MAX)))
        assert 1 < most <= sending.REQUESTS_UNDER_WAY_MAX


async def test_an_answer_that_comes_late_does_not_undo_what_was_learned_meanwhile() -> None:
    gates = {amount: asyncio.Event() for amount in (1, 2, 3)}

    async def answer(request: AnyRequest, _context: Context) -> bank_pb2.Receipt:
        assert isinstance(request, bank_pb2.DepositRequest)
        await gates[request.amount].wait()
        return bank_pb2.Receipt(info=bank_pb2.ReplyInfo(token=b"knows %d" % request.amount))

    async with fake_branch(answer) as branch, Bank([branch.address]) as bank:
        session = bank.session("anna", token=SessionToken([b"knew"]))
        first, second = (
            asyncio.ensure_future(session.deposit(amount, key=f"by-itself-{amount}")) for amount in (1, 2)
        )
        while len(branch.asked) < 2:
            await asyncio.wait_for(branch.has_been_asked.wait(), FOREVER_S)
            branch.has_been_asked.clear()
        gates[2].set()
        await second
        assert session.token.parts == {b"knows 2"}
        third = asyncio.ensure_future(session.deposit(3))
        while len(branch.asked) < 3:
            await asyncio.wait_for(branch.has_been_asked.wait(), FOREVER_S)
            branch.has_been_asked.clear()
        gates[1].set()
        await first
        assert session.token.parts == {b"knows 1", b"knows 2"}
        gates[3].set()
        await third
        assert session.token.parts == {b"knows 1", b"knows 3"}


async def test_what_a_session_merged_while_it_was_asking_is_not_forgotten_by_the_answer() -> None:
    gate = asyncio.Event()

    async def answer(_request: AnyRequest, _context: Context) -> bank_pb2.Receipt:
        await gate.wait()
        return bank_pb2.Receipt(info=bank_pb2.ReplyInfo(token=b"answer"))

    async with fake_branch(answer) as branch, Bank([branch.address]) as bank:
        session = bank.session("anna")
        query = asyncio.ensure_future(session.balance())
        await asyncio.wait_for(branch.has_been_asked.wait(), FOREVER_S)
        session.merge(SessionToken([b"other device"]))
        gate.set()
        await query
        assert session.token.parts == {b"answer", b"other device"}


async def test_a_refusal_for_want_of_funds_is_remembered_as_the_read_that_it_is() -> None:
    async with open_bank(2, joined=False) as bank:
        session, other = bank.client().session("anna"), bank.client().session("anna")
        await bank.join(1, 2)  # nobody is refused before every branch has been asked
        await other.deposit(5, branch=1)
        with pytest.raises(InsufficientFundsError) as error:
            await session.withdraw(6, branch=1)
        assert error.value.balance == 5
        assert await is_held_until_joined(bank, session, 2, 1) == 5


async def test_a_session_that_asked_for_no_guarantee_waits_for_nothing() -> None:
    async with open_bank(2, joined=False) as bank:
        session = bank.client().session("anna", guarantees=Guarantee.NONE)
        await session.deposit(5, branch=1)
        assert (await session.balance(branch=2)).balance == 0


async def test_a_read_that_asks_for_less_or_more_than_the_session_gets_it() -> None:
    async with open_bank(2) as bank:
        client = bank.client()
        await client.session("anna").deposit(5, branch=1)
        stranger = client.session("anna")
        assert (await stranger.balance(branch=2, freshness=LATEST)).info.asked == 1
        assert (await stranger.balance(branch=2, freshness=bounded(0))).balance == 5
        assert (await stranger.balance(branch=2, freshness=LOCAL)).held_us == 0


# Accounts and branches.


async def test_a_customer_has_the_account_of_their_name_unless_they_name_another() -> None:
    async with open_bank(1) as bank:
        client = bank.client()
        await client.session("anna").deposit(5)
        await client.session("bert", account="anna").deposit(6)
        receipt = await client.session("carl").deposit(7, account="anna")
        assert (receipt.balance, receipt.branch) == (18, 1)
        moved = await client.session("anna").transfer("bert", 8)
        assert moved.balance == 10
        assert (await client.session("bert").balance()).balance == 8


async def test_an_account_is_opened_at_whichever_branch_and_only_once() -> None:
    async with open_bank(3, opening_balance=None) as bank:
        client = bank.client()
        for number, name in enumerate(("anna", "bert", "carl", "dora")):
            session = client.session(name)
            with pytest.raises(UnknownAccountError):
                await session.balance(branch=1)
            opened = await session.open_account(branch=1 + number % 3)
            assert (opened.balance, opened.branch) == (0, 1 + number % 3)
            with pytest.raises(AccountExistsError):
                await session.open_account()
            assert (await session.deposit(5, branch=2)).balance == 5


async def test_a_client_that_knows_one_branch_only_opens_any_account_there() -> None:
    async with open_bank(3, opening_balance=None) as bank, Bank({1: bank.addresses[1]}) as client:
        for name in ("anna", "bert", "carl", "dora"):
            assert (await client.session(name).open_account()).branch == 1


async def test_branches_are_named_by_number_or_counted_from_1() -> None:
    assert Bank({7: "a:1", 2: "b:1"}).branches == (2, 7)
    assert Bank(["a:1", "b:1"]).branches == (1, 2)
    with pytest.raises(ValueError, match="at least one branch"):
        Bank({})


async def test_one_address_is_not_taken_for_a_list_of_letters() -> None:
    with pytest.raises((TypeError, ValueError)):
        Bank("127.0.0.1:50051")


async def test_a_branch_that_was_started_again_is_found_again() -> None:
    async with open_bank(1) as bank:
        session = bank.client().session("anna")
        await session.balance()
        await bank.stop(1)
        await bank.start(1)
        assert (await session.deposit(5)).balance == 5


# What is wrong is said at once, without a branch.


@pytest.mark.parametrize("amount", [-1, 2**53, 2**64, 1.5, float("nan"), True, "5", None])
async def test_money_that_is_none_is_refused_before_it_is_sent(amount: int) -> None:
    async with Bank(["127.0.0.1:1"]) as bank:
        for write in (bank.session("anna").deposit, bank.session("anna").withdraw):
            with pytest.raises(InvalidRequestError, match="an amount is an integer"):
                await write(amount)


@pytest.mark.parametrize("name", ["-", "a b", "a" * 65, "\ud800", "a\n", "änne"])
async def test_names_that_are_none_are_refused_before_they_are_sent(name: str) -> None:
    async with Bank(["127.0.0.1:1"]) as bank:
        for session in (
            bank.session(name),
            bank.session(name, account="anna"),
            bank.session("anna", account=name),
        ):
            with pytest.raises(InvalidRequestError):
                await session.balance()
        with pytest.raises(InvalidRequestError):
            await bank.session("anna").transfer(name, 5)
        with pytest.raises(InvalidRequestError):
            await bank.session("anna").open_account(currency=name)


async def test_a_branch_that_does_not_exist_is_refused_before_anything_is_sent() -> None:
    async with Bank({1: "127.0.0.1:1", 3: "127.0.0.1:1"}) as bank:
        with pytest.raises(InvalidRequestError, match="there is no branch 2; there are 1, 3"):
            await bank.session("anna").deposit(5, branch=2)


@pytest.mark.parametrize("seconds", [-1.0, 2.0**32])
async def test_a_bound_that_the_wire_cannot_carry_is_refused_before_it_is_sent(seconds: float) -> None:
    async with Bank(["127.0.0.1:1"]) as bank:
        with pytest.raises((InvalidRequestError, ValueError), match="bound"):
            await bank.session("anna").balance(freshness=bounded(seconds))


@pytest.mark.parametrize("timeout", [float("inf"), float("nan"), 1e300, TIMEOUT_S_MAX + 1])
async def test_a_timeout_that_never_ends_is_refused_before_anything_is_sent(timeout: float) -> None:
    why = "a timeout is a number of seconds, at most 2592000, a month; this one is"
    with pytest.raises(ValueError, match=why):
        Bank(["127.0.0.1:1"], timeout=timeout)
    async with Bank(["127.0.0.1:1"], timeout=TIMEOUT_S_MAX) as bank:
        session = bank.session("anna")
        for asked in (session.balance(timeout=timeout), session.deposit(5, timeout=timeout)):
            with pytest.raises(InvalidRequestError, match=why):
                async with asyncio.timeout(FOREVER_S):
                    await asked


async def test_a_token_that_a_branch_refuses_stays_what_it_was() -> None:
    async with open_bank(1) as bank:
        session = bank.client().session("anna", token=SessionToken([b"noise"]))
        with pytest.raises(InvalidTokenError):
            await session.balance()
        assert session.token == SessionToken([b"noise"])


# No answer.


@pytest.mark.parametrize("write", WRITES)
async def test_a_branch_that_cannot_be_reached_has_certainly_done_nothing(
    write: Callable[[Session], Coroutine[object, object, Receipt]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "CONNECT_TIMEOUT_S", 0.05)
    async with open_bank(1) as closed:
        address = closed.addresses[1]
    async with Bank([address]) as bank:
        with pytest.raises(BranchUnreachableError, match="could not be reached; is it running") as error:
            await write(bank.session("anna"))
        assert error.value.branch == 1


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("code", NO_ANSWER)
async def test_a_write_whose_answer_got_lost_is_in_doubt_and_a_read_can_be_repeated(
    write: Callable[[Session], Coroutine[object, object, Receipt]], code: grpc.StatusCode
) -> None:
    async with fake_branch(abort_with(code)) as branch, Bank([branch.address], retries=False) as bank:
        with pytest.raises(OutcomeUnknownError):
            await write(bank.session("anna"))
        with pytest.raises(RetryableError):
            await bank.session("anna").balance()


@pytest.mark.parametrize("code", REFUSED)
async def test_a_bare_refusal_is_a_refusal(code: grpc.StatusCode) -> None:
    async with fake_branch(abort_with(code)) as branch, Bank([branch.address], retries=False) as bank:
        with pytest.raises(RefusedError, match="so there"):
            await bank.session("anna").deposit(5)


async def test_a_branch_that_dies_in_the_middle_of_a_write_leaves_it_in_doubt() -> None:
    assert isinstance(await error_when_dying(lambda session: session.deposit(5)), OutcomeUnknownError)


async def test_a_branch_that_dies_in_the_middle_of_a_read_can_be_asked_again() -> None:
    assert isinstance(await error_when_dying(lambda session: session.balance()), BranchUnreachableError)


async def error_when_dying(call: Callable[[Session], Coroutine[object, object, Receipt]]) -> BankbookError:
    async with fake_branch(hang) as branch, Bank([branch.address], retries=False) as bank:
        asked = asyncio.ensure_future(call(bank.session("anna")))
        await asyncio.wait_for(branch.has_been_asked.wait(), FOREVER_S)
        await branch.server.stop(None)
        with pytest.raises(BankbookError) as error:
            await asked
        return error.value


async def test_a_branch_that_never_answers_is_given_up_after_the_timeout() -> None:
    async with fake_branch(hang) as branch, Bank([branch.address], timeout=0.1) as bank:
        with pytest.raises(OutcomeUnknownError):
            await bank.session("anna").deposit(5)
        with pytest.raises(OutcomeUnknownError):
            await bank.session("anna").deposit(5, timeout=0.05)
        with pytest.raises(BranchUnreachableError):
            await bank.session("anna").balance()


async def test_an_answer_that_cannot_be_understood_leaves_a_write_in_doubt_and_a_read_to_be_repeated() -> (
    None
):
    async def answer(_request: AnyRequest, _context: Context) -> bank_pb2.Receipt:
        return bank_pb2.Receipt(entry=bank_pb2.EntryId(seq=1))

    async with fake_branch(answer) as branch, Bank([branch.address], retries=False) as bank:
        with pytest.raises(OutcomeUnknownError):
            await bank.session("anna").deposit(5)
        with pytest.raises(RetryableError):
            await bank.session("anna").balance()


async def test_a_status_that_contradicts_its_details_leaves_a_write_in_doubt() -> None:
    async def answer(_request: AnyRequest, context: Context) -> bank_pb2.Receipt:
        details = (("grpc-status-details-bin", b"\x08\x05\x12\x05other"),)
        await context.abort(grpc.StatusCode.INTERNAL, "so there", details)
        raise AssertionError

    branches = fake_branch(answer, has_streams=False)  # where a status has no other code to contradict
    async with branches as branch, Bank([branch.address], retries=False) as bank:
        with pytest.raises(OutcomeUnknownError):
            await bank.session("anna").deposit(5)


async def test_a_customer_who_gives_up_waiting_is_simply_gone() -> None:
    async with fake_branch(hang) as branch, Bank([branch.address], retries=False) as bank:
        asked = asyncio.ensure_future(bank.session("anna").deposit(5))
        await asyncio.wait_for(branch.has_been_asked.wait(), FOREVER_S)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked


# The end.


class WakingChannel:
    """A channel that comes up at the very moment at which its caller is cancelled."""

    def __init__(self) -> None:
        self.is_up = asyncio.get_running_loop().create_future()

    def get_state(self, *, try_to_connect: bool) -> grpc.ChannelConnectivity:
        assert try_to_connect
        return grpc.ChannelConnectivity.READY if self.is_up.done() else grpc.ChannelConnectivity.CONNECTING

    async def wait_for_state_change(self, _state: grpc.ChannelConnectivity) -> None:
        await self.is_up

    async def close(self, _grace: float | None) -> None:
        pass


async def test_who_is_cancelled_just_as_the_branch_is_reached_does_not_wait_for_its_answer() -> None:
    async with Bank(["127.0.0.1:1"]) as client:
        channel = WakingChannel()
        channels = client._calls._channels
        assert isinstance(channels, Channels)
        channels._lines[1] = line = Line("127.0.0.1:1")
        line.channel = cast("grpc.aio.Channel", channel)
        asked = asyncio.create_task(client.session("anna").deposit(5))
        await asyncio.sleep(0)  # it waits for the channel now
        await asyncio.sleep(0)
        channel.is_up.set_result(None)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked


class BelatedChannel:
    """A channel that is up by the time at which it is looked at again, but of which nobody was told so."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._is_told = asyncio.Event()
        self.close = channel.close

    def get_state(self, *, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        if try_to_connect:
            return grpc.ChannelConnectivity.CONNECTING
        return self._channel.get_state()

    async def wait_for_state_change(self, _state: grpc.ChannelConnectivity) -> None:
        await self._is_told.wait()


async def test_a_client_that_is_too_busy_to_see_that_it_is_connected_does_not_blame_the_branch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retries, "CONNECT_TIMEOUT_S", 0.01)
    async with open_bank(1) as bank, bank.client() as client:
        session = client.session("anna")
        await session.deposit(5)  # it is connected
        channels = client._calls._channels
        assert isinstance(channels, Channels)
        line = channels._lines[1]
        line.channel = cast("grpc.aio.Channel", BelatedChannel(line.channel))
        assert (await session.balance()).balance == 5


async def test_closing_while_a_write_is_under_way_leaves_it_in_doubt_and_cancels_nobody() -> None:
    async with fake_branch(hang) as branch:
        bank = Bank([branch.address])
        asked = asyncio.ensure_future(bank.session("anna").deposit(5))
        await asyncio.wait_for(branch.has_been_asked.wait(), FOREVER_S)
        await bank.close()
        with pytest.raises(OutcomeUnknownError):
            await asked


async def test_closing_twice_is_harmless_and_nothing_is_sent_afterwards() -> None:
    async def answer(_request: AnyRequest, _context: Context) -> bank_pb2.Receipt:
        return bank_pb2.Receipt()

    async with fake_branch(answer) as branch:
        bank = Bank([branch.address])
        await bank.session("anna").balance()
        await bank.close()
        await bank.close()
        with pytest.raises(RuntimeError, match="closed"):
            await bank.session("anna").deposit(5)
        assert methods_asked(branch) == ["GetBalanceRequest"]


def methods_asked(branch: FakeBranch) -> list[str]:
    return [request.DESCRIPTOR.name for request in branch.asked]


async def test_no_write_of_a_burst_is_in_doubt() -> None:
    async with open_bank(1) as bank, bank.client() as client:
        session = client.session("anna")
        await asyncio.gather(*(session.deposit(1) for _ in range(3_500)))
        assert (await session.balance()).balance == 3_500
