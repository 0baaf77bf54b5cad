"""One customer's request, from whichever protocol: checked, carried out by the core, logged.

Decides what of a request can be refused before the core sees it, and how much of the caller's time is
kept for the answer's way back. Must not know any protocol. Proof: tests/server/test_handler.py.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import NamedTuple

import structlog

from bankbook.core.clock import Instant
from bankbook.core.commands import (
    Capture,
    Command,
    Release,
    Reply,
    Request,
    access_of,
    accounts_of,
    outcomes_of,
)
from bankbook.core.guarantees import Access
from bankbook.core.outcome import Certainty, Outcome
from bankbook.core.token import TokenCodec, TokenError
from bankbook.core.types import BALANCE_MAX, KEY_DRAWN_BITS, BranchId, Key, Money, new_key
from bankbook.server.calls import request_name
from bankbook.server.driver import Driver
from bankbook.server.machine import read_clocks
from bankbook.wire.replies import ReplyInfo
from bankbook.wire.requests import Envelope
from bankbook.wire.status import Failure

# What of a caller's time is left for the answer, so that a hold ends with a typed error and not with
# the caller hanging up: a tenth, and never more than this.
_RETURN_SHARE, _RETURN_MAX_S = 0.1, 0.2

# Of a name in the log: all of a good one, and enough of a bad one.
_LOGGED_CHARACTERS_MAX = 64


class Call(NamedTuple):
    """How a request came in."""

    method: str
    remaining_s: float | None
    """Until the caller hangs up; None where it waits for ever."""
    request_id: str | None = None
    balance_max: Money = BALANCE_MAX
    """The largest balance that the caller's protocol can be told."""


class Success(NamedTuple):
    """A request that was carried out."""

    reply: Reply
    info: ReplyInfo


class Handler:
    """Serves the requests of all protocols of one branch."""

    def __init__(
        self,
        branch: BranchId,
        driver: Driver,
        codec: TokenCodec,
        hold_limit_us: int,
        clocks: Callable[[], Instant] = read_clocks,
    ) -> None:
        self._branch = branch
        self._driver = driver
        self._codec = codec
        self._hold_limit_us = hold_limit_us
        self._clocks = clocks
        self._log = structlog.get_logger().bind()  # once, and not with each line

    async def handle(self, command: Command, envelope: Envelope, call: Call) -> Success | Failure:
        """Carry out a request, hold it first if need be, and say how it ended."""
        try:
            token = self._codec.decode(envelope.token)
        except TokenError as error:
            return self.refuse(Outcome.INVALID_TOKEN, str(error), call, envelope.customer)
        request = Request(
            id=self._driver.next_request(),
            command=command,
            deadline_us=self._deadline_us(call.remaining_s),
            customer=envelope.customer,
            token=token,
            guarantees=envelope.guarantees,
            freshness=envelope.freshness,
            balance_max=call.balance_max,
            key=envelope.key or self._new_key(command),
            durable=envelope.durable,
            at_hand=envelope.at_hand,
        )
        request_id = request_name(call.request_id)
        try:
            reply = await self._driver.ask(request)
        except asyncio.CancelledError:
            # No outcome: nobody is told one. What was decided all the same stands in its entry's line.
            self._log.info(
                "request.abandoned",
                request=request_id,
                method=call.method,
                customer=request.customer[:_LOGGED_CHARACTERS_MAX],
                **_about(request),
            )
            raise
        self._log_reply(request, reply, call, request_id)
        return self._answer(reply, request_id)

    def _new_key(self, command: Command) -> Key | None:
        """Return a key for a write whose caller made none: what another branch has to decide needs one."""
        if Access.WRITE not in access_of(command):
            return None
        made_ms = self._clocks().monotonic_us // 1000
        return new_key(self._branch, made_ms, secrets.randbits(KEY_DRAWN_BITS))

    def _deadline_us(self, remaining_s: float | None) -> int:
        now_us = self._clocks().monotonic_us
        if remaining_s is None:
            return now_us + self._hold_limit_us
        return now_us + int(1e6 * (remaining_s - min(_RETURN_SHARE * remaining_s, _RETURN_MAX_S)))

    def _answer(self, reply: Reply, request_id: str) -> Success | Failure:
        info = ReplyInfo(
            token=self._codec.encode(reply.token),
            branch=self._branch,
            held_us=reply.held_us,
            asked=reply.asked,
            awaited=reply.awaited,
            request_id=request_id,
        )
        if reply.outcome.certainty is Certainty.DONE:
            return Success(reply, info)
        return Failure(
            reply.outcome,
            reply.detail,
            info,
            reply.branch,
            reply.balance,
            reply.available,
            _first_refused(reply),
        )

    def refuse(self, outcome: Outcome, detail: str, call: Call, customer: str = "") -> Failure:
        """Refuse a request that is not worth the core's while. It changes nothing of the session."""
        self._log.info(
            "request",
            request=request_name(call.request_id),
            method=call.method,
            customer=customer[:_LOGGED_CHARACTERS_MAX],
            outcome=outcome.name,
            detail=detail,
        )
        return Failure(outcome, detail)

    def _log_reply(self, request: Request, reply: Reply, call: Call, request_id: str) -> None:
        if not self._log.is_enabled_for(logging.INFO):
            return
        optional = {
            "detail": reply.detail,
            "entry": str(reply.entry) if reply.entry else "",
            "held_ms": reply.held_us / 1000,
            "asked": reply.asked,
            "held_for": [f"{gap.origin}#{gap.needs}" for gap in reply.awaited],
            "reservation": reply.reservation or "",
            "results": {outcome.name: count for outcome, count in outcomes_of(reply.results).items()},
            "lines": len(reply.statement.lines) if reply.statement else 0,
            "replayed": reply.is_replayed,
        }
        self._log.info(
            "request",
            request=request_id,
            method=call.method,
            customer=request.customer[:_LOGGED_CHARACTERS_MAX],
            outcome=reply.outcome.name,
            balance=reply.balance,
            **{**_about(request), **{name: value for name, value in optional.items() if value}},
        )


def _about(request: Request) -> dict[str, str]:
    """Return what a request is about, for the log: by its key, all lines about one write can be found."""
    told = {}
    if request.key is not None:
        told["key"] = request.key[:_LOGGED_CHARACTERS_MAX]
    if isinstance(request.command, Capture | Release):
        told["reservation"] = request.command.reservation[:_LOGGED_CHARACTERS_MAX]
    for account in accounts_of(request.command)[:1]:
        told["account"] = account[:_LOGGED_CHARACTERS_MAX]
    return told


def _first_refused(reply: Reply) -> int | None:
    """Return which command of an all-or-nothing batch was refused first, from 1."""
    for number, result in enumerate(reply.results, start=1):
        if result.outcome not in {Outcome.OK, Outcome.BATCH_ABORTED}:
            return number
    return None
