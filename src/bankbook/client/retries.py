"""How a request is tried again: where, when, and with which key.

Decides all of that. Must not know gRPC. Proof: tests/client/test_retries.py.

    certainly nothing happened (RetryableError)    again, at the next branch, under a new key: nobody waits
                                                   for the branch that is down
    the answer was lost (OutcomeUnknownError)      again, at the next branch, under the same key: that branch
                                                   asks the one where the key was born what became of it
    refused (RefusedError)                         told at once
    a wait was used up (see _WAITED_IN_VAIN)       told at once

Once an answer was lost, only what is decided under the same key takes the doubt away.
"""

import random
from dataclasses import replace

from bankbook.client.attempts import Missed
from bankbook.core.outcome import Certainty, Outcome
from bankbook.core.types import KEY_DRAWN_BITS, Key, new_key
from bankbook.wire.status import Failure

# The next branch is tried at once. Once all of them were, the pause between two rounds grows from a blink to
# as long as a branch may need to be started again.
BACKOFF_FIRST_S, BACKOFF_LAST_S = 0.05, 1.0

# How long to try for a connection: a branch that is being restarted is back by then, and one that is
# gone is found out in a time that a person still waits. Whoever is in doubt about money tries on.
CONNECT_TIMEOUT_S = 5.0

# An attempt with less time than this would end by its deadline, and leave a doubt where there is none.
_ATTEMPT_S_MIN = 0.02

# The branch waited for as long as the caller would, or as long as it waits for anybody. To ask it once
# more would only begin the same wait again, and any other branch would wait for the same.
_WAITED_IN_VAIN = {Outcome.HOLD_TIMEOUT, Outcome.RIGHTS_UNREACHABLE, Outcome.DURABILITY_TIMEOUT}

# Told before a branch looks for the key: it says nothing about an earlier attempt.
_AT_SIGHT = {Outcome.INVALID_REQUEST, Outcome.INVALID_TOKEN, Outcome.WRITES_LOST}

# The operating system's: two processes, one of which was forked from the other, never draw the same key.
CHANCE = random.SystemRandom()

# Drawn for a key, more than it needs: so a seed of the simulator goes on meaning the bank that it meant.
_CHANCE_BITS = 128


class Plan:
    """One request's attempts."""

    def __init__(
        self,
        branches: tuple[int, ...],
        deadline: float,
        now: float,
        *,
        is_write: bool,
        key: Key | None = None,
        is_retried: bool = True,
        chance: random.Random = CHANCE,
    ) -> None:
        """Begin at `now`, at the first of `branches`; times are in seconds by one clock.

        A write without a `key` gets one, drawn from `chance`.
        """
        self._branches = branches if is_retried else branches[:1]
        self._began, self.deadline = now, deadline
        self._is_retried = is_retried
        self._chance = chance
        self._makes_keys = is_write and key is None
        self._attempts = 0
        self._was_reached = False
        self._lost: Failure | None = None
        self.key = self._new_key(now) if self._makes_keys else key

    @property
    def branch(self) -> int:
        """Which branch to try now."""
        return self._branches[self._attempts % len(self._branches)]

    @property
    def wait_s(self) -> float | None:
        """How long to wait for a connection; None where another branch can be tried instead."""
        return CONNECT_TIMEOUT_S if len(self._branches) == 1 else None

    @property
    def is_in_doubt(self) -> bool:
        """Whether an answer was lost on the way."""
        return self._lost is not None

    def pause_after(self, missed: Missed, now: float) -> float | None:
        """Return how many seconds to wait until the next attempt; None where there is none."""
        if missed.failure.outcome.certainty is Certainty.UNKNOWN:
            self._lost = missed.failure
        self._was_reached |= missed.was_sent
        if not self._is_retried or not self._helps(missed, now):
            return None
        rounds, rest = divmod(self._attempts + 1, len(self._branches))
        pause_s = 0.0 if rest else _backoff(rounds, self._chance)
        if now + pause_s + _ATTEMPT_S_MIN > self.deadline:
            return None
        self._attempts += 1
        if self._makes_keys and not self.is_in_doubt:
            self.key = self._new_key(now)
        return pause_s

    def verdict(self, failure: Failure) -> Failure:
        """Return what the caller is told where `failure` came of the last attempt."""
        certainty = failure.outcome.certainty
        is_certain = certainty is Certainty.REFUSED and failure.outcome not in _AT_SIGHT
        if self._lost is None or certainty is Certainty.UNKNOWN or is_certain:
            return failure
        detail = f"{self._lost.detail}; and when it was asked for again: {failure.detail}"
        return replace(self._lost, detail=detail, info=failure.info)

    def doubt(self) -> Failure:
        """Return what the caller is told where nothing was tried since an answer was lost."""
        assert self._lost is not None, "an answer was lost"
        return self._lost

    def _helps(self, missed: Missed, now: float) -> bool:
        """Whether another attempt may end better."""
        failure = missed.failure
        if failure.outcome.certainty is Certainty.REFUSED or failure.outcome in _WAITED_IN_VAIN:
            return False
        if failure.outcome is Outcome.BRANCH_UNREACHABLE and failure.info is not None:
            return False  # a branch waited in vain for another one
        if missed.was_sent or self._was_reached or self.is_in_doubt:
            return True
        return now - self._began < CONNECT_TIMEOUT_S

    def _new_key(self, now: float) -> Key:
        drawn = self._chance.getrandbits(_CHANCE_BITS) >> (_CHANCE_BITS - KEY_DRAWN_BITS)
        return new_key(self.branch, int(now * 1000), drawn)


def _backoff(rounds: int, chance: random.Random) -> float:
    longest = min(BACKOFF_FIRST_S * 2.0 ** min(rounds - 1, 32), BACKOFF_LAST_S)
    return longest * chance.uniform(0.5, 1.0)
