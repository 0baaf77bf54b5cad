"""The commands of the traces that are done to machines: they die, start, lose disks, are heard of late.

Decides what each does with a bank. Must not know files. Proof: tests/core/test_traces.py.
"""

from bank_in_one_thread import Stream
from traces.bank import DiesAt, Link, TellingBank
from traces.language import TraceError
from traces.usages import check_runs, usage
from traces.words import origin_name

from bankbook.core.types import Origin


@usage(
    "crash BRANCH [at=MOMENT] [unnoticed=BRANCH]",
    "Kill a branch: now, or just before or after the next commit that has anything to keep. The branch by "
    "which it is `unnoticed` reads on what was under way to it, until `notice`.",
)
def _crash(bank: TellingBank, branch: int, at: DiesAt | None = None, unnoticed: int | None = None) -> None:
    check_runs(bank, branch)
    if at is not None and unnoticed is not None:
        raise TraceError("a branch that dies at a commit is noticed at once; leave out at= or unnoticed=")
    if unnoticed is not None:
        _check_reads(bank, Link(branch, unnoticed))
    if at is None:
        bank.crash(branch, unnoticed)
    else:
        bank.dying[branch] = at


def _check_reads(bank: TellingBank, link: Link) -> None:
    if Stream(link.receiver, link.sender) not in bank.streams:
        raise TraceError(f"branch {link.receiver} reads nothing from branch {link.sender}")


@usage(
    "notice LINK", "The branch at the end of it notices that what it reads there is over, and connects anew."
)
def _notice(bank: TellingBank, link: Link) -> None:
    stream = Stream(link.receiver, link.sender)
    if stream not in bank.half_open:
        raise TraceError(f"nothing from {link.sender} to {link.receiver} is over and unnoticed")
    bank.notice(stream)


@usage(
    "greet STORE at=BRANCH",
    "A greeting of a store that is gone arrives late. Its stream is taken for that of the present one, which "
    "so breaks, and ends at once.",
)
def _greet(bank: TellingBank, store: Origin, at: int) -> None:
    if store.branch not in bank.branches or store.branch == at:
        raise TraceError(f"store {origin_name(store)} is none of another branch of this bank")
    check_runs(bank, at)
    bank.greet(store, at)


@usage("lose-disk BRANCH", "Put an empty disk into a branch that does not run.")
def _lose_disk(bank: TellingBank, branch: int) -> None:
    if branch in bank.replicas:
        raise TraceError(f"branch {branch} runs; begin with: crash {branch}")
    bank.lose_disk(branch)


@usage(
    "return-disk BRANCH",
    "Put the disk back that a branch had lost, as it was; the one it has is put aside, until this is said "
    "again.",
)
def _return_disk(bank: TellingBank, branch: int) -> None:
    if branch in bank.replicas:
        raise TraceError(f"branch {branch} runs; begin with: crash {branch}")
    if branch not in bank.lost_disks:
        raise TraceError(f"branch {branch} lost no disk")
    bank.return_disk(branch)


@usage("restart BRANCH", "Start a branch from its disk.")
def _restart(bank: TellingBank, branch: int) -> None:
    if branch in bank.replicas:
        raise TraceError(f"branch {branch} runs already")
    bank.restart(branch)
