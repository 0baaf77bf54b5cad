"""What bankbook.core.ports and bankbook.store.base promise, of every store there is."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from store.history import (
    ACCOUNTS,
    ALICE,
    BOB,
    FOR_EVER,
    HERE,
    IDENTITY,
    ORIGINS,
    SILENT,
    START,
    THERE,
    THERE_REBORN,
    changes_by,
    entry_of,
    fence_entry,
    granted,
    moved,
    opening_entry,
    posting_entry,
    reserved,
    settled,
)
from store.stores import STORES, NewStore

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry, Record, RecordKind
from bankbook.core.ports import (
    Account,
    Changes,
    Holding,
    KeyRecord,
    Position,
    ReservationRecord,
    ReservationState,
    StatedPosting,
    account_in,
    holdings_in,
    row_of,
)
from bankbook.core.types import (
    MONEY_MAX,
    SEQ_MAX,
    AccountId,
    BranchId,
    EntryId,
    Key,
    Money,
    ReservationId,
    Seq,
    reservation_id,
)
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.store.base import KEYS_FORGOTTEN_MAX, Store
from bankbook.store.memory import MemoryStore

ORDER = Key("2/order-17")
END = Position(FOR_EVER, THERE_REBORN, Seq(SEQ_MAX), 0)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    make: NewStore = request.param
    with closing(make(tmp_path)) as store:
        yield store


def commit(store: Store, *entries: Entry) -> None:
    store.commit(changes_by(store, *entries))


def test_a_new_store_knows_whose_it_is_and_nothing_else(store: Store) -> None:
    assert store.identity == IDENTITY
    assert store.applied() == NOTHING
    assert store.clock() == 0
    assert store.account(ALICE) is None
    assert not store.has_joined()
    assert store.ended() == {}
    assert store.holdings(ALICE) == {}
    assert store.key(ORDER) is None
    assert store.reservation(reservation_id(EntryId(HERE, Seq(1)), 0)) is None
    assert store.expiring(HERE.branch, 9) == []
    assert store.entries(HERE, Seq(0), 10) == []
    assert store.postings(ALICE, START, FOR_EVER, 9) == []
    assert store.moved_from(ALICE, START) == 0


def test_one_commit_is_read_back_whole(store: Store) -> None:
    entry = posting_entry(HERE, 1, ("alice", -40), ("bob", 40))
    commit(store, entry)
    assert store.applied() == VersionVector([(HERE, Seq(1))])
    assert store.clock() == entry.clock
    assert store.account(ALICE) == Account(Money(60))
    assert store.account(BOB) == Account(Money(140))
    assert store.holdings(ALICE) == {HERE: Holding(Seq(1), Money(-40))}
    assert store.holdings(BOB) == {HERE: Holding(Seq(1), Money(40))}
    (read,) = store.entries(HERE, Seq(0), 10)
    assert read == entry
    assert read.encoded == entry.encoded


def test_accounts_answer_the_same_whether_they_were_loaded_together_before_or_not(store: Store) -> None:
    commit(store, posting_entry(HERE, 1, *((account, 1) for account in ACCOUNTS)))
    for _ in range(2):
        assert [store.account(account) for account in ACCOUNTS] == [Account(Money(101))] * len(ACCOUNTS)
        assert store.account(BOB) is None
        rows = store.rows([*ACCOUNTS, BOB, *ACCOUNTS])
        for account, row in zip([*ACCOUNTS, BOB, *ACCOUNTS], rows, strict=True):
            assert row == store.row(account)
            assert (account_in(row), holdings_in(row)) == (store.account(account), store.holdings(account))
        assert not store.rows([])
    commit(store, posting_entry(HERE, 2, ("bob", 1)))
    assert store.account(BOB) == Account(Money(101)), "that it was not there is forgotten"


def test_an_account_no_entry_touched_stays_unknown_beside_one_that_was(store: Store) -> None:
    commit(store, posting_entry(HERE, 1, ("alice", 1)))
    assert store.account(BOB) is None
    assert store.holdings(BOB) == {}
    assert store.postings(BOB, START, FOR_EVER, 9) == []


@pytest.mark.parametrize(
    ("after", "limit", "expected"),
    [
        (0, 100, [1, 2, 3, 4, 5]),
        (0, 2, [1, 2]),
        (2, 2, [3, 4]),
        (4, 1, [5]),
        (4, 100, [5]),
        (5, 100, []),
        (9, 100, []),
        (0, 0, []),
    ],
)
def test_a_peer_reads_the_log_from_where_it_stands(
    store: Store, after: int, limit: int, expected: list[int]
) -> None:
    commit(store, *(posting_entry(HERE, seq, ("alice", seq)) for seq in (1, 2, 3)))
    commit(store, posting_entry(HERE, 4, ("alice", 4)), posting_entry(HERE, 5, ("bob", 5)))
    assert [entry.seq for entry in store.entries(HERE, Seq(after), limit)] == expected


def test_logs_that_arrive_interleaved_are_kept_apart(store: Store) -> None:
    entries = [posting_entry(origin, seq, ("alice", 1)) for seq in (1, 2, 3) for origin in reversed(ORIGINS)]
    commit(store, *entries[:4])
    commit(store, *entries[4:])
    assert store.applied() == VersionVector((origin, Seq(3)) for origin in ORIGINS)
    for origin in ORIGINS:
        assert store.entries(origin, Seq(0), 9) == [e for e in entries if e.origin == origin]


def test_a_branch_that_lost_its_disk_starts_its_second_log_at_1(store: Store) -> None:
    commit(store, posting_entry(THERE, 1, ("alice", 1)), posting_entry(THERE, 2, ("alice", 1)))
    commit(store, posting_entry(THERE_REBORN, 1, ("alice", 1)))
    assert store.applied() == VersionVector([(THERE, Seq(2)), (THERE_REBORN, Seq(1))])
    assert store.holdings(ALICE) == {
        THERE: Holding(Seq(2), Money(2)),
        THERE_REBORN: Holding(Seq(1), Money(1)),
    }


def test_holdings_add_up_over_commits_and_forget_no_origin(store: Store) -> None:
    commit(store, posting_entry(HERE, 1, ("alice", 1)), posting_entry(THERE, 1, ("alice", 1)))
    commit(store, posting_entry(HERE, 2, ("alice", 1)), posting_entry(THERE, 2, ("bob", 1)))
    assert store.holdings(ALICE) == {HERE: Holding(Seq(2), Money(2)), THERE: Holding(Seq(1), Money(1))}
    assert store.holdings(BOB) == {THERE: Holding(Seq(2), Money(1))}


@pytest.mark.parametrize("sign", [1, -1])
def test_branches_that_decide_at_once_take_an_account_beyond_what_one_may(store: Store, sign: int) -> None:
    for seq, amount in enumerate((MONEY_MAX, MONEY_MAX, 1), start=1):
        before = store.account(ALICE) or Account(Money(100))
        commit(store, posting_entry(HERE, seq, ("alice", sign * amount)))
        assert store.account(ALICE) == Account(Money(before.balance + sign * amount))


@pytest.mark.parametrize("amount", [2**63 - 1, -(2**63), MONEY_MAX, -MONEY_MAX, 0])
def test_amounts_are_kept_to_the_last_unit_up_to_the_ends_of_int64(store: Store, amount: int) -> None:
    state = Account(Money(amount), floor=Money(-MONEY_MAX), reserved=Money(max(amount, 0)))
    held = Holding(Seq(1), Money(amount))
    entry = posting_entry(HERE, 1, ("alice", 1))
    store.commit(Changes([entry], {ALICE: row_of(state, {HERE: held})}, clock=FOR_EVER))
    assert store.account(ALICE) == state
    assert store.holdings(ALICE) == {HERE: held}
    assert store.clock() == FOR_EVER


def test_an_account_is_opened_on_its_own_terms(store: Store) -> None:
    entries = [
        opening_entry(HERE, 1, "till", None, "EUR"),
        opening_entry(HERE, 2, "credit", -500, ""),
        opening_entry(HERE, 3, "savings", 0, "CHF"),
    ]
    commit(store, *entries)
    assert store.account(AccountId("till")) == Account(Money(0), None, "EUR")
    assert store.account(AccountId("credit")) == Account(Money(0), Money(-500), "")
    assert store.account(AccountId("savings")) == Account(Money(0), Money(0), "CHF")
    assert store.entries(HERE, Seq(0), 3) == entries
    commit(store, posting_entry(HERE, 4, ("till", -MONEY_MAX)))
    assert store.account(AccountId("till")) == Account(Money(-MONEY_MAX), None, "EUR")


def test_account_ids_that_look_alike_are_different_accounts(store: Store) -> None:
    for seq, account in enumerate(ACCOUNTS, start=1):
        commit(store, posting_entry(HERE, seq, (account, seq)))
    assert [store.account(account) for account in ACCOUNTS] == [
        Account(Money(100 + seq)) for seq in range(1, len(ACCOUNTS) + 1)
    ]


def test_a_gap_in_a_log_is_refused_before_anything_is_written(store: Store) -> None:
    commit(store, posting_entry(HERE, 1, ("alice", 1)))
    gap = changes_by(store, posting_entry(HERE, 2, ("alice", 1)), posting_entry(HERE, 4, ("alice", 1)))
    with pytest.raises(AssertionError, match="#4 does not follow #2"):
        store.commit(gap)
    assert store.applied() == VersionVector([(HERE, Seq(1))])
    assert store.account(ALICE) == Account(Money(101))
    assert len(store.entries(HERE, Seq(0), 9)) == 1


def test_the_same_entry_twice_is_refused(store: Store) -> None:
    changes = changes_by(store, posting_entry(HERE, 1, ("alice", 1)))
    store.commit(changes)
    with pytest.raises(AssertionError, match="#1 does not follow #1"):
        store.commit(changes)
    assert store.account(ALICE) == Account(Money(101))


LENT = reservation_id(EntryId(HERE, Seq(1)), 0)
FOR_FIVE = reserved("alice", 5).reservation
assert FOR_FIVE is not None


@pytest.mark.parametrize(
    "wrong",
    [
        Changes(rows={ALICE: row_of(Account(Money(0)), {THERE: Holding(Seq(1))})}),
        Changes(keys={Key("order-17"): KeyRecord("f", EntryId(THERE, Seq(1)), HybridTime(1))}),
        Changes(ended={THERE: Seq(1)}),
        Changes(rows={ALICE: row_of(Account(Money(2**63)), {})}),
        Changes(rows={ALICE: row_of(Account(Money(0), reserved=Money(2**63)), {})}),
        Changes(rows={ALICE: row_of(Account(Money(0), reserved=Money(-1)), {})}),
        Changes(rows={ALICE: row_of(Account(Money(0)), {HERE: Holding(Seq(1), Money(-(2**63) - 1))})}),
        Changes(rows={ALICE: (Money(0), None, "", Money(0), (HERE.code, 1, 1, THERE.code, 0, 2**63))}),
        Changes(rows={ALICE: (Money(0), None, "", Money(0), (HERE.code, 1, 1, THERE.code, 1, 0))}),
        Changes(reservations={LENT: ReservationRecord(FOR_FIVE, Money(6), ReservationState.OPEN)}),
        Changes(reservations={LENT: ReservationRecord(FOR_FIVE, Money(-1), ReservationState.OPEN)}),
        Changes(reservations={LENT: ReservationRecord(FOR_FIVE, Money(5), ReservationState.EXPIRED)}),
    ],
    ids=[
        "a holding beyond the log",
        "a key of an entry nobody has",
        "the end of a log nobody has",
        "a balance that no database can hold",
        "more reserved than any database can hold",
        "less than nothing reserved",
        "rights that no database can hold",
        "rights that no database can hold, of the second of two logs",
        "a holding beyond the second of two logs",
        "more left than was reserved",
        "less than nothing left",
        "something left of what has expired",
    ],
)
def test_changes_that_cannot_be_true_are_refused_before_anything_is_written(
    store: Store, wrong: Changes
) -> None:
    changes = changes_by(store, entry_of(HERE, 1, reserved("alice", 5)))
    for name in ("rows", "keys", "reservations", "ended"):
        getattr(changes, name).update(getattr(wrong, name))
    with pytest.raises(AssertionError, match=r"alice|order-17|not applied|-1-0"):
        store.commit(changes)
    assert store.applied() == NOTHING
    assert store.account(ALICE) is None


def test_what_was_committed_does_not_change_with_the_callers_object(store: Store) -> None:
    changes = changes_by(store, posting_entry(HERE, 1, ("alice", 1)))
    store.commit(changes)
    changes.entries.clear()
    changes.rows[ALICE] = row_of(Account(Money(0)), {})
    assert len(store.entries(HERE, Seq(0), 9)) == 1
    assert store.account(ALICE) == Account(Money(101))
    assert store.holdings(ALICE) == {HERE: Holding(Seq(1), Money(1))}


def test_what_was_read_does_not_change_with_the_next_commit(store: Store) -> None:
    commit(store, posting_entry(HERE, 1, ("alice", 1)))
    holdings, ended = store.holdings(ALICE), store.ended()
    commit(store, posting_entry(HERE, 2, ("alice", 1)), posting_entry(THERE, 1, ("alice", 1)))
    commit(store, entry_of(THERE_REBORN, 1, Record(RecordKind.REJOINING, ended=(EntryId(THERE, Seq(1)),))))
    assert holdings == {HERE: Holding(Seq(1), Money(1))}
    assert ended == {}


def test_a_step_without_entries_commits_its_clock(store: Store) -> None:
    store.commit(Changes(clock=HybridTime(7)))
    assert store.clock() == 7
    assert store.applied() == NOTHING


def test_closing_twice_is_harmless(store: Store) -> None:
    store.close()
    store.close()


def test_a_branch_joins_once_and_for_all(store: Store) -> None:
    store.commit(Changes(has_joined=True))
    assert store.has_joined()
    commit(store, posting_entry(HERE, 1, ("alice", 1)))
    assert store.has_joined()


def test_a_store_in_memory_can_begin_with_a_branch_that_has_joined() -> None:
    assert MemoryStore(IDENTITY, has_joined=True).has_joined()


def test_rights_are_granted_to_a_branch_that_has_not_decided_anything_yet(store: Store) -> None:
    commit(store, entry_of(HERE, 1, granted("alice", SILENT, 30)))
    assert store.holdings(ALICE) == {HERE: Holding(Seq(1), Money(-30)), SILENT: Holding(Seq(0), Money(30))}
    assert store.account(ALICE) == Account(Money(100)), "rights are not money"
    assert store.applied() == VersionVector([(HERE, Seq(1))])
    assert store.entries(SILENT, Seq(0), 9) == []
    first = posting_entry(SILENT, 1, ("alice", -10))
    commit(store, first)
    assert store.holdings(ALICE) == {HERE: Holding(Seq(1), Money(-30)), SILENT: Holding(Seq(1), Money(20))}
    assert store.applied() == VersionVector([(HERE, Seq(1)), (SILENT, Seq(1))])
    assert store.entries(SILENT, Seq(0), 9) == [first]


def test_the_logs_of_a_lost_disk_end(store: Store) -> None:
    commit(store, posting_entry(THERE, 1, ("alice", 1)), posting_entry(THERE, 2, ("alice", 1)))
    rejoining = Record(RecordKind.REJOINING, ended=(EntryId(THERE, Seq(2)),))
    commit(store, entry_of(THERE_REBORN, 1, rejoining))
    assert store.ended() == {THERE: 2}
    commit(store, posting_entry(THERE_REBORN, 2, ("alice", 1)))
    assert store.ended() == {THERE: 2}


def test_a_log_ends_in_the_commit_in_which_its_last_entries_arrive(store: Store) -> None:
    rejoining = Record(RecordKind.REJOINING, ended=(EntryId(THERE, Seq(1)),))
    commit(store, posting_entry(THERE, 1, ("alice", 1)), entry_of(THERE_REBORN, 1, rejoining))
    assert store.ended() == {THERE: 1}


def test_the_lives_of_stores_are_noted_and_may_end_without_an_entry(store: Store) -> None:
    assert store.lives() == {}
    store.commit(Changes(lives={THERE: False, SILENT: False}))
    assert store.lives() == {THERE: False, SILENT: False}
    store.commit(Changes(lives={THERE: True, THERE_REBORN: False}))
    assert store.lives() == {THERE: True, SILENT: False, THERE_REBORN: False}
    assert store.applied() == NOTHING
    commit(store, posting_entry(SILENT, 1, ("alice", 1)), posting_entry(THERE, 1, ("alice", 1)))
    assert store.applied() == VersionVector([(SILENT, Seq(1)), (THERE, Seq(1))])
    assert store.lives() == {THERE: True, SILENT: False, THERE_REBORN: False}


def test_a_key_finds_the_entry_that_decided_it(store: Store) -> None:
    entry = posting_entry(HERE, 1, ("alice", 1), key=ORDER)
    commit(store, entry)
    assert store.key(ORDER) == KeyRecord("f", entry.id, entry.clock)
    assert store.key(Key("order-17")) is None


def test_a_fenced_key_is_decided_elsewhere_after_all(store: Store) -> None:
    fence = fence_entry(HERE, 1, ORDER, to=3)
    commit(store, fence)
    assert store.key(ORDER) == KeyRecord("", fence.id, fence.clock, BranchId(3))
    decision = posting_entry(SILENT, 1, ("alice", 1), key=ORDER)
    commit(store, decision)
    assert store.key(ORDER) == KeyRecord("f", decision.id, decision.clock)


def keyed_entries(*seqs: int) -> list[Entry]:
    return [posting_entry(HERE, seq, ("alice", 1), key=f"order-{seq}") for seq in seqs]


def known(store: Store, *seqs: int) -> list[int]:
    return [seq for seq in seqs if store.key(Key(f"order-{seq}")) is not None]


def test_old_keys_are_forgotten_and_their_entries_are_not(store: Store) -> None:
    entries = keyed_entries(1, 2, 3)
    commit(store, *entries)
    store.commit(Changes(forget_keys_before=entries[1].clock, clock=entries[2].clock))
    assert known(store, 1, 2, 3) == [2, 3]
    assert store.entries(HERE, Seq(0), 9) == entries
    commit(store, *keyed_entries(4))
    assert known(store, 1, 2, 3, 4) == [2, 3, 4]


def test_a_key_that_was_noted_anew_is_as_old_as_its_last_note(store: Store) -> None:
    fences = [fence_entry(HERE, seq, ORDER, to=2) for seq in (1, 5)]
    store.commit(changes_by(store, fences[0], *(posting_entry(HERE, seq, ("bob", 1)) for seq in (2, 3, 4))))
    commit(store, fences[1])
    store.commit(Changes(forget_keys_before=fences[1].clock, clock=fences[1].clock))
    assert store.key(ORDER) == KeyRecord("", fences[1].id, fences[1].clock, BranchId(2))
    store.commit(Changes(forget_keys_before=HybridTime(fences[1].clock + 1), clock=fences[1].clock))
    assert store.key(ORDER) is None


def test_very_many_old_keys_are_forgotten_bit_by_bit_the_oldest_first(store: Store) -> None:
    last = KEYS_FORGOTTEN_MAX + 2
    keys = {
        Key(f"order-{seq}"): KeyRecord("f", EntryId(HERE, Seq(1)), HybridTime(seq))
        for seq in range(last, 0, -1)
    }
    changes = changes_by(store, posting_entry(HERE, 1, ("alice", 1)))
    changes.keys = keys
    store.commit(changes)
    seqs = (1, 2, last - 2, last - 1, last)
    store.commit(Changes(forget_keys_before=HybridTime(last)))
    assert known(store, *seqs) == [last - 1, last]
    store.commit(Changes(forget_keys_before=HybridTime(last)))
    assert known(store, *seqs) == [last]


def reserve(store: Store, **terms: int | str) -> tuple[ReservationId, ReservationRecord]:
    """Set 50 of alice's aside in the first entry, as its second record."""
    commit(store, entry_of(HERE, 1, moved(("bob", 1)), reserved("alice", 50, **terms)))  # type: ignore[arg-type]
    name = reservation_id(EntryId(HERE, Seq(1)), 1)
    made = store.reservation(name)
    assert made is not None
    return name, made


def test_what_is_set_aside_is_in_the_account_and_cannot_be_taken_out(store: Store) -> None:
    _, made = reserve(store, destination="bob", expires_ms=2**47 - 1)
    terms = reserved("alice", 50, "bob", 2**47 - 1).reservation
    assert terms is not None
    assert made == ReservationRecord(terms, Money(50), ReservationState.OPEN)
    assert store.account(ALICE) == Account(Money(100), reserved=Money(50))
    assert store.holdings(ALICE) == {HERE: Holding(Seq(1), Money(-50))}


def test_a_reservation_is_captured_in_part_and_the_rest_released(store: Store) -> None:
    name, made = reserve(store, destination="bob")
    captured = settled(RecordKind.CAPTURE, name, made, 20)
    rest = made._replace(left=Money(30))
    commit(store, entry_of(HERE, 2, captured, settled(RecordKind.RELEASE, name, rest, 30)))
    assert store.reservation(name) == made._replace(left=Money(0), state=ReservationState.RELEASED)
    assert store.account(ALICE) == Account(Money(80))
    assert store.account(BOB) == Account(Money(121))
    assert store.holdings(ALICE) == {HERE: Holding(Seq(2), Money(-20))}


def test_a_reservation_is_captured_bit_by_bit(store: Store) -> None:
    name, made = reserve(store)
    commit(store, entry_of(HERE, 2, settled(RecordKind.CAPTURE, name, made, 20)))
    rest = made._replace(left=Money(30))
    assert store.reservation(name) == rest
    assert store.account(ALICE) == Account(Money(80), reserved=Money(30))
    commit(store, entry_of(HERE, 3, settled(RecordKind.CAPTURE, name, rest, 30)))
    assert store.reservation(name) == made._replace(left=Money(0), state=ReservationState.CAPTURED)
    assert store.account(ALICE) == Account(Money(50))


def test_only_open_reservations_of_this_branch_expire_and_the_soonest_comes_first(store: Store) -> None:
    ends = (None, 700, 500, 600, 500)
    commit(store, entry_of(HERE, 1, *(reserved("alice", 1, expires_ms=end) for end in ends)))
    commit(store, entry_of(THERE, 1, reserved("alice", 1, expires_ms=400)))
    names = [reservation_id(EntryId(HERE, Seq(1)), index) for index in range(5)]
    assert store.expiring(HERE.branch, 9) == [
        (500, names[2]),
        (500, names[4]),
        (600, names[3]),
        (700, names[1]),
    ]
    assert store.expiring(HERE.branch, 2) == [(500, names[2]), (500, names[4])]
    assert store.expiring(THERE.branch, 9) == [(400, reservation_id(EntryId(THERE, Seq(1)), 0))]
    made = store.reservation(names[2])
    assert made is not None
    commit(store, entry_of(HERE, 2, settled(RecordKind.EXPIRY, names[2], made, 1)))
    assert store.expiring(HERE.branch, 1) == [(500, names[4])]


def test_a_reservation_in_the_log_of_a_lost_disk_expires_at_the_same_branch(store: Store) -> None:
    commit(store, entry_of(THERE, 1, reserved("alice", 1, expires_ms=400)))
    commit(store, entry_of(THERE_REBORN, 1, reserved("alice", 1, expires_ms=300)))
    assert [end for end, _ in store.expiring(THERE.branch, 9)] == [300, 400]


def test_a_statement_is_in_the_order_of_clocks_wherever_its_postings_arrived_first(store: Store) -> None:
    late = entry_of(HERE, 1, moved(("bob", 9)), moved(("alice", 1), ("bob", -1)), moved(("alice", 2)))
    commit(store, posting_entry(THERE_REBORN, 1, ("alice", 4)), posting_entry(THERE_REBORN, 2, ("alice", 5)))
    commit(store, posting_entry(THERE, 1, ("alice", 3)))
    commit(store, late)
    one, two = HybridTime(1 << 16), HybridTime(2 << 16)
    expected = [
        StatedPosting(Position(one, HERE, Seq(1), 1), Money(1)),
        StatedPosting(Position(one, HERE, Seq(1), 3), Money(2)),
        StatedPosting(Position(one, THERE, Seq(1), 0), Money(3)),
        StatedPosting(Position(one, THERE_REBORN, Seq(1), 0), Money(4)),
        StatedPosting(Position(two, THERE_REBORN, Seq(2), 0), Money(5)),
    ]
    assert store.postings(ALICE, START, FOR_EVER, 9) == expected
    assert store.postings(ALICE, START, two, 9) == expected[:4]
    assert store.postings(ALICE, expected[0].position, FOR_EVER, 2) == expected[1:3]
    assert store.postings(ALICE, expected[4].position, FOR_EVER, 9) == []
    assert store.postings(ALICE, START, FOR_EVER, 0) == []
    assert [store.moved_from(ALICE, posting.position) for posting in expected] == [15, 14, 12, 9, 5]
    assert store.moved_from(ALICE, END) == 0
    assert store.moved_from(ALICE, START) == 15


def test_a_refused_request_is_kept_for_its_key_and_touches_nothing(store: Store) -> None:
    refusal = entry_of(HERE, 1, Record(RecordKind.REFUSAL), key=ORDER)
    commit(store, refusal)
    assert store.key(ORDER) == KeyRecord("f", refusal.id, refusal.clock)
    assert store.applied() == VersionVector([(HERE, Seq(1))])
    assert store.account(ALICE) is None
