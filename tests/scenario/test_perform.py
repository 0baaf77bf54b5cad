"""What each event comes to, whoever asks: here a line that only takes down what it is asked."""

import asyncio
from dataclasses import dataclass, field

from bankbook.client.calls import Manner
from bankbook.client.errors import BankbookError, error_for
from bankbook.core.clock import HybridTime
from bankbook.core.commands import LATEST, Capture, Deposit, ReadStatement, Reserve
from bankbook.core.entry import RecordKind
from bankbook.core.guarantees import Guarantee
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Position
from bankbook.core.types import (
    AccountId,
    BranchId,
    EntryId,
    Incarnation,
    Key,
    Money,
    Origin,
    ReservationId,
    Seq,
)
from bankbook.scenario.parse import parse_scenario
from bankbook.scenario.perform import Answer, CustomerRun, Stage, Wish
from bankbook.server.config import AccountMode
from bankbook.wire.replies import ReplyInfo, StatementLine, StatementPage
from bankbook.wire.status import Failure

ORIGIN = Origin(BranchId(1), Incarnation(1))
AFTER = Position(HybridTime(9), ORIGIN, Seq(2), 0)


def line_at(time_ms: int) -> StatementLine:
    entry = EntryId(ORIGIN, Seq(1))
    return StatementLine(time_ms, RecordKind.DEPOSIT, Money(1), Money(1), "ada", "", (), entry, 0)


def refused(outcome: Outcome, key: str | None = None) -> BankbookError:
    return error_for(Failure(outcome, "no"), None if key is None else Key(key))


@dataclass
class Pad:
    """Takes down every request, and never carries one out."""

    name: str
    asked: list[tuple[str, Wish, Manner]]
    answers: dict[str, BankbookError] = field(default_factory=dict)
    reserves: bool = False
    page: StatementPage | None = None
    is_deaf: bool = False
    knows: list[str] = field(default_factory=list)

    async def ask(self, wish: Wish, manner: Manner) -> Answer:
        self.asked.append((self.name, wish, manner))
        if self.is_deaf:
            await asyncio.Event().wait()
        if self.reserves:
            wish.reservations = [ReservationId("1.1-1-0")]
        answer: Answer = self.page or self.answers.get(wish.name, refused(Outcome.HOLD_TIMEOUT))
        wish.take_note(answer)
        return answer

    def learn_from(self, other: "Pad") -> None:
        self.knows.append(other.name)

    def begin_anew(self, guarantees: Guarantee = Guarantee.ALL) -> None:
        del guarantees
        self.knows = ["nothing"]


async def perform(events: str, **more: object) -> tuple[CustomerRun, Pad, Pad]:
    """Let ada do some events, while bob does nothing."""
    text = (
        '[{"id":1,"type":"branch","balance":5},{"id":2,"type":"branch","balance":5},'
        f'{{"id":"ada","type":"customer","events":[{events}]}},{{"id":"bob","type":"customer","events":[]}}]'
    )
    stage = Stage[Pad](parse_scenario(text, source="input.json"), AccountMode.OWN, 35.0)
    asked: list[tuple[str, Wish, Manner]] = []
    first, second = Pad("ada", asked, **more), Pad("phone", asked)  # type: ignore[arg-type]
    stage.enter(stage.scenario.customers[0], first, second)
    stage.enter(stage.scenario.customers[1], Pad("bob", asked), Pad("bob's phone", asked))
    run, _ = await stage.perform()
    return run, first, second


def reasons(run: CustomerRun) -> list[str | None]:
    return [each.result.reason for each in run.done]


async def test_a_request_is_asked_in_its_manner() -> None:
    _, pad, _ = await perform(
        '{"interface":"deposit","money":3,"branch":"any","account":"bob","key":"k","durable":1,'
        '"freshness":"LATEST","timeout":"2s"},{"interface":"deposit","money":4,"branch":2}'
    )
    (_, wish, manner), (_, other, usual) = pad.asked
    assert wish.command == Deposit("bob", 3, "ada.1")  # type: ignore[arg-type]
    assert manner == Manner(None, 2.0, LATEST, "k", 1)
    assert (other.command, usual) == (Deposit("ada", 4, "ada.2"), Manner(2, 35.0))  # type: ignore[arg-type]


async def test_what_has_a_key_is_asked_again_under_it_and_nothing_else_is() -> None:
    again = ",".join(f'{{"interface":"again","event":{number},"branch":2}}' for number in (1, 2, 3))
    events = (
        '{"interface":"deposit","money":1,"branch":1,"key":"k"},{"interface":"deposit","money":2,"branch":1},'
        '{"interface":"deposit","money":3,"branch":1}'
    )
    doubt = {"ada.3": refused(Outcome.OUTCOME_UNKNOWN, "made-up")}
    run, pad, _ = await perform(f"{events},{again}", answers=doubt)
    asked = [(wish.name, manner.key, manner.branch) for _, wish, manner in pad.asked]
    assert asked[3:] == [("ada.1", "k", 2), ("ada.3", "made-up", 2)]
    assert reasons(run)[3:] == ["HOLD_TIMEOUT", "NOT_ASKED", "OUTCOME_UNKNOWN"]
    assert run.done[4].detail == "event 2 has no key, and needs none"


async def test_what_was_set_aside_is_captured_and_what_was_not_is_not_asked_for() -> None:
    events = (
        '{"interface":"reserve","money":1,"branch":1},{"interface":"capture","event":1,"branch":2},'
        '{"interface":"release","event":1,"branch":2}'
    )
    run, pad, _ = await perform(events)
    assert reasons(run) == ["HOLD_TIMEOUT", "NOT_ASKED", "NOT_ASKED"]
    assert run.done[1].detail == "event 1 of customer ada set nothing aside"
    run, pad, _ = await perform(events, reserves=True)
    commands = [wish.command for _, wish, _ in pad.asked]
    assert isinstance(commands[0], Reserve)
    assert commands[1] == Capture(ReservationId("1.1-1-0"), memo="ada.2")


async def test_two_sessions_ask_for_the_same_at_once() -> None:
    _, pad, phone = await perform('{"interface":"deposit","money":1,"branch":1,"key":"k","also_at":2}')
    assert [(name, manner.branch, manner.key) for name, _, manner in pad.asked] == [
        ("ada", 1, "k"),
        ("phone", 2, "k"),
    ]
    assert pad.asked[0][1] is pad.asked[1][1]
    assert phone.knows == ["ada"]


async def test_who_is_impatient_goes_on() -> None:
    run, _, _ = await perform(
        '{"interface":"query","branch":1,"patience":"1ms"},{"interface":"begin"}', is_deaf=True
    )
    assert reasons(run) == ["GAVE_UP", None]


async def test_customers_learn_and_forget() -> None:
    _, pad, _ = await perform('{"interface":"learn","customer":"bob"}')
    assert pad.knows == ["bob"]
    _, pad, _ = await perform('{"interface":"learn","customer":"bob"},{"interface":"begin"}')
    assert pad.knows == ["nothing"]


async def test_whose_writes_are_lost_begins_anew() -> None:
    lost = {"ada.1": refused(Outcome.WRITES_LOST)}
    _, pad, _ = await perform('{"interface":"deposit","money":1,"branch":1,"key":"k"}', answers=lost)
    assert pad.knows == ["nothing"]
    assert not pad.asked[0][1].is_settled


async def test_a_statement_that_nobody_was_told_is_not_gone_on_with() -> None:
    run, pad, _ = await perform(
        '{"interface":"statement","branch":1,"lines":2},{"interface":"statement","event":1,"branch":2},'
        '{"interface":"statement","event":1,"within":true,"branch":2}'
    )
    assert [wish.command for _, wish, _ in pad.asked] == [ReadStatement(AccountId("ada"), lines_max=2)]
    assert reasons(run) == ["HOLD_TIMEOUT", "NOT_ASKED", "NOT_ASKED"]
    assert run.done[1].detail == "event 1 of customer ada was told no statement"


async def test_a_statement_goes_on_where_another_ended_or_is_of_its_time() -> None:
    lines = tuple(line_at(time_ms) for time_ms in (5, 7))
    page = StatementPage(Money(0), lines, Money(2), AFTER, ReplyInfo(b"", 1))
    _, pad, _ = await perform(
        '{"interface":"statement","branch":1,"lines":2},{"interface":"statement","event":1,"branch":2},'
        '{"interface":"statement","event":1,"within":true,"branch":2}',
        page=page,
    )
    assert [wish.command for _, wish, _ in pad.asked[1:]] == [
        ReadStatement(AccountId("ada"), after=AFTER, lines_max=2),
        ReadStatement(AccountId("ada"), 5, 7, lines_max=2),
    ]
