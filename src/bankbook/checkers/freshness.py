"""How fresh a result is, by the recorder's one clock.

Decides what LATEST, BOUNDED and a refusal for want of funds had to include. Must not know sessions.
Proof: tests/checkers/test_anomalies.py, tests/checkers/test_twin.py.

Sources: Herlihy and Wing, "Linearizability" (TOPLAS 1990), section 2; Lamport, "On interprocess
communication" (Distributed Computing 1986), part II, for regularity, which asks less of results that overlap
writes; Bailis et al., "Probabilistically Bounded Staleness" (VLDB 2012), section 3, for t-visibility.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import accumulate, pairwise
from operator import or_

from bankbook.checkers.effects import NEVER
from bankbook.checkers.evidence import Account, Evidence, Read, lasting
from bankbook.checkers.verdict import Kind, Tally, Verdict, Witness
from bankbook.checkers.words import lacks, named, numbered, told
from bankbook.core.commands import Level
from bankbook.core.outcome import Outcome
from bankbook.history.record import Latest


class Timeline:
    """Bitsets that grow with time."""

    def __init__(self, moments: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(moments)
        self._times = [moment_us for moment_us, _ in ordered]
        self._masks = list(accumulate((mask for _, mask in ordered), or_, initial=0))

    def before(self, moment_us: int) -> int:
        """Return everything from before a moment, that moment not included."""
        return self._masks[bisect_left(self._times, moment_us)]


def acknowledgements(account: Account) -> Timeline:
    """Return what was acknowledged to anybody, and when."""
    return Timeline(
        (write.ack_us, 1 << bit) for bit, write in enumerate(account.writes) if write.ack_us != NEVER
    )


def check_freshness(evidence: Evidence) -> list[Verdict]:
    """Judge every account by itself."""
    recency = Tally("recency of LATEST", "no LATEST result comes after an acknowledged write")
    linear = Tally("linearizability of LATEST", "no LATEST result comes after an acknowledged write")
    bounded = Tally("bounded staleness", "no BOUNDED result comes so long after an acknowledged write")
    for account in evidence.by_index:
        latest = [read for read in account.reads if read.operation.freshness.level is Level.LATEST]
        refused = [read for read in account.reads if _is_refused_for_want(read)]
        if latest:
            _check_recency(account, latest, recency, linear)
            _check_order(account, latest, linear)
        if refused:
            _check_recency(account, refused, recency)
        in_bound = [read for read in account.reads if read.operation.freshness.level is Level.BOUNDED]
        acknowledged = acknowledgements(account) if in_bound else Timeline(())
        for read in in_bound:
            _check_bound(acknowledged, read, bounded)
    promised = evidence.header.latest is Latest.LINEARIZABLE
    order = linear.verdict() if promised else _not_promised(linear.verdict())
    return [recency.verdict(), order, bounded.verdict()]


def _not_promised(verdict: Verdict) -> Verdict:
    """Return what can be said of an order that this bank does not promise: it may hold all the same."""
    if verdict.witness is None:
        return replace(verdict, undecided=0)
    reason = f"the bank promises that LATEST is recent, and not this. {verdict.witness.story}"
    return replace(verdict, kind=Kind.UNKNOWN, reason=reason, witness=None, broken=0, undecided=0)


def _is_refused_for_want(read: Read) -> bool:
    """Whether it says that there is not enough, counting everything that was acknowledged anywhere."""
    operation = read.operation
    is_latest = operation.freshness.level is Level.LATEST
    return operation.outcome is Outcome.INSUFFICIENT_FUNDS and not is_latest


def _check_recency(account: Account, latest: list[Read], *tallies: Tally) -> None:
    """Demand what was acknowledged, or shown to anybody, before the result was asked for."""
    acknowledged = acknowledgements(account)
    shown = Timeline((read.return_us, read.must) for read in account.reads)
    for read in latest:
        demanded = acknowledged.before(read.call_us) | shown.before(read.call_us)
        for tally in tallies:
            _demand(tally, read, demanded)


def _demand(tally: Tally, read: Read, demanded: int) -> None:
    missing = demanded & ~read.may
    missing = missing and lasting(read.account, missing, read.return_us)
    if missing:
        tally.break_(read.place, partial(_recency_witness, read, missing))
    elif demanded & ~read.must & read.may:
        if not read.is_partial:
            tally.leave_open(f"{told(read)}: which of them is not clear.")
    elif demanded:
        tally.hold()


def _recency_witness(read: Read, missing: int) -> Witness:
    bit = (missing & -missing).bit_length() - 1
    write = read.account.writes[bit]
    why = _freshness_in_words(read)
    if write.ack_us < read.call_us:
        when = f"{read.call_us - write.ack_us} microseconds before that was asked"
        return Witness(f"{told(read)}{why}: {lacks(write)}, acknowledged {when}.", numbered(write, read))
    before = next(
        each for each in read.account.reads if each.return_us < read.call_us and each.must >> bit & 1
    )
    story = f"{told(read)}{why}: {lacks(write)}, though before that was asked, {told(before)}."
    return Witness(story, numbered(write, before, read))


def _freshness_in_words(read: Read) -> str:
    if read.operation.freshness.level is Level.LATEST:
        return " with LATEST"
    return ", for want of funds"


def _check_bound(acknowledged: Timeline, read: Read, tally: Tally) -> None:
    demanded = acknowledged.before(read.call_us - read.operation.freshness.bound_us)
    missing = demanded & ~read.may
    missing = missing and lasting(read.account, missing, read.return_us)
    if missing:
        tally.break_(read.place, partial(_bound_witness, read, missing))
    elif demanded & ~read.must & read.may:
        if not read.is_partial:
            tally.leave_open(f"{told(read)}: which of them is not clear.")
    elif demanded:
        tally.hold()


def _bound_witness(read: Read, missing: int) -> Witness:
    write = read.account.writes[(missing & -missing).bit_length() - 1]
    story = (
        f"{told(read)}: {lacks(write)}, acknowledged {read.call_us - write.ack_us} microseconds before "
        "that was "
        f"asked; the bound is {read.operation.freshness.bound_us}."
    )
    return Witness(story, numbered(write, read))


def _check_order(account: Account, latest: list[Read], tally: Tally) -> None:
    """Look for what no order of writes and LATEST results explains, though each result is recent.

    For a set that only grows, a history is linearizable exactly if every result includes what returned before
    it was called (see _check_recency) and nothing called after it returned (evidence.py), any two results are
    one within the other, and no result has a write without another that returned before that one was called.
    Every cycle of what must come before what can be shortened to one of these: of two pairs in the order of
    real time, the one's first is always before the other's second, or the other way round.
    """
    acknowledged = acknowledgements(account)
    exact = [read for read in latest if read.is_exact]
    for read in exact:
        if not read.must:
            continue
        newest = account.writes[read.must.bit_length() - 1]
        missing = acknowledged.before(newest.call_us) & ~read.may
        missing = missing and lasting(account, missing, read.return_us)
        if missing:
            tally.break_(read.place, partial(_gap_witness, read, missing))
        elif acknowledged.before(newest.call_us):
            tally.hold()
    exact.sort(key=lambda read: read.must.bit_count())
    for smaller, larger in pairwise(exact):
        lost = smaller.must & ~larger.may
        if lost and lasting(account, lost, larger.return_us):
            tally.break_(max(smaller.place, larger.place), partial(_fork_witness, smaller, larger))
        elif smaller.must:
            tally.hold()


def _gap_witness(read: Read, missing: int) -> Witness:
    account = read.account
    first = account.writes[(missing & -missing).bit_length() - 1]
    later = account.writes[read.must.bit_length() - 1]
    story = (
        f"{told(read)} with LATEST: {lacks(first)}, though it was acknowledged before "
        f"{named(later.operation)}, "
        "which is shown, was asked for."
    )
    return Witness(story, numbered(first, later, read))


def _fork_witness(smaller: Read, larger: Read) -> Witness:
    account = smaller.account
    lost = smaller.must & ~larger.may
    one = account.writes[(lost & -lost).bit_length() - 1]
    other_mask = larger.must & ~smaller.may
    other = account.writes[(other_mask & -other_mask).bit_length() - 1]
    story = (
        "Two LATEST results each lack what the other shows, so neither can be the earlier one: "
        f"{told(smaller)}; "
        f"{told(larger)}; {lacks(other)} from the first and {lacks(one)} from the second."
    )
    return Witness(story, numbered(one, other, smaller, larger))
