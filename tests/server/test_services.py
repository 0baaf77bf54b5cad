"""bankbook.v1 as any gRPC client sees it, health and reflection included."""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import grpc
import grpc.aio
import pytest
from branches_in_one_loop import FOREVER_S, BankInOneLoop, impatient, open_bank
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from ports import free_port_base

from bankbook.core.outcome import Outcome
from bankbook.core.token import Token, TokenCodec
from bankbook.core.types import MONEY_MAX, Incarnation, Origin, Seq
from bankbook.core.vector import VersionVector
from bankbook.server import branch as branch_module
from bankbook.server import handler
from bankbook.server.branch import ANY_PORT, Branch, PortTakenError
from bankbook.server.config import BranchConfig
from bankbook.wire.v1 import admin_pb2, admin_pb2_grpc, bank_pb2, bank_pb2_grpc
from bankbook.wire.v1.bank_pb2 import (
    DepositRequest,
    Freshness,
    GetBalanceRequest,
    OpenAccountRequest,
    Receipt,
    Session,
    TransferRequest,
    WithdrawRequest,
)

LATEST = Freshness(latest=Freshness.Latest())
LOCAL = Freshness(local=Freshness.Local())
HOUR_MS = 3_600_000


def session_of(customer: str = "anna", token: bytes = b"") -> Session:
    return Session(customer=customer, token=token)


async def deposit(bank: BankInOneLoop, branch: int, amount: int, token: bytes = b"") -> Receipt:
    request = DepositRequest(session=session_of(token=token), account="anna", amount=amount)
    return await bank.stub(branch).Deposit(request, timeout=FOREVER_S)


async def balance(
    bank: BankInOneLoop,
    branch: int,
    token: bytes = b"",
    freshness: Freshness | None = None,
    timeout: float = FOREVER_S,
) -> Receipt:
    request = GetBalanceRequest(session=session_of(token=token), account="anna", freshness=freshness)
    return await bank.stub(branch).GetBalance(request, timeout=timeout)


class Refusal:
    """A failed call, its rich status taken apart."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        status = rpc_status.from_call(cast("Any", error))
        assert status is not None, f"{error.code()} without details: {error.details()}"
        self.text = status.message
        self.error, self.info, retry = ErrorInfo(), bank_pb2.ReplyInfo(), RetryInfo()
        assert status.details[0].Unpack(self.error)
        self.has_info = any(detail.Unpack(self.info) for detail in status.details)
        self.may_retry = any(detail.Unpack(retry) for detail in status.details)

    @property
    def outcome(self) -> Outcome:
        return Outcome[self.error.reason]


async def refusal_of(call: object) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call  # type: ignore[misc]
    return Refusal(error.value)


# Every method.


async def test_money_goes_in_and_out_and_across_and_every_answer_tells_the_balance() -> None:
    async with open_bank(1, opening_balance=100) as bank:
        stub = bank.stub(1)
        paid = await deposit(bank, 1, 7)
        assert (paid.balance, paid.entry.seq, paid.info.branch) == (107, 1, 1)
        taken = await stub.Withdraw(WithdrawRequest(session=session_of(), account="anna", amount=100))
        assert taken.balance == 7
        moved = await stub.Transfer(
            TransferRequest(session=session_of(), source="anna", destination="bert", amount=5)
        )
        assert (moved.balance, moved.entry.seq) == (2, 3)
        read = await stub.GetBalance(GetBalanceRequest(session=session_of(), account="bert"))
        assert (read.balance, read.HasField("entry"), read.info.held_us) == (105, False, 0)


async def test_an_account_is_opened_once_wherever_that_is_asked_for_and_can_be_used_everywhere() -> None:
    async with open_bank(3, opening_balance=None) as bank:
        request = OpenAccountRequest(session=session_of(), account="anna", floor=-50, currency="EUR")
        opened = await bank.stub(1).OpenAccount(request)
        assert (opened.balance, opened.currency) == (0, "EUR")
        for branch in bank.branches:
            again = await refusal_of(bank.stub(branch).OpenAccount(request))
            assert again.outcome is Outcome.ACCOUNT_EXISTS
        taken = await bank.stub(3).Withdraw(
            WithdrawRequest(session=session_of(token=opened.info.token), account="anna", amount=50)
        )
        assert taken.balance == -50


REFUSALS: list[tuple[Callable[[BankInOneLoop], object], Outcome, grpc.StatusCode]] = [
    (lambda b: deposit(b, 1, -1), Outcome.INVALID_REQUEST, grpc.StatusCode.INVALID_ARGUMENT),
    (lambda b: deposit(b, 1, MONEY_MAX + 1), Outcome.INVALID_REQUEST, grpc.StatusCode.INVALID_ARGUMENT),
    (
        lambda b: b.stub(1).Deposit(DepositRequest(account="anna", amount=1)),
        Outcome.INVALID_REQUEST,
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    (
        lambda b: b.stub(1).GetBalance(GetBalanceRequest(session=session_of(), account="no such\n")),
        Outcome.INVALID_REQUEST,
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    (
        lambda b: b.stub(1).GetBalance(
            GetBalanceRequest(
                session=Session(
                    customer="anna",
                    guarantees=Session.Guarantees(guarantees=[bank_pb2.GUARANTEE_UNSPECIFIED]),
                ),
                account="anna",
            )
        ),
        Outcome.INVALID_REQUEST,
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    (
        lambda b: b.stub(1).Withdraw(WithdrawRequest(session=session_of(), account="anna", amount=101)),
        Outcome.INSUFFICIENT_FUNDS,
        grpc.StatusCode.FAILED_PRECONDITION,
    ),
    (lambda b: deposit(b, 1, MONEY_MAX), Outcome.BALANCE_LIMIT, grpc.StatusCode.OUT_OF_RANGE),
    (
        lambda b: b.stub(1).Transfer(
            TransferRequest(session=session_of(), source="anna", destination="anna", amount=1)
        ),
        Outcome.SAME_ACCOUNT,
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    (lambda b: balance(b, 1, b"noise"), Outcome.INVALID_TOKEN, grpc.StatusCode.INVALID_ARGUMENT),
]


@pytest.mark.parametrize(("ask", "outcome", "code"), REFUSALS)
async def test_every_refusal_is_a_status_that_says_why_and_changes_nothing(
    ask: Callable[[BankInOneLoop], object], outcome: Outcome, code: grpc.StatusCode
) -> None:
    async with open_bank(1, opening_balance=100) as bank:
        refusal = await refusal_of(ask(bank))
        assert (refusal.outcome, refusal.code) == (outcome, code)
        assert refusal.error.domain == "bankbook"
        assert refusal.error.metadata["certainty"] == "refused"
        assert refusal.text
        assert not refusal.may_retry
        assert (await balance(bank, 1)).balance == 100


async def test_what_is_short_is_told_so_that_nobody_has_to_parse_the_sentence() -> None:
    async with open_bank(1, opening_balance=100) as bank:
        request = WithdrawRequest(session=session_of(), account="anna", amount=101)
        refusal = await refusal_of(bank.stub(1).Withdraw(request))
        assert refusal.error.metadata["balance"] == "100"


async def test_an_account_that_nobody_opened_is_not_found() -> None:
    async with open_bank(1, opening_balance=None) as bank:
        refusal = await refusal_of(balance(bank, 1))
        assert (refusal.outcome, refusal.code) == (Outcome.UNKNOWN_ACCOUNT, grpc.StatusCode.NOT_FOUND)


async def test_two_to_the_31_is_exact() -> None:
    async with open_bank(1, opening_balance=2**31 - 1) as bank:
        assert (await deposit(bank, 1, 1)).balance == 2**31


# Tokens.


async def test_a_query_that_overtakes_its_deposit_is_held_and_a_strangers_is_answered_at_once() -> None:
    async with open_bank(2, joined=False) as bank:
        paid = await deposit(bank, 1, 5)
        queries = [asyncio.ensure_future(balance(bank, 2, paid.info.token)) for _ in range(20)]
        await bank.until_held(2, 20)
        assert (await balance(bank, 2)).balance == 0
        assert not any(query.done() for query in queries)
        await bank.join(2, 1)
        for query in queries:
            answer = await query
            assert (answer.balance, answer.info.branch) == (5, 2)
            assert answer.info.held_us > 0
            (gap,) = answer.info.awaited
            assert (gap.origin.branch, gap.has, gap.needs) == (1, 0, 1)


async def test_a_refusal_carries_the_token_so_that_what_was_learned_is_not_lost() -> None:
    async with open_bank(2, joined=False) as bank:
        await bank.join(1, 2)  # nobody is refused before every branch has been asked
        await deposit(bank, 1, 5)
        request = WithdrawRequest(session=session_of(), account="anna", amount=6)
        refusal = await refusal_of(bank.stub(1).Withdraw(request))
        query = asyncio.ensure_future(balance(bank, 2, refusal.info.token))
        await bank.until_held(2, 1)
        await bank.join(2, 1)
        assert (await query).balance == 5


@pytest.mark.parametrize("key", [None, b"a secret of this bank's"])
async def test_a_damaged_foreign_or_forged_token_is_refused_at_once(key: bytes | None) -> None:
    async with open_bank(2, configure=lambda config: replace(config, token_key=key)) as bank:
        good = (await deposit(bank, 1, 5)).info.token
        origin = bank.branches[1]._store.identity.origin
        knows = Token(read=VersionVector([(origin, Seq(1))]))
        cluster = bank.genesis.cluster
        for bad in (
            good[:-1],
            good + b"\x01",
            good[:9] + bytes([good[9] ^ 1]) + good[10:],
            TokenCodec("bank-of-others", key).encode(knows),
            TokenCodec(cluster, b"a guess" if key else b"a key where there is none").encode(knows),
            TokenCodec(cluster, None if key else b"a key").encode(knows),
        ):
            refusal = await refusal_of(balance(bank, 2, bad, timeout=FOREVER_S))
            assert refusal.outcome is Outcome.INVALID_TOKEN
        assert (await balance(bank, 2, good)).balance == 5
        assert (await balance(bank, 2, good + good)).balance == 5


async def test_a_token_that_names_what_was_never_decided_is_refused_and_not_held_for_ever() -> None:
    async with open_bank(2) as bank:
        origin = bank.branches[1]._store.identity.origin
        beyond = token_naming(bank, origin, 9)
        for branch in (1, 2):
            assert (await refusal_of(balance(bank, branch, beyond))).outcome is Outcome.INVALID_TOKEN


async def test_a_token_that_names_a_life_that_no_branch_had_is_held_no_longer_than_any_other() -> None:
    async with open_bank(2, configure=impatient) as bank:
        origin = bank.branches[1]._store.identity.origin
        no_such = token_naming(bank, Origin(origin.branch, Incarnation(origin.incarnation ^ 1 or 2)), 1)
        refusal = await refusal_of(balance(bank, 2, no_such))
        assert refusal.outcome in (Outcome.INVALID_TOKEN, Outcome.HOLD_TIMEOUT)


def token_naming(bank: BankInOneLoop, origin: Origin, seq: int) -> bytes:
    return TokenCodec(bank.genesis.cluster).encode(Token(read=VersionVector([(origin, Seq(seq))])))


# Freshness and deadlines.


async def test_a_stranger_who_asks_for_the_latest_sees_what_was_just_paid_in_elsewhere() -> None:
    async with open_bank(3) as bank:
        for branch in (1, 2, 3):
            await deposit(bank, branch, 10**branch)
        answer = await balance(bank, 1, freshness=LATEST)
        assert (answer.balance, answer.info.asked) == (1110, 2)


async def test_local_is_answered_at_once_whatever_the_token_says() -> None:
    async with open_bank(2, joined=False) as bank:
        paid = await deposit(bank, 1, 5)
        answer = await balance(bank, 2, paid.info.token, LOCAL)
        assert (answer.balance, answer.info.held_us) == (0, 0)


async def test_bounded_sees_all_that_was_paid_in_so_long_ago() -> None:
    async with open_bank(2) as bank:
        await deposit(bank, 1, 5)
        at_once = Freshness(bounded=Freshness.Bounded(milliseconds=0))
        assert (await balance(bank, 2, freshness=at_once)).balance == 5
        whenever = Freshness(bounded=Freshness.Bounded(milliseconds=HOUR_MS))
        assert (await balance(bank, 2, freshness=whenever)).info.asked == 0


async def test_a_hold_ends_before_its_caller_hangs_up_and_names_branch_has_and_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nine tenths of the caller's time for the way back: however busy the machine is, that is enough.
    monkeypatch.setattr(handler, "_RETURN_SHARE", 0.9)
    monkeypatch.setattr(handler, "_RETURN_MAX_S", FOREVER_S)
    async with open_bank(2, joined=False) as bank:
        paid = await deposit(bank, 1, 5)
        refusal = await refusal_of(balance(bank, 2, paid.info.token, timeout=5))
        assert (refusal.outcome, refusal.code) == (
            Outcome.HOLD_TIMEOUT,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        )
        assert refusal.may_retry
        assert "of branch 1 it has 0 and needs 1" in refusal.text
        (gap,) = refusal.info.awaited
        assert (gap.origin.branch, gap.has, gap.needs) == (1, 0, 1)
        assert refusal.info.token == paid.info.token
        assert refusal.info.held_us > 0


async def test_a_branch_with_a_hold_limit_keeps_nobody_longer_however_patient_they_are() -> None:
    async with open_bank(
        2, joined=False, configure=lambda config: replace(config, hold_limit_us=1000)
    ) as bank:
        paid = await deposit(bank, 1, 5)
        refusal = await refusal_of(balance(bank, 2, paid.info.token))
        assert refusal.outcome is Outcome.HOLD_TIMEOUT
        assert refusal.info.held_us >= 1000


async def test_the_latest_fails_and_names_the_branch_where_one_cannot_be_reached() -> None:
    async with open_bank(3, configure=impatient) as bank:
        await bank.stop(2)
        refusal = await refusal_of(balance(bank, 1, freshness=LATEST))
        assert (refusal.outcome, refusal.code) == (
            Outcome.BRANCH_UNREACHABLE,
            grpc.StatusCode.UNAVAILABLE,
        )
        assert refusal.error.metadata["branch"] == "2"


async def test_a_request_whose_caller_hangs_up_is_held_no_longer() -> None:
    async with open_bank(2, joined=False) as bank:
        paid = await deposit(bank, 1, 5)
        query = asyncio.ensure_future(balance(bank, 2, paid.info.token))
        await bank.until_held(2, 1)
        query.cancel()
        await bank.until_held(2, 0)


async def test_a_branch_that_misses_something_of_a_hundred_others_can_still_say_so() -> None:
    """A status travels in the headers, of which gRPC takes 8 kB unless told otherwise."""
    async with open_bank(2, joined=False, configure=impatient) as bank:
        everybody = [
            (Origin(branch, Incarnation(2**32 - 1 - life)), Seq(2**40))
            for branch in bank.genesis.branches
            if branch != 1
            for life in range(100)
        ]
        token = TokenCodec(bank.genesis.cluster).encode(
            Token(VersionVector(everybody), VersionVector(everybody))
        )
        refusal = await refusal_of(balance(bank, 1, token))
        assert refusal.outcome is Outcome.HOLD_TIMEOUT


# What goes along.


async def test_a_request_keeps_the_name_that_its_caller_gave_it_on_success_and_on_failure() -> None:
    async with open_bank(1) as bank:
        metadata = (("x-request-id", "order-4711"),)
        request = GetBalanceRequest(session=session_of(), account="anna")
        assert (await bank.stub(1).GetBalance(request, metadata=metadata)).info.request_id == "order-4711"
        taking = WithdrawRequest(session=session_of(), account="anna", amount=1)
        refusal = await refusal_of(bank.stub(1).Withdraw(taking, metadata=metadata))
        assert refusal.info.request_id == "order-4711"
        assert (await bank.stub(1).GetBalance(request)).info.request_id != ""


async def test_a_caller_that_does_not_speak_protocol_buffers_gets_an_error_and_harms_nobody() -> None:
    async with open_bank(1) as bank:
        raw = bank.channel(1).unary_unary("/bankbook.v1.Bank/Deposit", None, None)
        with pytest.raises(grpc.aio.AioRpcError):
            await raw(b"\xff\xff\xff\xff")
        assert (await deposit(bank, 1, 5)).balance == 5


# Health, reflection, status.


UNSEEN_OPTION = "grpc.server_max_unrequested_time_in_server"


@pytest.mark.parametrize("unseen_max_s", [1, branch_module._UNSEEN_MAX_S])
async def test_a_call_that_a_crowded_branch_is_slow_to_look_at_is_not_cancelled(
    unseen_max_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own bound in gRPC is 30 s, less than 100,000 calls take; here a second stands for it."""
    options = dict(branch_module._SERVER_OPTIONS)
    assert options[UNSEEN_OPTION] == branch_module._UNSEEN_MAX_S, "as the branch has it"
    monkeypatch.setattr(
        branch_module, "_SERVER_OPTIONS", tuple({**options, UNSEEN_OPTION: unseen_max_s}.items())
    )
    async with open_bank(1) as bank:
        with grpc.insecure_channel(bank.addresses[1]) as channel:
            await asyncio.to_thread(grpc.channel_ready_future(channel).result, FOREVER_S)
            stub = bank_pb2_grpc.BankStub(channel)
            request = DepositRequest(session=session_of(), account="anna", amount=1)
            calls = [stub.Deposit.future(request, timeout=FOREVER_S) for _ in range(10)]
            time.sleep(2)  # noqa: ASYNC251  (the branch's loop stands still; gRPC's own threads do not)
            codes = [await asyncio.to_thread(call.code) for call in calls]
    cancelled = codes.count(grpc.StatusCode.CANCELLED)
    assert codes.count(grpc.StatusCode.OK) == 10 - cancelled
    assert (cancelled > 0) == (unseen_max_s == 1)


async def test_a_branch_is_serving_until_it_drains() -> None:
    async with open_bank(2, joined=False) as bank:
        paid = await deposit(bank, 1, 5)
        held = asyncio.ensure_future(balance(bank, 2, paid.info.token))
        await bank.until_held(2, 1)
        stub: Any = health_pb2_grpc.HealthStub(bank.channel(2))
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        seen = [(await asyncio.wait_for(watch.read(), FOREVER_S))]
        stopping = asyncio.ensure_future(bank.stop(2, drain_us=300_000))
        seen.append(await asyncio.wait_for(watch.read(), FOREVER_S))
        assert [each.status for each in seen if isinstance(each, health_pb2.HealthCheckResponse)] == [
            health_pb2.HealthCheckResponse.SERVING,
            health_pb2.HealthCheckResponse.NOT_SERVING,
        ]
        late = await refusal_of(deposit(bank, 2, 5))
        assert (late.outcome, late.code) == (Outcome.SHUTTING_DOWN, grpc.StatusCode.UNAVAILABLE)
        assert (await refusal_of(held)).outcome is Outcome.SHUTTING_DOWN
        await stopping


async def test_a_tool_that_knows_nothing_of_bankbook_finds_every_service_by_reflection() -> None:
    async with open_bank(1) as bank:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("Any", bank.channel(1)))
        call = stub.ServerReflectionInfo(None)
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed = await call.read()
        assert isinstance(listed, reflection_pb2.ServerReflectionResponse)
        names = {service.name for service in listed.list_services_response.service}
        assert names == {
            "Bank",
            "bankbook.v1.Admin",
            "bankbook.v1.Bank",
            "bankbook.v1.Replication",
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        }
        for name in names:
            await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name))
            found = await call.read()
            assert isinstance(found, reflection_pb2.ServerReflectionResponse)
            files = [
                FileDescriptorProto.FromString(each)
                for each in found.file_descriptor_response.file_descriptor_proto
            ]
            services = {f"{file.package}.{s.name}".lstrip(".") for file in files for s in file.service}
            assert name in services
        await call.done_writing()


async def test_an_operator_sees_vectors_lag_and_what_is_held() -> None:
    async with open_bank(2, opening_balance=7, joined=False) as bank:
        paid = await deposit(bank, 1, 5)
        query = asyncio.ensure_future(balance(bank, 2, paid.info.token))
        await bank.until_held(2, 1)
        there = await bank.status(2)
        (hold,) = there.holds
        assert (hold.customer, hold.account, list(hold.unanswered)) == ("anna", "anna", [])
        assert [(gap.origin.branch, gap.has, gap.needs) for gap in hold.missing] == [(1, 0, 1)]
        here = await bank.status(1)
        assert (here.cluster, here.origin.branch, here.opening_balance) == ("bank-of-tests", 1, 7)
        assert [(c.origin.branch, c.seq) for c in here.applied.components] == [(1, 1)]
        assert [(p.branch, p.is_connected, p.lag, p.source) for p in here.peers] == [(2, False, 1, 0)]
        assert (here.accounts, here.hold_limit_us, here.held) == ("own", 30_000_000, 0)
        assert list(here.stable.components) == []
        await bank.join_all()
        await query
        await bank.until(1, lambda status: status.peers[0].lag == 0)
        assert [(c.origin.branch, c.seq) for c in (await bank.status(1)).stable.components] == [(1, 1)]


async def test_an_operator_sees_who_may_take_out_how_much_of_an_account() -> None:
    async with open_bank(2, opening_balance=7, joined=False) as bank:
        await deposit(bank, 1, 5)
        stub: admin_pb2_grpc.AdminAsyncStub = admin_pb2_grpc.AdminStub(bank.channel(1))
        told = await stub.GetRights(admin_pb2.GetRightsRequest(account="anna"))
        assert (told.balance, told.available, told.reserved) == (12, 12, 0)
        rights = {each.branch: each.amount for each in told.rights}
        assert set(rights) == {1, 2}
        assert sum(rights.values()) == 12
        assert rights[1] >= 5, "what is paid in here may be taken out here"
        damaged = await refusal_of(stub.GetRights(admin_pb2.GetRightsRequest(account="?")))
        assert damaged.outcome is Outcome.INVALID_REQUEST


async def test_of_an_account_that_nobody_opened_nobody_has_rights() -> None:
    async with open_bank(1, opening_balance=None) as bank:
        stub: admin_pb2_grpc.AdminAsyncStub = admin_pb2_grpc.AdminStub(bank.channel(1))
        refusal = await refusal_of(stub.GetRights(admin_pb2.GetRightsRequest(account="anna")))
        assert refusal.outcome is Outcome.UNKNOWN_ACCOUNT


async def test_a_batch_of_the_largest_size_is_carried_out_and_answered_and_reaches_the_others() -> None:
    async with open_bank(2) as bank:
        paid = bank_pb2.BatchCommand(deposit=DepositRequest(account="anna", amount=1, memo="m" * 140))
        size = 4000
        request = bank_pb2.SubmitBatchRequest(session=session_of(), commands=[paid] * size)
        receipt = await bank.stub(1).SubmitBatch(request, timeout=FOREVER_S)
        assert {result.outcome for result in receipt.results} == {"OK"}
        assert receipt.results[-1].balance == len(receipt.results) == size
        assert (await balance(bank, 2, receipt.info.token)).balance == size


async def test_what_everybody_has_is_dropped_from_tokens() -> None:
    async with open_bank(2) as bank:
        paid = await deposit(bank, 1, 5)
        assert 0 < len(paid.info.token) < 64
        await bank.until(1, lambda status: status.peers[0].lag == 0)
        assert (await balance(bank, 1, paid.info.token)).info.token == b""


# Starting and stopping.


async def test_a_second_branch_on_a_taken_port_fails_loudly_and_can_be_stopped() -> None:
    async with open_bank(1) as bank:
        config = BranchConfig(bank.genesis.branches[0], bank.genesis, listen=bank.addresses[1])
        second = Branch(config)
        with pytest.raises(PortTakenError, match="the port is taken"):
            await second.start()
        await second.stop(0)
        assert (await deposit(bank, 1, 5)).balance == 5


async def test_a_branch_that_may_listen_anywhere_does_so_where_nobody_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_bank(1) as bank:
        taken = int(bank.addresses[1].rpartition(":")[2])
        assert taken in ANY_PORT
        free = free_port_base(1) + 1
        # It draws a port anew as often as it meets somebody.
        drawn = iter([taken, taken, free])
        monkeypatch.setattr("bankbook.server.branch.secrets.choice", lambda _: next(drawn, free))
        second = Branch(BranchConfig(bank.genesis.branches[0], bank.genesis))
        assert await second.start() == free
        await second.stop(0)


async def test_a_bug_that_ends_a_branch_is_told_by_ended_and_does_not_keep_it_from_stopping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_bank(2, joined=False) as bank:
        branch = bank.branches[1]

        def fail(*_: object) -> None:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(branch._driver._replica, "step", fail)
        branch._driver._arrived.set()
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(branch.ended(), FOREVER_S)
        await asyncio.wait_for(bank.stop(1, drain_us=3_600_000_000), FOREVER_S)


async def test_a_bug_in_the_middle_of_a_drain_does_not_keep_a_branch_from_stopping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_bank(2, joined=False) as bank:
        paid = await deposit(bank, 1, 5)
        held = asyncio.ensure_future(balance(bank, 2, paid.info.token))
        await bank.until_held(2, 1)
        branch = bank.branches[2]
        stopping = asyncio.ensure_future(bank.stop(2, drain_us=3_600_000_000))
        assert (await refusal_of(deposit(bank, 2, 5))).outcome is Outcome.SHUTTING_DOWN

        def fail(*_: object) -> None:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(branch._driver._replica, "step", fail)
        branch._driver._arrived.set()
        await asyncio.wait_for(stopping, FOREVER_S)
        with pytest.raises(ZeroDivisionError):
            await branch.ended()
        with pytest.raises(grpc.aio.AioRpcError):
            await held


async def test_what_is_refused_is_let_go_without_a_search_for_garbage() -> None:
    """A branch looks for garbage in cycles rarely, and a request may have megabytes."""
    deposit = DepositRequest(session=session_of(), account="anna", amount=1)
    batch = bank_pb2.SubmitBatchRequest(session=session_of(), commands=[bank_pb2.BatchCommand()])
    twice = [bank_pb2.Calls.Call(number=1, deposit=deposit)] * 2
    requests = {"SubmitBatch": batch, "Multiplex": bank_pb2.Calls(calls=twice)}
    encoded = {name: request.SerializeToString() for name, request in requests.items()}
    del deposit, batch, twice, requests
    gc.collect()
    gc.disable()
    try:
        async with open_bank(1) as bank:
            for name, request in encoded.items():
                stream = bank.channel(1).stream_stream(f"/bankbook.v1.Bank/{name}", None, None)
                with pytest.raises(grpc.aio.AioRpcError, match="INVALID_ARGUMENT"):
                    async for _ in stream(iter([request])):
                        pass
            assert list(holders(bank_pb2.SubmitBatchRequest, bank_pb2.Calls)) == []
    finally:
        gc.enable()


def holders(*kinds: type) -> Iterator[object]:
    """Yield what refers to an object of these kinds, and could be in a cycle with it."""
    for each in gc.get_objects():
        if any(isinstance(held, kinds) for held in gc.get_referents(each)):
            yield each
