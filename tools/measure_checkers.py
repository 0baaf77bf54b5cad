"""Measure the checkers on a synthetic history: python tools/measure_checkers.py [OPERATIONS]

The figures in docs/history.md come from here. The history is that of an ideal bank: every branch has what it
decided itself at once and everything else after a fixed delay, and a session that changes branches waits for
as long. Sessions go from branch to branch; deposits, withdrawals, transfers and reads at every level; one
request in a hundred is never answered. Accounts are in use for 30 writes each, with amounts 1, 3, 9, ...
"""

import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from heapq import heapify, heapreplace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from bankbook.checkers import check
from bankbook.core.commands import (
    LATEST,
    LOCAL,
    SESSION,
    Command,
    Deposit,
    Freshness,
    Level,
    ReadBalance,
    Withdraw,
)
from bankbook.core.commands import Transfer as Move
from bankbook.core.outcome import Outcome
from bankbook.core.types import AccountId, Money
from bankbook.history.file import read_history
from bankbook.history.lines import write_history
from bankbook.history.record import Final, Header, History, Item, Operation, Terms

OPERATIONS = 1_000_000
BRANCHES = 5
SESSIONS = 1000
DELAY_US = 200_000
PAUSE_US = 100_000
OPENING = 2**50
WRITES_PER_ACCOUNT = 30
ACCOUNTS_IN_USE = 1000
OWN_ACCOUNTS = 3
LOST, READS, DEPOSITS, WITHDRAWALS = 0.01, 0.5, 0.3, 0.1
"""Which share of the operations; the rest are transfers."""
LEVELS = (SESSION, SESSION, SESSION, SESSION, LATEST, LOCAL, Freshness(Level.BOUNDED, 2 * DELAY_US))


class Ledger:
    """Who wrote what when, account by account."""

    def __init__(self, random: Random) -> None:
        self.moves: dict[AccountId, list[tuple[int, int, int]]] = defaultdict(list)
        self.written: dict[AccountId, int] = defaultdict(int)
        self._random = random
        self._in_use = [AccountId(f"a{number}") for number in range(ACCOUNTS_IN_USE)]
        self._made = ACCOUNTS_IN_USE

    def account(self, session: int) -> AccountId:
        """Choose an account, half the time one of the session's own; used up ones are replaced."""
        at = self._random.randrange(ACCOUNTS_IN_USE)
        if at % 2:
            at = (session + at % OWN_ACCOUNTS) % ACCOUNTS_IN_USE
        if self.written[self._in_use[at]] >= WRITES_PER_ACCOUNT:
            self._in_use[at] = AccountId(f"a{self._made}")
            self._made += 1
        return self._in_use[at]

    def amount(self, *accounts: AccountId) -> Money:
        """Return an amount that none of the accounts has seen, larger than all they have seen together."""
        exponent = max(self.written[account] for account in accounts)
        for account in accounts:
            self.written[account] = exponent + 1
        return Money(3**exponent)

    def balance(self, account: AccountId, branch: int, moment_us: int) -> int:
        """Return what a branch has of an account at a moment."""
        return OPENING + sum(
            amount
            for at_us, where, amount in self.moves[account]
            if at_us <= moment_us - (0 if where == branch else DELAY_US)
        )


def synthetic(count: int, seed: int = 1) -> History:
    """Return the history of an ideal bank."""
    random = Random(seed)  # noqa: S311 (no secret)
    return History(Header("synthetic", BRANCHES, Terms(OPENING, 0)), _items(count, random))


def _items(count: int, random: Random) -> Iterator[Item]:
    ledger = Ledger(random)
    # Each session's next decision: when, its name, where it was last, when it asked.
    queue = [(random.randrange(PAUSE_US), name, 1 + name % BRANCHES, 0) for name in range(SESSIONS)]
    queue = [(decide_us, name, branch, decide_us) for decide_us, name, branch, _ in queue]
    heapify(queue)
    for number in range(1, count + 1):
        decide_us, name, branch, call_us = queue[0]
        command = _command(ledger, random, name)
        freshness = random.choice(LEVELS) if isinstance(command, ReadBalance) else SESSION
        shown_us = decide_us + (DELAY_US if freshness.level is Level.LATEST else 0)
        return_us = shown_us + random.randrange(100, 2000)
        if isinstance(command, ReadBalance):
            # What is written meanwhile is not decided yet, so a LATEST result tells the time of its call.
            balance = _latest(ledger, command.account, decide_us) if shown_us > decide_us else None
        balance = _carry_out(ledger, command, branch, decide_us) if shown_us == decide_us else balance
        is_lost = random.random() < LOST
        yield Operation(
            number,
            f"s{name}",
            branch,
            call_us,
            command,
            None if is_lost else return_us,
            None if is_lost else Outcome.OK,
            freshness=freshness,
            key=None if isinstance(command, ReadBalance) else f"{branch}/k{number}",
            balance=None if is_lost else balance,
        )
        next_branch = random.randrange(1, BRANCHES + 1)
        next_call_us = return_us + random.randrange(PAUSE_US)
        moved = next_branch != branch or shown_us > decide_us
        next_us = max(next_call_us, shown_us + DELAY_US) if moved else next_call_us
        heapreplace(queue, (next_us, name, next_branch, next_call_us))
    for branch in range(1, BRANCHES + 1):
        yield Final(branch, {account: _latest(ledger, account, 2**62) for account in ledger.moves})


def _command(ledger: Ledger, random: Random, session: int) -> Command:
    account, dice = ledger.account(session), random.random()
    if dice < READS:
        return ReadBalance(account)
    if dice < READS + DEPOSITS:
        return Deposit(account, ledger.amount(account))
    other = ledger.account(session)
    if dice < READS + DEPOSITS + WITHDRAWALS or other == account:
        return Withdraw(account, ledger.amount(account))
    return Move(account, other, ledger.amount(account, other))


def _carry_out(ledger: Ledger, command: Command, branch: int, now_us: int) -> int:
    account = AccountId("")
    match command:
        case Deposit(account, amount):
            ledger.moves[account].append((now_us, branch, amount))
        case Withdraw(account, amount):
            ledger.moves[account].append((now_us, branch, -amount))
        case Move(account, other, amount):
            ledger.moves[account].append((now_us, branch, -amount))
            ledger.moves[other].append((now_us, branch, amount))
        case ReadBalance(account):
            pass
    return ledger.balance(account, branch, now_us)


def _latest(ledger: Ledger, account: AccountId, moment_us: int) -> int:
    return OPENING + sum(amount for at_us, _, amount in ledger.moves[account] if at_us <= moment_us)


def main() -> None:
    """Write a history, read it and judge it; tell the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else OPERATIONS
    with TemporaryDirectory() as folder:
        path = Path(folder) / "history.jsonl"
        with path.open("w", encoding="utf-8") as file:
            write_history(synthetic(count), file)
        size_mb = path.stat().st_size / 1e6
        before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{count} operations, {size_mb:.0f} MB as JSON lines; so far {before_mb:.0f} MB of memory")
        start, busy = time.perf_counter(), time.process_time()
        report = check(read_history(path))
        taken, busy = time.perf_counter() - start, time.process_time() - busy
    print(report.in_words())
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    took = f"{taken:.1f} s ({busy:.1f} s of one processor)"
    print(f"read and judged in {took}; {memory_mb:.0f} MB of memory, the generator's included")


if __name__ == "__main__":
    main()
