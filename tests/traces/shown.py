"""What a trace can be shown of its bank.

Decides nothing. Must not know how a line is taken apart. Proof: tests/testdata, where it stands.
"""

from collections.abc import Callable

from traces.bank import TellingBank
from traces.language import TraceError
from traces.words import (
    branch_words,
    entry_name,
    entry_words,
    listed,
    origin_name,
    token_words,
    vector_words,
    why_held,
)

from bankbook.core.types import AccountId


def _show_balances(bank: TellingBank, account: str) -> list[str]:
    lines = []
    for branch, replica in sorted(bank.replicas.items()):
        state = replica._context.state.account(AccountId(account))
        balance = "is not open" if state is None else f"has {state.balance}"
        lines.append(f"at branch {branch} {account} {balance}")
    return lines


def _show_rights(bank: TellingBank, account: str) -> list[str]:
    """Return for each branch what it knows of who may take out how much."""
    lines = []
    for branch, replica in sorted(bank.replicas.items()):
        rights = replica._context.state.rights(AccountId(account))
        known = (f"branch {holder} {amount}" for holder, amount in sorted(rights.items()))
        lines.append(f"as {branch} knows, of {account} may take out: {', '.join(known)}")
    return lines


def _show_log(bank: TellingBank, branch: str) -> list[str]:
    if not branch.isdecimal() or int(branch) not in bank.branches:
        raise TraceError(f"{branch!r} is none of {branch_words(bank.branches)}")
    store = bank.stores[int(branch)]
    lines = []
    for origin, seq in store.applied():
        kept_after = store.dropped()[origin]
        entries = store.entries(origin, kept_after, seq - kept_after)
        lines += [f"{entry_name(entry.id)}: {entry_words(entry)}" for entry in entries]
    return lines


def _show_entries(bank: TellingBank, _: str) -> list[str]:
    return [f"{branch} has {vector_words(bank.stores[branch].applied())}" for branch in bank.branches]


def _show_token(bank: TellingBank, customer: str) -> list[str]:
    if customer not in bank.sessions:
        raise TraceError(f"{customer!r} has no session yet")
    size = len(bank.encoded_token(customer))
    return [f"{customer}'s token: {token_words(bank.token_of(customer))}; {size} bytes"]


def _show_held(bank: TellingBank, _: str) -> list[str]:
    return [
        f"{branch} holds {bank.words_of_held(branch, held)}: {why_held(held, replica)}"
        for branch, replica in sorted(bank.replicas.items())
        for held in replica.status().held
    ]


def _show_under_way(bank: TellingBank, _: str) -> list[str]:
    return [
        f"from {letter.sender} to {letter.receiver}: {bank.words_of(letter)}"
        for letter in bank.told_letters()
    ]


def _show_sources(bank: TellingBank, _: str) -> list[str]:
    lines = []
    for branch, replica in sorted(bank.replicas.items()):
        sources = sorted(replica.status().sources.items())
        fetched = (f"log {origin_name(origin)} from branch {source}" for origin, source in sources)
        lines.append(f"{branch} fetches {listed(fetched) or 'nothing'}")
    return lines


SUBJECTS: dict[str, Callable[[TellingBank, str], list[str]]] = {
    "balances": _show_balances,
    "entries": _show_entries,
    "held": _show_held,
    "log": _show_log,
    "rights": _show_rights,
    "sources": _show_sources,
    "token": _show_token,
    "under-way": _show_under_way,
}
