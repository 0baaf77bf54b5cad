"""What is left once everything has arrived everywhere: nothing acknowledged is lost, and all branches agree.

Decides durability and convergence from the last section of a history, and whether a branch ends with half a
transfer. Must not know how anybody got there. Proof: tests/checkers/test_anomalies.py.

Sources: Gray and Reuter, "Transaction Processing" (1993), section 1.2, for durability; Shapiro, Preguica,
Baquero and Zawirski, "Conflict-free replicated data types" (SSS 2011), section 2, for strong eventual
convergence: branches that have the same set of writes are in the same state.
"""

from functools import partial

from bankbook.checkers.effects import NEVER, Standing
from bankbook.checkers.evidence import Account, Evidence, Snapshot, bits_of
from bankbook.checkers.once import FINAL
from bankbook.checkers.verdict import Tally, Verdict, Witness
from bankbook.checkers.words import lacks, names_of, numbered, numbers, told

NO_END = "the history does not tell what the branches held at the end"


def check_durability(evidence: Evidence) -> Verdict:
    """Demand what was acknowledged or shown to anybody, unless it may have gone with a disk."""
    tally = Tally("durability", NO_END if not evidence.snapshots else "nothing was acknowledged")
    for account in evidence.by_index:
        demanded = _demanded(account)
        if not demanded:
            continue
        for snapshot in evidence.snapshots:
            shown = snapshot.shown.get(account.index)
            if shown is None:
                continue
            missing = demanded & ~shown.may
            if missing:
                tally.break_(FINAL, partial(_lost_witness, account, missing, snapshot))
            elif demanded & ~shown.must:
                tally.leave_open(f"what branch {snapshot.final.branch} held on {account.id} is not clear.")
            else:
                tally.hold(demanded.bit_count())
    return tally.verdict()


def _demanded(account: Account) -> int:
    demanded = 0
    for bit, write in enumerate(account.writes):
        if write.standing is Standing.ACKNOWLEDGED and write.until_us == NEVER:
            demanded |= 1 << bit
    for read in account.reads:
        demanded |= read.must
    gone = sum(1 << bit for bit, write in enumerate(account.writes) if write.until_us != NEVER)
    return demanded & ~gone


def _lost_witness(account: Account, missing: int, snapshot: Snapshot) -> Witness:
    write = account.writes[(missing & -missing).bit_length() - 1]
    final = snapshot.final
    story = (
        f"At the end branch {final.branch} has {final.balances[account.id]} on {account.id}: {lacks(write)}"
    )
    if write.standing is Standing.ACKNOWLEDGED:
        return Witness(f"{story}, though it was acknowledged.", numbered(write))
    bit = next(bit for index, bit in write.bits if index == account.index)
    read = next(each for each in account.reads if each.must >> bit & 1)
    return Witness(f"{story}, though it was shown before: {told(read)}.", numbered(write, read))


def check_convergence(evidence: Evidence) -> Verdict:
    """Demand of every branch the same set of writes to each account."""
    if not evidence.snapshots:
        return Tally("convergence", NO_END).verdict()
    tally = Tally("convergence", "only one branch's end is told, or nothing was written")
    told_of = {snapshot.final.branch for snapshot in evidence.snapshots}
    for branch in range(1, evidence.header.branches + 1):
        if branch not in told_of:
            tally.leave_open(f"the history does not tell what branch {branch} held at the end.")
    first, *others = evidence.snapshots
    for other in others:
        for account in evidence.by_index:
            _compare(account, first, other, tally)
    return tally.verdict()


def _compare(account: Account, first: Snapshot, other: Snapshot, tally: Tally) -> None:
    one, two = first.final.balances.get(account.id), other.final.balances.get(account.id)
    if one is None or two is None:
        if account.writes:
            tally.leave_open(f"not every branch tells the balance of {account.id}.")
    elif one != two:
        # Whatever the two sets are, one set cannot give two sums.
        tally.break_(FINAL, partial(_fork_witness, account, first, other))
    elif account.writes:
        shown = first.shown.get(account.index), other.shown.get(account.index)
        if all(each is not None and each.must == each.may for each in shown):
            tally.hold(len(account.writes))
        else:
            tally.leave_open(f"the balance of {account.id} does not tell which writes it includes.")


def _fork_witness(account: Account, first: Snapshot, other: Snapshot) -> Witness:
    sides, differ = [], 0
    masks = [snapshot.shown.get(account.index) for snapshot in (first, other)]
    for snapshot, shown in zip((first, other), masks, strict=True):
        balance = snapshot.final.balances[account.id]
        sides.append(f"branch {snapshot.final.branch} has {balance}")
        if shown is not None and shown.must == shown.may:
            sides[-1] += f" ({names_of(account, shown.must) if shown.must else 'no operation'})"
            differ ^= shown.must
    is_exact = all(shown is not None and shown.must == shown.may for shown in masks)
    found = tuple(account.writes[bit].number for bit in bits_of(differ)) if is_exact else ()
    story = f"At the end the branches disagree on {account.id}: {' and '.join(sides)}"
    return Witness(f"{story}; they differ in {numbers(found)}." if found else f"{story}.", found)


def check_halves(evidence: Evidence, tally: Tally) -> None:
    """Look for a branch that ends with one side of a transfer and not with another."""
    for snapshot in evidence.snapshots:
        for index, shown in snapshot.shown.items():
            account = evidence.by_index[index]
            for bit in bits_of(shown.must & account.shared):
                write = account.writes[bit]
                for other, other_bit in write.bits:
                    there = snapshot.shown.get(other)
                    if other == index or there is None:
                        continue
                    if there.may >> other_bit & 1:
                        tally.hold()
                    else:
                        lacking = evidence.by_index[other]
                        story = (
                            f"At the end branch {snapshot.final.branch} shows one side of a transfer, on "
                            f"{account.id}, and not the other, on {lacking.id}: {lacks(write)} there."
                        )
                        tally.break_(FINAL, partial(Witness, story, numbered(write)))
