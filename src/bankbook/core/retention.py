"""What need not be kept any longer: old keys, and entries that every branch has.

Decides when a store is told to forget, and what. Must not know how it does, nor how much at a time. Proof:
tests/core/test_retention.py; why nothing is missed: docs/decisions/0015-a-log-need-not-begin-at-1.md.

It goes with commits that happen anyway, so that it keeps up with what is written and an idle branch need not
write; there, once an hour.
"""

from bankbook.core.clock import HybridTime
from bankbook.core.context import Context
from bankbook.core.ports import Drop

_IDLE_EVERY_US = 3600 * 1_000_000

# Some thousand keys go at a time: so a branch that is busy forgets more than it is given.
_KEYS_EVERY_US = 1_000_000


class Retention:
    """The retention of one branch."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._idle_at_us = self._keys_at_us = context.now_us

    def at_heartbeat(self) -> None:
        """Forget what is old, once an hour at least."""
        context = self._context
        if context.now_us >= self._idle_at_us and not context.is_quiet:
            self._idle_at_us = context.now_us + _IDLE_EVERY_US
            self._forget_keys()
            self._drop_entries()

    def settle(self) -> None:
        """Forget what is old with what this step commits anyway. To be called at its end."""
        context = self._context
        if context.is_quiet or not context.state.has_changes:
            return
        if context.now_us >= self._keys_at_us:
            self._forget_keys()
        self._drop_entries()

    def _forget_keys(self) -> None:
        self._keys_at_us = self._context.now_us + _KEYS_EVERY_US
        self._context.state.forget_keys(self._before(self._context.settings.key_retention_us))

    def _drop_entries(self) -> None:
        context, settings = self._context, self._context.settings
        if settings.log_retention_us is None:
            return
        everywhere = context.peers.stable(context.applied)
        if everywhere:
            kept_us = max(settings.log_retention_us, settings.key_retention_us)
            context.state.drop_entries(Drop(self._before(kept_us), everywhere))

    def _before(self, kept_us: int) -> HybridTime:
        return HybridTime(max(self._context.now_ms - kept_us // 1000, 0) << 16)
