"""Ports that a branch can be started at again, also after it was down for a while."""

import os
import random
import socket

# Tests that run at the same time look for ports in parts of their own: none takes what another found free.
_PART = 1_600
_FIRST = 10_000 + _PART * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 6)


def free_port_base(branches: int) -> int:
    """Find a number such that so many ports above it are free now, below those that the system gives out.

    Those it may give to whoever connects to something, while a branch is down that wants its own again. Nor
    are they where branches listen that may listen anywhere.
    """
    for _ in range(100):
        base = random.randrange(_FIRST, _FIRST + _PART - branches)  # noqa: S311  (nobody guesses it)
        if all(_is_free(base + number) for number in range(1, branches + 1)):
            return base
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
