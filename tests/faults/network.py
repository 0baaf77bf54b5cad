"""The network of a bank: a proxy on every way to a branch, from another one or from where customers are.

Decides which proxies stand between whom. Must not know why something is cut.
Proof: tests/faults/test_faults.py.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from faults.proxy import Condition, Proxy, Way

Node: TypeAlias = int | str
"""A branch by its number, or a place where customers are by its name."""


class Link(NamedTuple):
    """Who opens a connection to which branch."""

    here: Node
    there: int


class Direction(NamedTuple):
    """Everything that one says to another, whichever of the two opened the connection."""

    sender: Node
    receiver: Node

    def __str__(self) -> str:
        return f"{self.sender}->{self.receiver}"


class Network:
    """All proxies of one bank."""

    def __init__(self, branches: Iterable[int], places: Iterable[str]) -> None:
        self.branches = tuple(branches)
        nodes: list[Node] = [*self.branches, *places]
        self._proxies = {
            Link(here, there): Proxy() for there in self.branches for here in nodes if here != there
        }

    async def open(self) -> None:
        """Begin to listen everywhere."""
        for proxy in self._proxies.values():
            await proxy.open()

    async def close(self) -> None:
        """End; no port is left."""
        for proxy in self._proxies.values():
            await proxy.close()

    def addresses(self, here: Node) -> dict[int, str]:
        """Return where the branches, other than itself, are found from there."""
        return {link.there: proxy.address for link, proxy in self._proxies.items() if link.here == here}

    def place(self, branch: int, address: str) -> None:
        """Say where a branch really is."""
        for link, proxy in self._proxies.items():
            if link.there == branch:
                proxy.target = address

    def worsen(self, directions: Iterable[Direction], condition: Condition) -> None:
        """Let something be wrong with everything that goes in these directions."""
        for way in self._ways(directions):
            way.add(condition)

    def mend(self, directions: Iterable[Direction], condition: Condition) -> None:
        """Take it away again."""
        for way in self._ways(directions):
            way.remove(condition)

    def refuse(self, links: Iterable[Link]) -> None:
        """Break connections with a reset, and each that is opened."""
        for link in links:
            self._proxies[link].refuse()

    def admit(self, links: Iterable[Link]) -> None:
        """Take that back."""
        for link in links:
            self._proxies[link].admit()

    def _ways(self, directions: Iterable[Direction]) -> list[Way]:
        ways = []
        for sender, receiver in directions:
            for link, proxy in self._proxies.items():
                if link == (sender, receiver):
                    ways.append(proxy.there)
                elif link == (receiver, sender):
                    ways.append(proxy.back)
        return ways
