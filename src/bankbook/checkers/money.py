"""Conservation: money comes from and goes to where it was asked to, and nowhere else.

Decides whether every balance is the opening balance and some set of what was asked for, and whether at the
end all accounts of a branch together hold what was put in less what was taken out. Must not know which set is
right. Proof: tests/checkers/test_anomalies.py.

Source: the total-balance check of Jepsen's bank test (Kingsbury, "Jepsen: Percona XtraDB Cluster", 2015,
section "Snapshot isolation"), here for one branch at a time, with requests whose outcome is unknown.
"""

from functools import partial

from bankbook.checkers.decoding import Budget, Decoder
from bankbook.checkers.effects import NEVER, Standing, Write
from bankbook.checkers.evidence import Account, Evidence, Read, Snapshot
from bankbook.checkers.once import FINAL, suspect
from bankbook.checkers.verdict import Tally, Verdict, Witness
from bankbook.checkers.words import named, numbered


def check_conservation(evidence: Evidence) -> Verdict:
    """Judge every balance that was told, and what each branch holds at the end."""
    tally = Tally("conservation", "no balance was told of an account that was written to")
    for account in evidence.by_index:
        for read in account.unexplained:
            tally.break_(read.place, partial(_read_witness, read))
        told = sum(read.balance is not None for read in account.reads)
        if not account.writes or not told:
            continue
        if account.is_known and not account.decoder.has_given_up:
            tally.hold(told)
        else:
            tally.leave_open(f"what was written to {account.id} has too many sums, or amounts not told.")
    for snapshot in evidence.snapshots:
        for account in snapshot.unexplained:
            tally.break_(FINAL, partial(_final_witness, snapshot, account))
        _check_total(evidence, snapshot, tally)
    return tally.verdict()


def _read_witness(read: Read) -> Witness:
    account = read.account
    story = (
        f"{named(read.operation)} was told {_what(read)} of {account.id}, which no set of requests explains"
    )
    suspicion = suspect(account, read.balance, read.count)
    if suspicion is None:
        return Witness(f"{story}, made before or while it was told.", numbered(read))
    return Witness(f"{story}, unless {suspicion.in_words}.", numbered(suspicion.write, read))


def _what(read: Read) -> str:
    if read.stated is None:
        return f"the balance {read.balance}"
    return "a statement" if read.balance is None else f"the balance {read.balance} and a statement"


def _final_witness(snapshot: Snapshot, account: Account) -> Witness:
    balance = snapshot.final.balances[account.id]
    where = f"At the end branch {snapshot.final.branch} has {balance} on {account.id}"
    story = f"{where}, which no set of requests explains"
    suspicion = suspect(account, balance, len(account.writes))
    if suspicion is None:
        return Witness(f"{story}.")
    return Witness(f"{story}, unless {suspicion.in_words}.", numbered(suspicion.write))


def _check_total(evidence: Evidence, snapshot: Snapshot, tally: Tally) -> None:
    held = snapshot.final.balances
    written = [account for account in evidence.by_index if account.writes]
    if not written:
        return
    absent = [account.id for account in written if account.id not in held]
    if absent:
        tally.leave_open(f"branch {snapshot.final.branch} tells no balance of {absent[0]} at the end.")
        return
    if not all(account.is_known for account in written):
        tally.leave_open("the history does not tell what some writes move.")
        return
    moved = sum(held[account.id] - account.terms.balance for account in written)
    moved -= sum(_net(write) for write in evidence.writes if _is_certain(write))
    doubtful = [net for write in evidence.writes if _is_doubtful(write) and (net := _net(write))]
    if Decoder(doubtful, Budget()).decode(moved, len(doubtful)) is None:
        tally.break_(FINAL, partial(_total_witness, evidence, snapshot, moved))
    else:
        tally.hold()


def _net(write: Write) -> int:
    return sum(amount or 0 for _, amount in write.amounts)


def _is_certain(write: Write) -> bool:
    return write.standing is Standing.ACKNOWLEDGED and write.until_us == NEVER


def _is_doubtful(write: Write) -> bool:
    return write.standing is not Standing.REFUSED and not _is_certain(write)


def _total_witness(evidence: Evidence, snapshot: Snapshot, difference: int) -> Witness:
    what = "more" if difference > 0 else "less"
    story = (
        f"At the end all accounts at branch {snapshot.final.branch} together hold {abs(difference)} "
        f"{what} than "
        "what was put in less what was taken out"
    )
    for write in evidence.writes:
        if _net(write) == -difference and _is_certain(write):
            return Witness(f"{story}, as if {named(write.operation)} had not happened.", numbered(write))
        if len(write.amounts) > 1 and any(amount == -difference for _, amount in write.amounts):
            return Witness(f"{story}, as if half of {named(write.operation)} had happened.", numbered(write))
    return Witness(f"{story}.")
