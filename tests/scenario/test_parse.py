"""Every spelling of the input that was seen in the wild, and every way to get it wrong."""

from pathlib import Path

import pytest

from bankbook.core.types import MONEY_MAX, Money
from bankbook.scenario.model import Event, Interface, Scenario
from bankbook.scenario.parse import ScenarioError, parse_scenario, read_scenario
from bankbook.server.config import AccountMode, account_of

EXAMPLES = Path(__file__).parents[2] / "examples"
BRANCHES = '{"id":1,"type":"branch","balance":5},{"id":2,"type":"branch","balance":5}'


def parse(text: str, opening_balance: int | None = None) -> Scenario:
    settled = None if opening_balance is None else Money(opening_balance)
    return parse_scenario(text, source="input.json", opening_balance=settled)


def with_events(events: str, customer: str = "1") -> str:
    return f'[{{"id":{customer},"type":"customer","events":[{events}]}},{BRANCHES}]'


def with_branches(branches: str) -> str:
    return f'[{{"id":1,"type":"customer","events":[]}},{branches}]'


def only_event(events: str, customer: str = "1") -> Event:
    return parse(with_events(events, customer)).customers[0].events[0]


def test_the_big_example_has_sixty_events_and_ten_branches() -> None:
    scenario = read_scenario(EXAMPLES / "input_big.json")
    assert scenario.branches == tuple(range(1, 11))
    assert scenario.opening_balance == 0
    assert [event.number for event in scenario.customers[0].events] == list(range(1, 61))


def test_an_event_of_each_interface() -> None:
    text = with_events(
        '{"id":1,"interface":"query","branch":1},'
        '{"id":2,"interface":"deposit","money":0,"branch":2},'
        f'{{"id":3,"interface":"withdraw","money":{MONEY_MAX},"branch":1}},'
        '{"id":4,"interface":"transfer","money":4,"branch":1,"to":2}'
    )
    customer = parse(text).customers[0]
    told = [(event.interface, event.branch, event.money, event.to) for event in customer.events]
    assert told == [
        (Interface.QUERY, 1, None, None),
        (Interface.DEPOSIT, 2, 0, None),
        (Interface.WITHDRAW, 1, MONEY_MAX, None),
        (Interface.TRANSFER, 1, 4, "2"),
    ]


@pytest.mark.parametrize(
    ("event", "branch"),
    [
        ('{"interface":"query","branch":2}', 2),
        ('{"interface":"query","dest":2}', 2),
        ('{"interface":"query","branch":99}', 99),
        ('{"interface":"query","branch":0}', 0),
        ('{"interface":"query"}', 345),
        ('{"id":"one","interface":"query","branch":2}', 2),
        ('{"id":1,"interface":"query","branch":2},{"id":1,"interface":"query","branch":1}', 2),
    ],
)
def test_the_branch_of_an_event_in_every_spelling(event: str, branch: int) -> None:
    assert only_event(event, "345").branch == branch


@pytest.mark.parametrize("money", ["0", "-1", "10.5", "true", '"ten"', "null", "NaN", "[]", "{}", "9" * 90])
def test_money_on_a_query_is_a_dummy(money: str) -> None:
    assert only_event(f'{{"interface":"query","branch":1,"money":{money}}}').money is None


def test_bank_and_client_mean_branch_and_customer() -> None:
    scenario = parse('[{"id":7,"type":"client","events":[]},{"id":3,"type":"bank","balance":2}]')
    assert (scenario.branches, scenario.opening_balance) == ((3,), 2)
    assert [customer.id for customer in scenario.customers] == ["7"]


@pytest.mark.parametrize(
    ("in_file", "customer", "output_id"),
    [("345", "345", 345), ('"345"', "345", "345"), ('"ada"', "ada", "ada")],
)
def test_a_customer_id_is_a_number_or_a_string(in_file: str, customer: str, output_id: int | str) -> None:
    found = parse(with_events('{"interface":"query","branch":1}', in_file)).customers[0]
    assert (found.id, found.output_id) == (customer, output_id)


def test_a_customer_that_appears_twice_is_one_session() -> None:
    one, two = (f'{{"interface":"deposit","money":{money},"branch":1}}' for money in (1, 2))
    scenario = parse(
        f'[{{"id":1,"type":"customer","events":[{one}]}},{{"id":2,"type":"customer","events":[]}},'
        f'{{"id":1,"type":"customer","events":[{two}]}},{BRANCHES}]'
    )
    assert [customer.id for customer in scenario.customers] == ["1", "2"]
    assert [(event.number, event.money) for event in scenario.customers[0].events] == [(1, 1), (2, 2)]


def test_branches_are_sorted() -> None:
    text = with_branches('{"id":9,"type":"branch","balance":0},{"id":2,"type":"branch","balance":0}')
    assert parse(text).branches == (2, 9)


@pytest.mark.parametrize("balances", [("1", "2"), ("1", None), (None, None)])
def test_the_opening_balance_can_be_settled(balances: tuple[str | None, ...]) -> None:
    branches = ",".join(
        f'{{"id":{number},"type":"branch"{"" if balance is None else f""","balance":{balance}"""}}}'
        for number, balance in enumerate(balances, start=1)
    )
    assert parse(with_branches(branches), opening_balance=7).opening_balance == 7
    with pytest.raises(ScenarioError, match=r"--opening-balance N"):
        parse(with_branches(branches))


def test_unequal_opening_balances_are_named() -> None:
    text = with_branches('{"id":1,"type":"branch","balance":3},{"id":2,"type":"branch","balance":4}')
    with pytest.raises(ScenarioError, match=r"branch → balance: 1 → 3, 2 → 4") as refused:
        parse(text)
    assert "--opening-balance N" in str(refused.value)


@pytest.mark.parametrize(
    ("money", "words"),
    [
        ("-1", "not -1"),
        ("10.5", "not 10.5. Write it as an integer of the smallest unit"),
        ("10.0", "not 10.0. Write 10."),
        ("1e3", "not 1e3"),
        ("true", "not true"),
        ('"10"', 'not "10". Write 10 without the quotation marks.'),
        ('"ten"', 'not "ten".'),
        ("NaN", "not NaN"),
        ("Infinity", "not Infinity"),
        ("null", "not null"),
        ("[1]", "not an array"),
        ("{}", "not an object"),
        (str(MONEY_MAX + 1), f"an integer from 0 to {MONEY_MAX}, not {MONEY_MAX + 1}"),
    ],
)
def test_money_that_is_none(money: str, words: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        parse(with_events(f'{{"interface":"query"}},{{"interface":"deposit","money":{money}}}'))
    assert str(refused.value).startswith(
        "input.json: record 1, event 2: `money` must be an integer from 0 to "
    )
    assert words in str(refused.value)


EVENT_ERRORS = [
    ('{"interface":"deposit","branch":1}', "record 1, event 1: `money` is missing."),
    ('{"interface":"depositt","money":1}', 'not "depositt". Did you mean deposit?'),
    ('{"interface":"balance"}', "`interface` must be one of query, deposit, withdraw, transfer"),
    ('{"interface":5}', "not 5"),
    ('{"branch":1}', "`interface` is missing. There is only `branch`."),
    ("{}", "`interface` is missing. The object is empty."),
    (
        '{"interface":"query","brnch":1}',
        "unknown field `brnch`. Did you mean branch? Known are id, interface",
    ),
    ('{"interface":"query","xyz":1}', "unknown field `xyz`. Known are"),
    (
        '{"interface":"query","branch":"1"}',
        '`branch` must be the number of a branch, not "1". Write 1 without',
    ),
    ('{"interface":"query","branch":1,"dest":1}', "`branch` and `dest` mean the same"),
    ('{"interface":"transfer","money":1}', "`to` is missing"),
    ('{"interface":"transfer","money":1,"to":1}', "customer 1 cannot transfer to the same account"),
    ('{"interface":"transfer","money":1,"to":"1"}', "customer 1 cannot transfer to the same account"),
    ('{"interface":"transfer","money":1,"to":1.5}', "`to` must be a customer's id"),
    (
        '{"interface":"deposit","money":1,"to":2}',
        "only a transfer and a reservation have `to`; this is a deposit",
    ),
    ("17", "event 1: this must be an object that describes an event, not 17"),
    (
        '{"interface":"query","interface":"query"}',
        "record 1, event 1: `interface` stands in one object twice",
    ),
]


@pytest.mark.parametrize(("event", "words"), EVENT_ERRORS)
def test_an_event_that_is_none(event: str, words: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        parse(with_events(event))
    assert words in str(refused.value)
    assert "record 1, event 1" in str(refused.value)


FILE_ERRORS = [
    ("", "the file is empty"),
    (" \n", "the file is empty"),
    ("{}", "the file must be an array of customers and branches, not an object"),
    ("[]", "there is no branch"),
    (f"[{BRANCHES}]", "there is no customer"),
    ("[1]", "record 1: this must be an object that describes a customer or a branch, not 1"),
    ('[{"id":1}]', "record 1: `type` is missing"),
    ('[{"id":1,"type":"custmer"}]', 'not "custmer". Did you mean customer?'),
    ('[{"id":1,"type":"customer"}]', "record 1: `events` is missing"),
    (
        '[{"id":1,"type":"customer","events":{}}]',
        "record 1: `events` must be an array of events, not an object",
    ),
    ('[{"id":1,"type":"customer","event":[]}]', "unknown field `event`. Did you mean events?"),
    ('[{"type":"customer","events":[]}]', "record 1: `id` is missing"),
    ('[{"id":-1,"type":"customer","events":[]}]', "`id` must be a customer's id"),
    ('[{"id":true,"type":"customer","events":[]}]', "not true"),
    ('[{"id":"a b","type":"customer","events":[]}]', 'not "a b"'),
    (
        '[{"id":"ada","type":"customer","events":[{"interface":"query"}]}]',
        "ada, is not a number that could stand",
    ),
    ('[{"id":0,"type":"branch","balance":0}]', "`id` must be the number of a branch, from 1 to 256, not 0"),
    ('[{"id":257,"type":"branch","balance":0}]', "not 257"),
    ('[{"id":"1","type":"branch","balance":0}]', 'not "1"'),
    ('[{"id":1,"type":"branch","balance":-1}]', "`balance` must be an integer from 0"),
    (f"[{BRANCHES},{BRANCHES}]", "record 3: branch 1 stands in the file twice"),
    ("[1,\n 2,,]", "line 2, column 4: this is not JSON"),
    ("[" * 100_000, "nested too deeply"),
    ("[\n" + "9" * 5_000 + "]", "line 2, column 1: a number of 5000 characters is too large"),
    ('[{"id":1,"id":2}]', "record 1: `id` stands in one object twice"),
]


@pytest.mark.parametrize(("text", "words"), FILE_ERRORS, ids=[words[:40] for _, words in FILE_ERRORS])
def test_a_scenario_that_is_none(text: str, words: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        parse(text)
    assert str(refused.value).startswith("input.json: ")
    assert words in str(refused.value)
    assert len(str(refused.value)) < 400


def test_an_opening_balance_that_is_none() -> None:
    with pytest.raises(ScenarioError, match=r"--opening-balance must be an integer from 0"):
        parse(with_events(""), opening_balance=-1)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_text(with_events(""), encoding="utf-8-sig")
    assert read_scenario(path) == parse(with_events(""))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "this is a directory"),
        (lambda path: path.write_bytes(b'["\xff"]'), "byte 3 is not UTF-8"),
        (lambda path: path.touch(), "the file is empty"),
        (lambda _: None, "there is no such file"),
        (lambda path: path.symlink_to(path), "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, make, words: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    path = tmp_path / "input.json"
    make(path)
    with pytest.raises(ScenarioError) as refused:
        read_scenario(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert words in str(refused.value)


def test_whose_account_it_is() -> None:
    customer = parse(with_events("", "345")).customers[0].id
    assert account_of(AccountMode.OWN, customer) == "345"
    assert account_of(AccountMode.SHARED, customer) == "shared"
