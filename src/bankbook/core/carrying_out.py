"""What is done at the counter once nothing has to be waited for: decide, write, make the reply.

Decides what is written for a decision, and what a reply and its token tell. Must not know who waits, or for
what. Proof: tests/core/test_sessions.py, tests/core/test_keys.py.
"""

from collections.abc import Sequence
from dataclasses import replace

from bankbook.core.commands import (
    Batch,
    MoveResults,
    ReadBalance,
    ReadStatement,
    Reply,
    Request,
    Result,
    accounts_of,
    fingerprint_of,
)
from bankbook.core.context import Context
from bankbook.core.decision import Decision, refusal_of
from bankbook.core.entry import Entry, Keyed, RecordKind
from bankbook.core.holds import Held
from bankbook.core.keys import replay
from bankbook.core.ledger import Teller
from bankbook.core.logs import Logs
from bankbook.core.outcome import Certainty, Outcome
from bankbook.core.statement import decide_past
from bankbook.core.token import Token
from bankbook.core.types import AccountId, ReservationId, reservation_id


def reads_past(request: Request) -> bool:
    """Whether the answer is read from history: from the store, where this step has changed nothing yet."""
    command = request.command
    is_past_balance = isinstance(command, ReadBalance) and command.at_ms is not None
    return is_past_balance or isinstance(command, ReadStatement)


def decide(context: Context, logs: Logs, held: Held) -> Decision:
    """Decide a request's command; nothing is changed yet."""
    request = held.request
    if isinstance(request.command, ReadBalance | ReadStatement) and reads_past(request):
        return decide_past(request.command, context.reader, context.state)
    return Teller(
        context.state,
        context.branch,
        context.now_ms,
        logs.next_entry,
        request.balance_max,
        held.heard,
    ).decide(request.command)


def write(logs: Logs, request: Request, decision: Decision) -> Entry | None:
    """Write what moves money, and whatever a key must find again; return the entry if there is one."""
    records = decision.records
    if not records and request.key is not None and decision.outcome.certainty is Certainty.REFUSED:
        records = (refusal_of(decision),)
    if not records or (request.key is None and not decision.moves_money):
        return None
    keyed = None
    if request.key is not None:
        keyed = Keyed(request.key, fingerprint_of(request.customer, request.command))
    return logs.write(records, request.customer, keyed)


def reply_to(context: Context, held: Held, decision: Decision, entry: Entry | None = None) -> Reply:
    """Return what a request is told, with a token that covers what it read and what it wrote."""
    return _reply(context, held, decision, entry, _token_after(context, held.request, entry))


def refusal_to(context: Context, held: Held, decision: Decision) -> Reply:
    """Return what a request is told that looked at no account; its session knows no more than before."""
    return _reply(context, held, decision, None, held.request.token)


def replay_to(context: Context, held: Held, entry: Entry) -> Reply:
    """Return what the key was told before: the entry's verdicts, as they were."""
    request = held.request
    decision = replay(entry, request.command)
    accounts = accounts_of(request.command) or entry.accounts
    if decision.balance is not None and accounts:
        decision = decision._replace(currency=_currency(context, accounts[0]))
    if isinstance(request.command, Batch):
        decision = decision._replace(results=_counted(context, request.command, decision.results))
    return reply_to(context, held, decision, entry)


def _counted(context: Context, batch: Batch, results: Sequence[Result]) -> Sequence[Result]:
    """Return a batch's results with what their balances count, which no entry says again."""
    done = (place for place, each in enumerate(results) if each.outcome is Outcome.OK)
    if isinstance(results, MoveResults):
        first = next(done, None)  # they are in columns because all of them count the same
        return results if first is None else replace(results, currency=_currency_at(context, batch, first))
    currencies = {place: _currency_at(context, batch, place) for place in done}
    return tuple(each._replace(currency=currencies.get(place, "")) for place, each in enumerate(results))


def _currency_at(context: Context, batch: Batch, place: int) -> str:
    return _currency(context, accounts_of(batch.commands[place])[0])


def _currency(context: Context, account: AccountId) -> str:
    state = context.state.account(account)
    return "" if state is None else state.currency


def _token_after(context: Context, request: Request, entry: Entry | None) -> Token:
    # A refusal is a read too: "the account is open already" must not be followed by "no such account".
    read, write = request.token.read, request.token.write
    accounts = accounts_of(request.command) or (() if entry is None else entry.accounts)
    read = read.merge(context.state.write_set(accounts, context.applied))
    return Token(read, write if entry is None else write.raised(entry.origin, entry.seq))


def _reply(context: Context, held: Held, decision: Decision, entry: Entry | None, token: Token) -> Reply:
    return Reply(
        request=held.request.id,
        outcome=decision.outcome,
        token=token.beyond(context.peers.stable(context.applied)),
        detail=decision.detail,
        balance=decision.balance,
        available=decision.available,
        currency=decision.currency,
        entry=entry.id if entry is not None else None,
        held_us=context.now_us - held.since_us,
        asked=held.asked,
        awaited=tuple(held.awaited[origin] for origin in sorted(held.awaited)),
        branch=decision.branch,
        reservation=_reservation_in(entry),
        results=decision.results,
        statement=decision.statement,
    )


def _reservation_in(entry: Entry | None) -> ReservationId | None:
    if entry is None or len(entry.records) != 1 or entry.records[0].kind is not RecordKind.RESERVATION:
        return None
    return reservation_id(entry.id, 0)
