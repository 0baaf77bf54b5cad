"""Saboteurs of sessions and tokens: a customer is shown less than the customer has seen or written."""

from dataclasses import replace
from typing import Any

import pytest
from simulation.saboteurs.kit import Gang

from bankbook.client.token import SessionToken
from bankbook.core import requests as requests_module
from bankbook.core.commands import Level
from bankbook.core.peers import Peer, Peers
from bankbook.core.requests import Requests
from bankbook.core.token import Token
from bankbook.core.types import Seq
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.server.handler import Handler

gang = Gang("sessions and tokens")


@gang
def token_waits_for_nothing(patch: pytest.MonkeyPatch) -> None:
    """What the session has seen and written is not waited for."""
    patch.setattr(requests_module, "awaited_vector", lambda *_: NOTHING)


def _change_token(patch: pytest.MonkeyPatch, change: Any) -> None:
    def release(self: Any, reply: Any) -> None:
        real(self, replace(reply, token=change(reply.token)))

    real = Requests._release
    patch.setattr(Requests, "_release", release)


@gang
def token_forgets_what_was_read(patch: pytest.MonkeyPatch) -> None:
    """The reply's token has no read vector."""
    _change_token(patch, lambda token: replace(token, read=NOTHING))


@gang
def token_forgets_what_was_written(patch: pytest.MonkeyPatch) -> None:
    """The reply's token has no write vector; all four guarantees together do not miss it, one alone does."""
    _change_token(patch, lambda token: replace(token, write=NOTHING))


@gang
def tokens_are_merged_downwards(patch: pytest.MonkeyPatch) -> None:
    """Of two tokens only what both know is kept."""

    def merge(self: Token, other: Token) -> Token:
        if Token() in (self, other):
            return self if other == Token() else other
        return Token(self.read.floor(other.read), self.write.floor(other.write))

    patch.setattr(Token, "merge", merge)


@gang
def client_keeps_the_newer_token_only(patch: pytest.MonkeyPatch) -> None:
    """A session that learns from another one forgets what it knew by itself."""
    patch.setattr(SessionToken, "merge", lambda _self, other: other)


@gang
def answer_has_the_token_of_the_one_before(patch: pytest.MonkeyPatch) -> None:
    """A token is kept from one answer to the next, which may be another customer's."""

    def answer(self: Any, reply: Any, request_id: str) -> Any:
        before = getattr(self, "before", reply.token)
        self.before = reply.token
        return real(self, replace(reply, token=before), request_id)

    real = Handler._answer
    patch.setattr(Handler, "_answer", answer)


@gang
def token_is_pruned_of_what_the_reachable_have(patch: pytest.MonkeyPatch) -> None:
    """A branch that is cut off counts as one that has everything."""

    def stable(self: Any, own: VersionVector) -> VersionVector:
        for peer in self:
            if peer.is_connected:
                own = own.floor(peer.applied)
        return own

    patch.setattr(Peers, "stable", stable)


@gang
def token_is_pruned_of_what_another_has(patch: pytest.MonkeyPatch) -> None:
    """What any other branch has is taken to be everywhere."""

    def stable(self: Any, own: VersionVector) -> VersionVector:
        others = NOTHING
        for peer in self:
            others = others.merge(peer.applied)
        return own.floor(others) if list(self) else own

    patch.setattr(Peers, "stable", stable)


@gang
def local_write_waits_for_nothing(patch: pytest.MonkeyPatch) -> None:
    """A write at LOCAL is let through as a read at LOCAL is, before what its session had seen."""

    def waits(self: Any, held: Any) -> bool:
        if held.request.freshness.level is Level.LOCAL:
            return False
        return real(self, held)

    real = Requests._waits_for_freshness
    patch.setattr(Requests, "_waits_for_freshness", waits)


@gang
def new_disk_is_credited_with_the_old_ones(patch: pytest.MonkeyPatch) -> None:
    """What a branch had on a disk that was lost, it is still believed to have."""

    def begin_life(self: Any, origin: Any) -> None:
        self.origin, self.head, self.head_asked_us = origin, Seq(0), None

    patch.setattr(Peer, "begin_life", begin_life)
