"""One customer's request on its way through a branch: its token, its deadline, its line in the log."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from bankbook.core.commands import Batch, Deposit, ReadBalance, Reply, Request, RequestId, Result
from bankbook.core.outcome import Outcome
from bankbook.core.token import EMPTY, Token, TokenCodec
from bankbook.core.types import (
    AccountId,
    BranchId,
    CustomerId,
    EntryId,
    Incarnation,
    Key,
    Money,
    Origin,
    Seq,
    is_key,
)
from bankbook.core.vector import Gap, VersionVector
from bankbook.server.driver import Driver
from bankbook.server.handler import Call, Handler, Success
from bankbook.server.machine import read_clocks
from bankbook.wire.requests import Envelope
from bankbook.wire.status import Failure

ANNA = AccountId("anna")
HERE, THERE = (Origin(BranchId(branch), Incarnation(branch)) for branch in (1, 2))
CODEC = TokenCodec("test")
KNOWS_MORE = Token(read=VersionVector([(THERE, Seq(7))]))
HOLD_LIMIT_US = 30_000_000
MILLISECOND = 1000


def well(request: Request) -> Reply:
    return Reply(request.id, Outcome.OK, KNOWS_MORE, balance=Money(5), entry=EntryId(HERE, Seq(1)))


class ScriptedDriver(Driver):
    """Answers every request as the test says, and remembers it."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.requests: list[Request] = []
        self._answer = answer

    def next_request(self) -> RequestId:
        return RequestId(len(self.requests) + 1)

    async def ask(self, request: Request) -> Reply:
        self.requests.append(request)
        await asyncio.sleep(0)
        return self._answer(request)


def handler_over(driver: Driver) -> Handler:
    return Handler(BranchId(1), driver, CODEC, HOLD_LIMIT_US)


async def deadline_for(remaining_s: float | None) -> tuple[int, int, int]:
    """Return how far off the core's deadline is for a caller of so much patience, at least and at most."""
    driver = ScriptedDriver(well)
    before_us = read_clocks().monotonic_us
    await handler_over(driver).handle(ReadBalance(ANNA), Envelope(CustomerId("anna")), Call("x", remaining_s))
    after_us = read_clocks().monotonic_us
    deadline_us = driver.requests[0].deadline_us
    return deadline_us - after_us, deadline_us, deadline_us - before_us


@pytest.mark.parametrize(
    ("remaining_s", "kept_us"),
    [
        (60.0, 200 * MILLISECOND),
        (2.0, 200 * MILLISECOND),
        (0.5, 50 * MILLISECOND),
        (0.1, 10 * MILLISECOND),
        (0.0, 0),
    ],
)
async def test_a_hold_ends_so_early_that_its_answer_arrives_before_the_caller_hangs_up(
    remaining_s: float, kept_us: int
) -> None:
    least, _, most = await deadline_for(remaining_s)
    assert least <= remaining_s * 1_000_000 - kept_us <= most


async def test_a_caller_that_waits_for_ever_is_held_no_longer_than_the_branch_holds_anybody() -> None:
    least, _, most = await deadline_for(None)
    assert least <= HOLD_LIMIT_US <= most


async def test_what_the_customer_knows_goes_in_and_what_they_learn_comes_out() -> None:
    driver = ScriptedDriver(well)
    knew = Token(write=VersionVector([(HERE, Seq(3))]))
    envelope = Envelope(CustomerId("anna"), CODEC.encode(knew))
    answer = await handler_over(driver).handle(Deposit(ANNA, Money(5)), envelope, Call("Deposit", 1.0))
    assert isinstance(answer, Success)
    assert driver.requests[0].token == knew
    assert CODEC.decode(answer.info.token) == KNOWS_MORE
    assert (answer.info.branch, answer.reply.balance) == (1, 5)


async def test_an_error_tells_what_the_customer_has_learned_all_the_same() -> None:
    gap = Gap(THERE, Seq(3), Seq(7))
    driver = ScriptedDriver(
        lambda r: Reply(
            r.id,
            Outcome.HOLD_TIMEOUT,
            KNOWS_MORE,
            "too late",
            held_us=9,
            asked=2,
            awaited=(gap,),
            branch=BranchId(2),
        )
    )
    answer = await handler_over(driver).handle(
        ReadBalance(ANNA), Envelope(CustomerId("anna")), Call("GetBalance", 1.0, "id-of-mine")
    )
    assert isinstance(answer, Failure)
    assert answer.info is not None
    assert CODEC.decode(answer.info.token) == KNOWS_MORE
    assert (answer.outcome, answer.detail, answer.branch) == (Outcome.HOLD_TIMEOUT, "too late", 2)
    assert (answer.info.held_us, answer.info.asked, answer.info.awaited) == (9, 2, (gap,))
    assert answer.info.request_id == "id-of-mine"


@pytest.mark.parametrize(
    "token",
    [
        b"x",
        b"\x01" * 40,
        TokenCodec("other").encode(KNOWS_MORE),
        TokenCodec("test", b"key").encode(KNOWS_MORE),
        CODEC.encode(KNOWS_MORE)[:-1],
        CODEC.encode(KNOWS_MORE) * 5000,
    ],
    ids=["noise", "more noise", "another bank's", "signed", "torn", "endless"],
)
async def test_a_token_that_is_no_good_never_reaches_the_core(token: bytes) -> None:
    driver = ScriptedDriver(well)
    answer = await handler_over(driver).handle(
        ReadBalance(ANNA), Envelope(CustomerId("anna"), token), Call("GetBalance", 1.0)
    )
    assert isinstance(answer, Failure)
    assert answer.outcome is Outcome.INVALID_TOKEN
    assert driver.requests == []


async def test_every_request_is_one_line_in_the_log_also_when_its_token_is_no_good() -> None:
    with capture_logs() as lines:
        handler = handler_over(ScriptedDriver(well))
        for token in (b"", b"x"):
            await handler.handle(
                Deposit(ANNA, Money(5)), Envelope(CustomerId("anna"), token), Call("Deposit", 1.0, "mine")
            )
    good, bad = lines
    assert is_key(good.pop("key")), "whoever gave none gets one"
    assert good == {
        "event": "request",
        "log_level": "info",
        "request": "mine",
        "method": "Deposit",
        "customer": "anna",
        "account": "anna",
        "outcome": "OK",
        "balance": 5,
        "entry": f"{HERE}#1",
    }
    assert (bad["request"], bad["customer"], bad["outcome"]) == ("mine", "anna", "INVALID_TOKEN")


async def test_a_line_in_the_log_says_what_a_request_was_held_for() -> None:
    gap = Gap(THERE, Seq(3), Seq(7))
    driver = ScriptedDriver(
        lambda r: Reply(r.id, Outcome.OK, EMPTY, balance=Money(0), held_us=1500, asked=1, awaited=(gap,))
    )
    with capture_logs() as lines:
        await handler_over(driver).handle(
            ReadBalance(ANNA), Envelope(CustomerId("anna")), Call("GetBalance", 1.0)
        )
    assert (lines[0]["held_ms"], lines[0]["held_for"], lines[0]["asked"]) == (1.5, [f"{THERE}#7"], 1)


@pytest.mark.parametrize("given", [None, "", "a" * 65, "two\nlines", "\x1b[31m"])
async def test_a_request_id_that_would_spoil_the_log_is_replaced(given: str | None) -> None:
    answer = await handler_over(ScriptedDriver(well)).handle(
        ReadBalance(ANNA), Envelope(CustomerId("anna")), Call("GetBalance", 1.0, given)
    )
    assert isinstance(answer, Success)
    assert answer.info.request_id != given
    assert answer.info.request_id.isalnum()


async def test_a_name_of_a_megabyte_does_not_get_into_the_log() -> None:
    with capture_logs() as lines:
        handler = handler_over(ScriptedDriver(lambda r: Reply(r.id, Outcome.INVALID_REQUEST, EMPTY, "no")))
        for token in (b"", b"x"):
            await handler.handle(
                ReadBalance(AccountId("a" * 10**6)),
                Envelope(CustomerId("c" * 10**6), token),
                Call("GetBalance", 1.0),
            )
    assert all(len(str(line)) < 1000 for line in lines)


async def test_a_caller_who_hangs_up_leaves_a_line_in_the_log() -> None:
    class SilentDriver(ScriptedDriver):
        async def ask(self, request: Request) -> Reply:
            self.requests.append(request)
            await asyncio.Event().wait()
            raise AssertionError("nobody answers")

    with capture_logs() as lines:
        handling = handler_over(SilentDriver(well)).handle(
            ReadBalance(ANNA), Envelope(CustomerId("anna")), Call("GetBalance", None, "r-1")
        )
        asked = asyncio.create_task(handling)
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])
    (line,) = lines
    assert (line["event"], line["request"], line["customer"]) == ("request.abandoned", "r-1", "anna")


async def test_a_write_gets_the_key_that_its_caller_made_or_one_of_this_branch_and_a_read_none() -> None:
    driver = ScriptedDriver(well)
    handler = handler_over(driver)
    anna = Envelope(CustomerId("anna"))
    for command, envelope in (
        (Deposit(ANNA, Money(5)), anna._replace(key=Key("2/order-17"), durable=2)),
        (Deposit(ANNA, Money(5)), anna),
        (Deposit(ANNA, Money(5)), anna),
        (ReadBalance(ANNA), anna),
    ):
        await handler.handle(command, envelope, Call("x", 1.0))
    given, made, another, none = driver.requests
    assert (given.key, given.durable) == ("2/order-17", 2)
    assert made.key is not None
    assert is_key(made.key)
    assert made.key.startswith("1/")
    assert made.key != another.key
    assert (none.key, none.durable) == (None, 0)


async def test_a_refused_token_is_not_answered_with_another_that_would_take_its_place() -> None:
    answer = await handler_over(ScriptedDriver(well)).handle(
        Deposit(ANNA, Money(5)), Envelope(CustomerId("anna"), b"x"), Call("Deposit", 1.0)
    )
    assert isinstance(answer, Failure)
    assert answer.info is None


async def test_of_an_all_or_nothing_batch_that_was_refused_is_told_which_command_it_was() -> None:
    aborted, short = Result(Outcome.BATCH_ABORTED), Result(Outcome.INSUFFICIENT_FUNDS, "no")
    driver = ScriptedDriver(
        lambda r: Reply(r.id, Outcome.INSUFFICIENT_FUNDS, EMPTY, "no", results=(aborted, short, short))
    )
    command = Batch((Deposit(ANNA, Money(5)),) * 3, is_atomic=True)
    with capture_logs() as lines:
        answer = await handler_over(driver).handle(
            command, Envelope(CustomerId("anna")), Call("SubmitBatch", 1.0)
        )
    assert isinstance(answer, Failure)
    assert (answer.outcome, answer.command) == (Outcome.INSUFFICIENT_FUNDS, 2)
    assert lines[0]["results"] == {"BATCH_ABORTED": 1, "INSUFFICIENT_FUNDS": 2}


async def test_a_line_in_the_log_says_that_a_key_was_told_the_same_again() -> None:
    driver = ScriptedDriver(lambda r: Reply(r.id, Outcome.OK, EMPTY, balance=Money(5), is_replayed=True))
    with capture_logs() as lines:
        await handler_over(driver).handle(
            Deposit(ANNA, Money(5)), Envelope(CustomerId("anna"), key=Key("a")), Call("Deposit", 1.0)
        )
    assert (lines[0]["key"], lines[0]["replayed"]) == ("a", True)
