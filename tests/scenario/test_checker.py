"""The checker on histories written by hand, against its brute-force twin, and on a simulated bank."""

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenario.banks import (
    NO_BRANCH,
    POOR,
    UNSURE,
    Story,
    Told,
    deposit,
    failed_query,
    legal_story,
    query,
    story,
    transfer,
    twin_explains,
    withdraw,
)

from bankbook.core.types import Money
from bankbook.scenario import checker
from bankbook.scenario.chain import Chain
from bankbook.scenario.checker import Kind, judge
from bankbook.scenario.history import Exchange, Read, Session, histories
from bankbook.scenario.model import Interface
from bankbook.scenario.output import CustomerResults, EventResult, Record, parse_output, render
from bankbook.scenario.parse import read_scenario
from bankbook.server.config import AccountMode

OWN, SHARED = AccountMode.OWN, AccountMode.SHARED
EXAMPLES = Path(__file__).parents[2] / "examples"

# How long an example takes depends on who else uses the machine, and says nothing of the checker.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def assert_fails(told: Story, *witness: str, mode: AccountMode = OWN) -> None:
    verdict = told.judged(mode)
    assert verdict.kind is Kind.FAIL, verdict
    for words in witness:
        assert words in (verdict.witness or ""), verdict.witness


def assert_passes(told: Story, mode: AccountMode = OWN) -> None:
    verdict = told.judged(mode)
    assert verdict.kind is Kind.PASS, verdict


def assert_unknown(told: Story, mode: AccountMode = OWN) -> None:
    verdict = told.judged(mode)
    assert verdict.kind is Kind.UNKNOWN, verdict
    assert verdict.undecided == ()


@pytest.mark.parametrize("mode", AccountMode)
@pytest.mark.parametrize("name", ["input.json", "input_big.json"])
def test_the_right_output_of_an_example_passes(name: str, mode: AccountMode) -> None:
    scenario = read_scenario(EXAMPLES / name)
    customer, balance, results = scenario.customers[0], 0, []
    for event in customer.events:
        balance += {"deposit": 1, "withdraw": -1}.get(event.interface, 0) * (event.money or 0)
        read = Money(balance) if event.interface is Interface.QUERY else None
        results.append(EventResult(event, read, None))
    text = render([CustomerResults(customer, tuple(results))])
    assert judge(scenario, parse_output(text, source="output.json"), mode).kind is Kind.PASS


@pytest.mark.parametrize("mode", AccountMode)
def test_all_zero_output_of_the_big_example_does_not_get_full_marks(mode: AccountMode) -> None:
    scenario = read_scenario(EXAMPLES / "input_big.json")
    customer = scenario.customers[0]
    results = [
        EventResult(event, Money(0) if event.interface is Interface.QUERY else None, None)
        for event in customer.events
    ]
    records = parse_output(render([CustomerResults(customer, tuple(results))]), source="output.json")
    verdict = judge(scenario, records, mode)
    assert verdict.kind is Kind.FAIL
    assert verdict.witness == (
        "customer 1, event 3 (query at branch 1) read 0; its own deposit of 10 at branch 1 (event 2) "
        "is missing: with it the balance is 10"
    )


# ---- read your writes


def test_a_query_overtakes_the_deposit_to_another_branch() -> None:
    assert_fails(
        story([deposit(400, 1), query(400, 1), query(0, 2)]),
        "customer 1, event 3 (query at branch 2) read 0",
        "its own deposit of 400 at branch 1 (event 1) is missing: with it the balance is 400",
    )


def test_a_withdrawal_is_forgotten() -> None:
    assert_fails(
        story([deposit(10), withdraw(4), query(10, 2)]),
        "its own withdrawal of 4 at branch 1 (event 2) is missing: with it the balance is 6",
    )


def test_two_of_three_deposits_are_forgotten() -> None:
    assert_fails(
        story([deposit(1), deposit(2), deposit(4), query(2)]),
        "its own deposit of 1 at branch 1 (event 1) and its own deposit of 4 at branch 1 (event 3) are",
        "with them the balance is 7",
    )


def test_the_latest_of_equal_deposits_is_named() -> None:
    assert_fails(story([deposit(10), deposit(10), query(10)]), "(event 2) is missing")


def test_a_balance_out_of_thin_air() -> None:
    assert_fails(
        story([deposit(10), query(17)]), "read 17; no set of writes gives this balance; the closest is 10"
    )


def test_a_falling_balance_is_no_anomaly() -> None:
    assert_passes(story([deposit(10), query(10), withdraw(10), query(0, 2)]))


def test_a_later_own_deposit_is_seen_too_early() -> None:
    assert_fails(story([query(10), deposit(10)]), "event 1 (query at branch 1) read 10")


def test_swapped_results() -> None:
    assert_fails(story([deposit(1), query(3), deposit(2), query(1)]), "event 2 (query at branch 1) read 3")


def test_customers_answered_with_each_others_balances() -> None:
    assert_fails(story([deposit(1), query(2)], [deposit(2), query(1)]), "customer 1, event 2")


# ---- monotonic reads


def test_an_incoming_transfer_is_seen_and_then_gone() -> None:
    assert_fails(
        story([query(20, 1), query(10, 2)], [transfer(10, "1", 3)], opening=10),
        "customer 1, event 2 (query at branch 2) read 10",
        "customer 2's transfer of 10 to customer 1 at branch 3 (event 1) is missing",
        "because customer 1, event 1 (query at branch 1) read 20",
    )


def test_an_incoming_transfer_seen_late_is_no_anomaly() -> None:
    assert_passes(story([query(10), query(10), query(20)], [transfer(10, "1")], opening=10))


def test_a_transfer_to_a_customer_that_nobody_named() -> None:
    assert_passes(story([transfer(10, "99"), query(0)], opening=10))


# ---- monotonic writes


def test_a_second_transfer_is_visible_without_the_first() -> None:
    assert_fails(
        story([query(12)], [transfer(1, "1"), transfer(2, "1")], opening=10),
        "customer 1, event 1 (query at branch 1) read 12",
        "customer 2's transfer of 1 to customer 1 at branch 1 (event 1) is missing",
        "with it the balance is 13",
    )


def test_a_second_deposit_is_visible_without_the_first() -> None:
    told = story([deposit(1), deposit(2)], [query(2)])
    assert_fails(told, "customer 1's deposit of 1 at branch 1 (event 1) is missing", mode=SHARED)


# ---- writes follow reads


def test_an_answer_is_visible_without_the_question() -> None:
    told = story([deposit(1)], [query(1), deposit(2)], [query(2)])
    assert_fails(
        told, "customer 3, event 1 (query at branch 1) read 2", "customer 1's deposit of 1", mode=SHARED
    )
    assert_fails(told, "because customer 2, event 1 (query at branch 1) read 1", mode=SHARED)


def test_writes_follow_reads_across_accounts() -> None:
    """2 pays 1 and then 3; 3 sees it and pays 1; 1 sees 3's payment but not 2's."""
    legal = story(
        [query(17)], [transfer(1, "1"), transfer(2, "3")], [query(12), transfer(4, "1")], opening=10
    )
    assert_fails(legal, "customer 1, event 1 (query at branch 1) read 17", "the closest is 15")
    told = story([query(14)], [transfer(1, "1"), transfer(2, "3")], [query(12), transfer(4, "1")], opening=10)
    assert_fails(told, "customer 1, event 1 (query at branch 1) read 14", "customer 3, event 1")
    assert_passes(replace_balance(told, 0, 0, 15))


def test_two_customers_cannot_each_see_the_others_later_deposit() -> None:
    assert_fails(story([query(2), deposit(1)], [query(1), deposit(2)]), mode=SHARED)


# ---- funds


def test_a_withdrawal_succeeds_without_funds() -> None:
    assert_fails(story([deposit(10), withdraw(11)], opening=0), "account 1 at -1")


def test_a_withdrawal_succeeds_before_the_funds_are_there() -> None:
    assert_fails(
        story([withdraw(10), deposit(10)]),
        "customer 1, event 1 (withdrawal of 10 at branch 1) succeeded",
        "cannot have been more than 0",
    )


def test_two_customers_both_get_the_last_money() -> None:
    told = story([withdraw(10, 1)], [withdraw(10, 2)], opening=10)
    assert_fails(told, "account shared at -10", mode=SHARED)
    assert_unknown(told)


def test_a_withdrawal_is_refused_although_the_own_deposit_must_be_visible() -> None:
    assert_fails(
        story([deposit(10, 1), withdraw(10, 2, reason=POOR)]),
        "customer 1, event 2 (withdrawal of 10 at branch 2) was refused for lack of funds",
        "its own deposit of 10 at branch 1 (event 1) is missing",
    )


def test_a_refusal_moves_nothing() -> None:
    assert_passes(story([deposit(10), withdraw(11, reason=POOR), query(10)]))
    assert_fails(story([deposit(20), withdraw(11, reason="HOLD_TIMED_OUT"), query(9)]))


def test_a_negative_balance_is_read() -> None:
    assert_fails(story([query(-10)]), "event 1 (query at branch 1) read -10, but no account goes below 0")


def test_a_deposit_is_refused_for_lack_of_funds() -> None:
    assert_fails(story([deposit(10, reason=POOR), query(0)]), "takes no money out")


# ---- outcomes and branches


@pytest.mark.parametrize("balances", [(0, 0), (0, 10), (10, 10)])
def test_a_deposit_of_unknown_outcome_shows_up_sometime_or_never(balances: tuple[int, int]) -> None:
    assert_passes(story([deposit(1), deposit(10, reason=UNSURE), *(query(1 + each) for each in balances)]))


def test_a_deposit_of_unknown_outcome_shows_up_and_is_gone_again() -> None:
    assert_fails(
        story([deposit(10, reason=UNSURE), query(10), query(0)]), "event 3", "because customer 1, event 2"
    )


def test_a_deposit_of_unknown_outcome_counts_twice() -> None:
    assert_fails(story([deposit(10, reason=UNSURE), query(20)]), "the closest is 10")


def test_a_deposit_of_unknown_outcome_is_seen_before_it_was_asked_for() -> None:
    assert_fails(story([query(10), deposit(10, reason=UNSURE)]), "event 1")


def test_a_refusal_of_nothing_is_not_explained_by_an_overdraft_of_unknown_outcome() -> None:
    assert_fails(story([withdraw(1, reason=UNSURE), withdraw(0, reason=POOR)]), "event 2 (withdrawal of 0")


def test_a_branch_that_does_not_exist_accepts_a_deposit() -> None:
    assert_fails(
        story([deposit(10, 9), query(10)]), "event 1 (deposit of 10 at branch 9) succeeded", "no such branch"
    )


def test_a_branch_that_exists_is_called_unknown() -> None:
    assert_fails(story([deposit(10, 1, reason=NO_BRANCH)]), "UNKNOWN_BRANCH, but there is such a branch")


def test_only_the_event_at_a_branch_that_does_not_exist_fails() -> None:
    assert_passes(story([deposit(5), deposit(10, 9, reason=NO_BRANCH), query(5)]))


# ---- what proves nothing


def test_a_history_without_reads_proves_nothing() -> None:
    assert_unknown(story([deposit(10), deposit(20)]))


def test_reads_of_untouched_accounts_prove_nothing() -> None:
    assert_unknown(story([query(7), query(7, 2)], [deposit(5)], opening=7))


def test_failed_queries_prove_nothing() -> None:
    assert_unknown(story([deposit(10), failed_query("HOLD_TIMED_OUT")]))


def test_a_withdrawal_that_needs_the_own_deposit_proves_something() -> None:
    assert_passes(story([deposit(10, 1), withdraw(10, 2)]))
    assert_unknown(story([deposit(10, 1), withdraw(10, 2)], opening=10))


# ---- records that do not match


def test_a_record_is_missing() -> None:
    told = story([deposit(10), query(10)])
    verdict = judge(told.scenario, told.records[:1], OWN)
    assert verdict.witness == "customer 1, event 2 (query at branch 1) has no record"


def test_a_record_is_extra() -> None:
    told = story([deposit(10), query(10)])
    extra = replace(told.records[1], place="record 3, result 1")
    verdict = judge(told.scenario, [*told.records, extra], OWN)
    assert verdict.kind is Kind.FAIL
    assert "record 3, result 1: an extra record" in (verdict.witness or "")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            withdraw(10),
            "record 1, result 1 is a withdraw at branch 1, in the place of customer 1, event 1 (deposit",
        ),
        (
            deposit(10, 2),
            "record 1, result 1 is a deposit at branch 2, in the place of customer 1, event 1 (deposit",
        ),
    ],
)
def test_a_record_is_of_another_event(other: Told, words: str) -> None:
    told, wrong = story([deposit(10), query(10)]), story([other, query(10)])
    verdict = judge(told.scenario, wrong.records, OWN)
    assert verdict.kind is Kind.FAIL
    assert words in (verdict.witness or "")


def test_a_record_is_of_a_customer_that_the_input_does_not_have() -> None:
    told = story([query(0)])
    verdict = judge(told.scenario, story([query(0)], [query(0)]).records, OWN)
    assert verdict.witness == "record 2, result 1: the input has no customer 2"


def test_records_grouped_per_customer_are_judged_alike() -> None:
    told = story([deposit(10), query(0)])
    text = (
        '[{"id":1,"recv":[{"interface":"deposit","branch":1,"result":"success"},'
        '{"interface":"query","branch":1,"balance":0}]}]'
    )
    assert judge(told.scenario, parse_output(text, source="output.json"), OWN) == told.judged()


# ---- both account modes


def test_what_is_right_for_a_shared_account_is_wrong_for_own_accounts() -> None:
    told = story([deposit(1), query(3)], [deposit(2), query(3)])
    assert_passes(told, SHARED)
    assert_fails(told, "customer 1, event 2", mode=OWN)


def test_a_transfer_on_a_shared_account_moves_nothing() -> None:
    assert_passes(story([deposit(1), transfer(1, "2"), query(1)], [query(1)]), SHARED)


# ---- size


def test_a_hundred_customers_with_a_thousand_events_take_well_under_two_seconds() -> None:
    plan: list[Told] = []
    balance = 0
    for round_ in range(250):
        balance += round_
        plan += [deposit(round_), query(balance, 2), query(balance, 3), withdraw(0)]
    told = story(*([plan] * 100))
    records = told.records
    began = time.perf_counter()
    verdict = judge(told.scenario, records, OWN)
    took = time.perf_counter() - began
    assert verdict.kind is Kind.PASS
    assert took < 10, "generous: the machine may be busy; it takes 1 s on an idle one"


def test_the_last_of_a_thousand_results_is_wrong() -> None:
    plan: list[Told] = []
    for round_ in range(1, 501):
        plan += [deposit(round_), query(round_ * (round_ + 1) // 2)]
    plan.append(query(500 * 501 // 2 - 77, 3))
    assert_fails(story(plan), "event 1001", "its own deposit of 77 at branch 1 (event 153) is missing")


# ---- the twin


def tiny_session(customers: int, me: int) -> st.SearchStrategy[list[Told]]:
    money, branch = st.sampled_from([0, 1, 2, 3]), st.just(1)
    reason = st.sampled_from([None, None, None, UNSURE])
    refusal = st.sampled_from([None, None, POOR, UNSURE])
    others = [str(other) for other in range(1, customers + 1) if other != me]
    told: list[st.SearchStrategy[Told]] = [
        st.builds(query, st.integers(0, 6), branch),
        st.builds(deposit, money, branch, reason=reason),
        st.builds(withdraw, money, branch, reason=refusal),
    ]
    if others:
        told.append(st.builds(transfer, money, st.sampled_from(others), branch, reason=refusal))
    return st.lists(st.one_of(told), max_size=4)


def tiny_plans() -> st.SearchStrategy[list[list[Told]]]:
    return st.integers(1, 3).flatmap(
        lambda count: st.tuples(*(tiny_session(count, me) for me in range(1, count + 1))).map(list)
    )


def is_tiny(told: Story) -> bool:
    return sum(len(each.results) for each in told.results) <= 7


def assert_agrees_with_the_twin(told: Story, mode: AccountMode) -> None:
    verdict = told.judged(mode)
    assert verdict.undecided == ()
    assert (verdict.kind is not Kind.FAIL) == twin_explains(told, mode), verdict


@UNHURRIED
@given(tiny_plans(), st.integers(0, 3), st.sampled_from(AccountMode))
def test_the_twin_agrees_on_histories_out_of_thin_air(
    plans: list[list[Told]], opening: int, mode: AccountMode
) -> None:
    told = story(*plans, opening=opening)
    if is_tiny(told):
        assert_agrees_with_the_twin(told, mode)


@UNHURRIED
@given(tiny_plans(), st.integers(0, 3), st.sampled_from(AccountMode), st.integers(0, 2**32), st.data())
def test_the_twin_agrees_on_legal_histories_with_one_balance_changed(
    plans: list[list[Told]], opening: int, mode: AccountMode, seed: int, data: st.DataObject
) -> None:
    told = legal_story(seed, plans, opening=opening, branches=2, mode=mode)
    if not is_tiny(told):
        return
    assert twin_explains(told, mode)
    queries = [
        (customer, place)
        for customer, each in enumerate(told.results)
        for place, result in enumerate(each.results)
        if result.balance is not None
    ]
    if queries:
        customer, place = data.draw(st.sampled_from(queries))
        told = replace_balance(told, customer, place, data.draw(st.integers(0, 8)))
    assert_agrees_with_the_twin(told, mode)


def replace_balance(told: Story, customer: int, place: int, balance: int) -> Story:
    results = list(told.results)
    each = list(results[customer].results)
    each[place] = replace(each[place], balance=Money(balance))
    results[customer] = replace(results[customer], results=tuple(each))
    return Story(told.scenario, tuple(results))


# ---- each customer alone


@pytest.fixture
def no_search_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the search for one execution of all customers give up at once."""
    monkeypatch.setattr(checker, "SETS_PER_VERDICT_MAX", 0)


def assert_agrees_with_the_twin_alone(told: Story, mode: AccountMode) -> None:
    """Each session's chain is there if and only if the twin finds one; the verdict is made of these."""
    verdict = told.judged(mode)
    sessions = [session for session, each in enumerate(told.results) if each.results]
    explained = all(twin_explains(told, mode, session) for session in sessions)
    assert verdict.undecided == ()
    if not explained:
        assert verdict.kind is Kind.FAIL, verdict
    if verdict.kind is Kind.FAIL:
        assert not twin_explains(told, mode), verdict


@pytest.mark.usefixtures("no_search_together")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tiny_plans(), st.integers(0, 3), st.sampled_from(AccountMode))
def test_the_twin_agrees_on_each_customer_alone(
    plans: list[list[Told]], opening: int, mode: AccountMode
) -> None:
    told = story(*plans, opening=opening)
    if is_tiny(told):
        assert_agrees_with_the_twin_alone(told, mode)


@given(tiny_plans(), st.integers(0, 3), st.sampled_from(AccountMode))
def test_a_chain_is_there_if_and_only_if_the_twin_finds_one(
    plans: list[list[Told]], opening: int, mode: AccountMode
) -> None:
    told = story(*plans, opening=opening)
    if not is_tiny(told):
        return
    for index, reads, chain in chains(told, mode):
        overdrawn = not twin_explains(told, mode, session=len(plans))  # nobody: only the floor is judged
        assert overdrawn or chain.run() == twin_explains(told, mode, index), reads


def chains(told: Story, mode: AccountMode) -> Iterator[tuple[int, list[Read], Chain]]:
    sessions = [
        Session(each.customer.id, tuple(map(Exchange, each.customer.events, records_of(told, index))))
        for index, each in enumerate(told.results)
    ]
    places = {session.customer: index for index, session in enumerate(sessions)}
    for history in histories(told.scenario, sessions, mode):
        for session in range(len(history.sessions)):
            reads = history.reads(session)
            if reads:
                yield places[reads[0].customer], reads, Chain(history, reads)


def records_of(told: Story, index: int) -> list[Record]:
    return [record for record in told.records if record.customer == told.results[index].customer.id]


@pytest.mark.usefixtures("no_search_together")
def test_what_only_writes_follow_reads_forbids_is_not_judged_alone() -> None:
    verdict = story([deposit(1), query(1)], [query(1), deposit(2)], [query(2)]).judged(SHARED)
    assert verdict.kind is Kind.PASS
    assert verdict.alone == ("1", "2", "3")
    assert "for each customer alone: whether one order explains them all" in verdict.summary


@pytest.mark.usefixtures("no_search_together")
def test_a_deposit_of_unknown_outcome_is_not_seen_before_its_customers_earlier_one() -> None:
    unsure = [deposit(1), deposit(2, reason=UNSURE)]
    assert_passes(story(unsure, [query(3)]), SHARED)
    assert_fails(story(unsure, [query(2)]), "read 2", mode=SHARED)


def test_amounts_of_very_different_sizes_are_judged_without_filling_the_memory() -> None:
    told = story([query(2**52 + 1), query(2**52 + 3)], [deposit(1), deposit(2**52)], [deposit(2)])
    for _, _, chain in chains(told, SHARED):
        assert chain.run() is None
        assert chain.balances() is None
    assert_passes(told, SHARED)
    assert_fails(replace_balance(told, 0, 1, 2**52), "customer 1, event", mode=SHARED)


def large_story(mode: AccountMode, seed: int = 0) -> Story:
    """Twenty customers with fifty events each at a legal bank."""
    chance = random.Random(seed)  # noqa: S311 (a test's dice)
    plans = [[_random_request(chance, 20, me) for _ in range(50)] for me in range(1, 21)]
    return legal_story(seed, plans, opening=50, branches=3, mode=mode)


def queries_of(told: Story, customer: int) -> list[int]:
    results = told.results[customer].results
    return [place for place, result in enumerate(results) if result.balance is not None]


@pytest.mark.parametrize("mode", AccountMode)
def test_twenty_customers_with_fifty_events_pass_in_a_few_seconds(mode: AccountMode) -> None:
    told = large_story(mode)
    began = time.perf_counter()
    verdict = told.judged(mode)
    took = time.perf_counter() - began
    assert verdict.kind is Kind.PASS, verdict
    assert len(verdict.alone) == 20
    assert took < 20, "generous: the machine may be busy; it takes 1 s on an idle one"


@pytest.mark.parametrize("mode", AccountMode)
def test_one_impossible_balance_among_a_thousand_results_is_named(mode: AccountMode) -> None:
    told = large_story(mode)
    place = queries_of(told, 7)[3]
    doctored = replace_balance(told, 7, place, 7_777)
    assert_fails(doctored, f"customer 8, event {place + 1} (query", "read 7777", "the closest is", mode=mode)


def test_one_stale_own_deposit_among_a_thousand_results_is_named() -> None:
    """Nobody pays this customer, so nothing else can make up for what is missing."""
    told = large_story(OWN)
    alone = [deposit(10), query(60), deposit(7), query(60, 2)]
    plans = [[_told(result) for result in each.results] for each in told.results]
    assert_fails(
        story(*plans, alone, opening=50),
        "customer 21, event 4 (query at branch 2) read 60",
        "its own deposit of 7 at branch 1 (event 3) is missing",
    )


def _told(result: EventResult) -> Told:
    event = result.event
    assert event.branch is not None, "the original system's customers name one"
    return Told(event.interface, event.money, event.branch, event.to, result.balance, result.reason)


@pytest.mark.usefixtures("no_search_together")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(1, 6), st.sampled_from(AccountMode))
def test_a_legal_bank_never_fails_when_each_customer_is_judged_alone(
    seed: int, customers: int, mode: AccountMode
) -> None:
    plans = random_plans(random.Random(seed), customers, 12)  # noqa: S311 (a test's dice)
    verdict = legal_story(seed, plans, opening=20, branches=3, mode=mode).judged(mode)
    assert verdict.kind is not Kind.FAIL, verdict


@pytest.mark.usefixtures("no_search_together")
def test_what_is_too_hard_even_alone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "SHIFTS_PER_VERDICT_MAX", 0)
    verdict = story([query(3)], [deposit(1), query(4)], [deposit(3)], [query(0)]).judged(SHARED)
    assert verdict.kind is Kind.UNKNOWN
    assert verdict.summary == "Too hard to decide for 2 customers."
    assert [each.customer for each in verdict.undecided] == ["1", "2"]


# ---- the simulated bank


def random_plans(chance: random.Random, customers: int, events: int) -> list[list[Told]]:
    return [
        [_random_request(chance, customers, me) for _ in range(chance.randint(0, events))]
        for me in range(1, customers + 1)
    ]


def _random_request(chance: random.Random, customers: int, me: int) -> Told:
    money, branch = chance.choice([0, 1, 2, 5, 10, 10, 10]), chance.randint(1, 3)
    others = [str(other) for other in range(1, customers + 1) if other != me] or ["99"]
    match chance.choice(["query", "query", "deposit", "deposit", "withdraw", "transfer"]):
        case "query":
            return query(0, branch)
        case "deposit":
            return deposit(money, branch)
        case "withdraw":
            return withdraw(money, branch)
        case _:
            return transfer(money, chance.choice(others), branch)


@UNHURRIED
@given(st.integers(0, 2**32), st.integers(1, 4), st.sampled_from(AccountMode))
def test_a_legal_bank_always_passes(seed: int, customers: int, mode: AccountMode) -> None:
    chance = random.Random(seed)  # noqa: S311 (a test's dice)
    plans = random_plans(chance, customers, 8)
    told = legal_story(seed, plans, opening=chance.choice([0, 20]), branches=3, mode=mode)
    verdict = told.judged(mode)
    assert verdict.kind is Kind.PASS or (verdict.kind is Kind.UNKNOWN and not verdict.undecided), verdict
