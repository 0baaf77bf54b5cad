"""Ports that a branch can be started at again, also after it was down for a while."""

import random
import socket


def free_port_base(branches: int) -> int:
    """Find a number such that so many ports above it are free now, below those that the system gives out.

    Those it may give to whoever connects to something, while a branch is down that wants its own again. Nor
    are they where branches listen that may listen anywhere.
    """
    for _ in range(100):
        base = random.randrange(10_000, 19_700)  # noqa: S311  (other tests look for ports at the same time)
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
