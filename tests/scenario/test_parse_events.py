"""Events that the original system does not know: what they mean, and every way to get them wrong."""

import pytest

from bankbook.core.commands import LATEST, bounded
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import BranchId
from bankbook.scenario.model import Account, Event, Interface, Leg, Manner, Scenario
from bankbook.scenario.parse import ScenarioError, parse_scenario

BRANCHES = '{"id":1,"type":"branch","balance":5},{"id":2,"type":"branch","balance":5}'
DEPOSIT = '{"interface":"deposit","money":1,"branch":1,'
QUERY = '{"interface":"query","branch":1,'
SUBMIT = '{"interface":"submit","branch":1,'
BATCH = '{"interface":"batch","branch":1,'
RESERVE = '{"interface":"reserve","money":3,"branch":1}'


def parse(events: str, more: str = "", branches: str = BRANCHES) -> Scenario:
    text = f'[{{"id":"ada","type":"customer","events":[{events}]}},{branches}{more}]'
    return parse_scenario(text, source="input.json")


def last(events: str) -> Event:
    return parse(events).customers[0].events[-1]


def test_how_something_is_asked() -> None:
    event = last(
        '{"interface":"deposit","money":1,"branch":"any","pause":"1.5s","key":"2/rent","durable":1,"also_at":2,'
        '"freshness":"LATEST","timeout":"300ms","patience":"2s"}'
    )
    assert event.branch is None
    assert event.manner == Manner(1_500_000, LATEST, "2/rent", 1, 300_000, 2_000_000, BranchId(2))
    read = last('{"interface":"query","branch":1,"freshness":"BOUNDED","bound":"300ms","account":"bob"}')
    assert (read.manner.freshness, read.account) == (bounded(0.3), "bob")


def test_what_the_original_system_cannot_ask() -> None:
    submit = last(
        '{"interface":"submit","branch":1,"postings":[{"account":1,"money":-5},{"account":"b","money":5}]}'
    )
    assert submit.legs == (Leg("1", -5), Leg("b", 5))  # type: ignore[arg-type]
    inner = '{"interface":"reserve","money":3}'
    batch = last(f'{{"interface":"batch","branch":1,"atomic":true,"commands":[{inner}]}}')
    assert batch.is_atomic
    assert [(each.interface, each.money, each.number) for each in batch.commands] == [("reserve", 3, 1)]
    reserve = last('{"interface":"reserve","money":3,"branch":1,"to":"bob","lifetime":"700ms"}')
    assert (reserve.to, reserve.lifetime_us) == ("bob", 700_000)


def test_what_was_set_aside_can_end_bit_by_bit() -> None:
    capture = last(f'{RESERVE},{{"interface":"capture","event":1,"branch":2,"money":1,"final":false}}')
    assert (capture.money, capture.is_final) == (1, False)
    whole = last(f'{RESERVE},{{"interface":"release","event":1,"branch":2}}')
    assert (whole.money, whole.is_final) == (None, True)


def test_a_session_can_begin_with_some_of_the_guarantees() -> None:
    begin = last('{"interface":"begin","guarantees":["MONOTONIC_READS","READ_YOUR_WRITES"]}')
    assert begin.guarantees == Guarantee.MONOTONIC_READS | Guarantee.READ_YOUR_WRITES
    assert last('{"interface":"begin","guarantees":[]}').guarantees == Guarantee.NONE
    assert last('{"interface":"begin"}').guarantees == Guarantee.ALL


def test_what_goes_back_to_something_earlier() -> None:
    for interface in ("capture", "release"):
        assert last(f'{RESERVE},{{"interface":"{interface}","event":1,"branch":2}}').event == 1
    again = last(f'{RESERVE},{{"interface":"again","event":1,"branch":2}}')
    assert (again.interface, again.event, again.branch) == (Interface.AGAIN, 1, 2)
    page = last('{"interface":"statement","branch":1,"account":"bob","lines":3}')
    assert (page.account, page.lines_max, page.event) == ("bob", 3, None)
    more = '{"interface":"statement","branch":1},{"interface":"statement","branch":2,"event":1,"within":true}'
    assert (last(more).event, last(more).is_within) == (1, True)
    learn = last('{"interface":"learn","customer":"ada"},{"interface":"begin","pause":"1s"}')
    assert (learn.interface, learn.branch, learn.manner.pause_us) == (Interface.BEGIN, None, 1_000_000)


def test_only_what_the_original_system_can_do_is_plain() -> None:
    assert parse('{"interface":"deposit","money":1,"branch":1}').is_plain
    for event in (
        '{"interface":"deposit","money":1,"branch":"any"}',
        '{"interface":"deposit","money":1,"branch":1,"pause":"1s"}',
        '{"interface":"deposit","money":1,"branch":1,"account":"bob"}',
        '{"interface":"begin"}',
    ):
        assert not parse(event).is_plain
    assert not parse("", ',{"type":"faults","faults":[{"kind":"loss","percent":1}]}').is_plain


def test_accounts_that_are_opened() -> None:
    bare = BRANCHES.replace(',"balance":5', "")
    more = (
        ',{"id":"a","type":"account"},{"id":2,"type":"account","floor":-9},'
        '{"id":"c","type":"account","floor":null}'
    )
    scenario = parse('{"interface":"deposit","money":1,"branch":1,"account":2}', more, bare)
    assert scenario.accounts == (Account("a", 0), Account("2", -9), Account("c", None))  # type: ignore[arg-type]
    assert scenario.genesis_balance is None


ERRORS = [
    (DEPOSIT + '"postings":[]}', "unknown field `postings`"),
    ('{"interface":"query","branch":"some"}', '`branch` must be the number of a branch, not "some"'),
    (QUERY + '"pause":1}', '`pause` must be a duration such as "2s" or "500ms", not 1'),
    (QUERY + '"pause":"long"}', "`pause`: 'long' is not a duration; write one like 2s"),
    (QUERY + '"freshness":"NEW"}', "must be one of LOCAL, SESSION, BOUNDED, LATEST"),
    (QUERY + '"freshness":"BOUNDED"}', "`bound` is missing"),
    (QUERY + '"bound":"1s"}', '`bound` belongs only to `"freshness": "BOUNDED"`'),
    (QUERY + '"key":"k"}', "unknown field `key`"),
    (DEPOSIT + '"key":"a b"}', "a key is an id"),
    (DEPOSIT + '"durable":2}', "asks for 2 other branches, and there are 1"),
    (DEPOSIT + '"also_at":2}', "needs a `key`, or it may happen twice"),
    (DEPOSIT + '"key":"k","also_at":3}', "there is no branch 3; there are 1, 2"),
    (
        DEPOSIT + '"key":"k"},' + DEPOSIT + '"key":"k"}',
        "the key k stands at record 1, event 1, too, and a key belongs to one request",
    ),
    ('{"interface":"submit","branch":1}', "`postings` is missing"),
    (SUBMIT + '"postings":[{"account":1,"money":5}]}', "the postings sum to 5"),
    (SUBMIT + '"postings":[]}', "a transaction has 2 to"),
    (SUBMIT + '"postings":[{"account":1,"money":1.5}]}', "posting 1: `money` must be an integer"),
    (BATCH + '"commands":[]}', "a batch has 1 to"),
    (BATCH + '"commands":[{"interface":"query"}]}', "command 1: `interface` must be one of deposit"),
    (BATCH + '"commands":[{"interface":"deposit","money":1,"branch":1}]}', "unknown field `branch`"),
    (BATCH + '"atomic":1,"commands":[]}', "`atomic` must be true or false, not 1"),
    (
        '{"interface":"reserve","money":1,"branch":1,"to":"ada"}',
        "customer ada cannot transfer to the same account",
    ),
    (
        '{"interface":"reserve","money":1,"branch":1,"lifetime":"1us"}',
        "a lifetime is counted in milliseconds",
    ),
    ('{"interface":"capture","branch":1}', "`event` is missing"),
    (
        '{"interface":"capture","branch":1,"event":1}',
        "`event` must be that of an earlier event of customer ada, not 1",
    ),
    (f'{RESERVE},{{"interface":"capture","branch":1,"event":0}}', "`event` must be the number of an event"),
    (
        '{"interface":"begin"},{"interface":"capture","branch":1,"event":1}',
        "is a begin, which makes no reservation",
    ),
    (RESERVE + ',{"interface":"capture","branch":1,"event":1,"customer":"bob"}', "there is no customer bob"),
    (
        '{"interface":"query","branch":1},{"interface":"again","branch":1,"event":1}',
        "is a query; only what moves money",
    ),
    ('{"interface":"statement","branch":1,"lines":0}', "how many lines are read at once, from 1 to"),
    ('{"interface":"statement","branch":1,"within":true}', "`within` says something of the `event`"),
    (
        '{"interface":"query","branch":1},{"interface":"statement","branch":1,"event":1}',
        "is a query, which reads no statement",
    ),
    (
        '{"interface":"statement","branch":1},{"interface":"statement","branch":1,"event":1,"account":"b"}',
        "is of the same account",
    ),
    ('{"interface":"learn"}', "`customer` is missing"),
    ('{"interface":"learn","customer":"bob"}', "there is no customer bob to learn from"),
    ('{"interface":"begin","branch":1}', "unknown field `branch`"),
]


@pytest.mark.parametrize(("events", "words"), ERRORS)
def test_an_event_that_is_none(events: str, words: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        parse(events)
    assert str(refused.value).startswith("input.json: record 1, event ")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("more", "branches", "words"),
    [
        (',{"id":"a","type":"account"}', BRANCHES, "an account of the file begins with nothing"),
        (
            ',{"id":"a","type":"account"},{"id":"a","type":"account"}',
            BRANCHES,
            "account a stands in the file twice",
        ),
        (',{"id":"a","type":"account","floor":1}', BRANCHES, "`floor` must be 0, or a credit line down to"),
        (
            ',{"id":"a","type":"account"}',
            BRANCHES.replace(',"balance":5', ""),
            "record 1, event 1: there is no account ada. Add it",
        ),
    ],
)
def test_accounts_that_are_none(more: str, branches: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=r"input\.json: ") as refused:
        parse('{"interface":"query","branch":1}', more, branches)
    assert words in str(refused.value)
