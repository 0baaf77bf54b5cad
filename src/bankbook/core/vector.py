"""Version vectors: what a branch has, what a token names, what an entry depends on.

Decides nothing; compares and merges. Must not know what the numbers are used for.
Proof: tests/core/test_vector.py.

Source: Parker et al., "Detection of Mutual Inconsistency in Distributed Systems" (1983), section II.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bankbook.core.types import Origin, Seq

_ZERO = Seq(0)


class Gap(NamedTuple):
    """One component in which a vector is behind another."""

    origin: Origin
    has: Seq
    needs: Seq


class VersionVector:
    """An immutable map: origin → highest seq, contiguous from 1. An origin that is absent stands at 0."""

    __slots__ = ("_seqs",)

    def __init__(self, components: Iterable[tuple[Origin, Seq]] = ()) -> None:
        self._seqs: dict[Origin, Seq] = {origin: seq for origin, seq in components if seq > 0}

    def __getitem__(self, origin: Origin) -> Seq:
        return self._seqs.get(origin, _ZERO)

    def __iter__(self) -> Iterator[tuple[Origin, Seq]]:
        """Yield the components that are above 0, in the order of their origins."""
        components = self._seqs.items()
        return iter(sorted(components) if len(components) > 1 else components)

    def __len__(self) -> int:
        return len(self._seqs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VersionVector) and self._seqs == other._seqs

    def __hash__(self) -> int:
        return hash(frozenset(self._seqs.items()))

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{origin}: {seq}" for origin, seq in self) + "}"

    def dominates(self, other: "VersionVector") -> bool:
        """Whether every component is at least that of `other`: whatever `other` has, this has."""
        mine = self._seqs
        for origin, needs in other._seqs.items():  # noqa: SIM110  (a generator for each would cost more)
            if mine.get(origin, _ZERO) < needs:
                return False
        return True

    def merge(self, other: "VersionVector") -> "VersionVector":
        """Return the component-wise maximum: the least vector that dominates both."""
        if self.dominates(other):
            return self
        merged = dict(self._seqs)
        for origin, seq in other._seqs.items():
            merged[origin] = max(merged.get(origin, _ZERO), seq)
        return _vector(merged)

    def raised(self, origin: Origin, seq: Seq) -> "VersionVector":
        """Return this vector with `origin` at `seq` at least."""
        if self[origin] >= seq:
            return self
        return _vector({**self._seqs, origin: seq})

    def behind(self, other: "VersionVector") -> Iterator[Gap]:
        """Yield a gap for each component in which `other` is ahead, in the order of the origins."""
        for origin, needs in other:
            has = self[origin]
            if has < needs:
                yield Gap(origin, has, needs)

    def first_gap(self, other: "VersionVector") -> Gap | None:
        """Return one component in which `other` is ahead, or None where this dominates it."""
        mine = self._seqs
        for origin, needs in other._seqs.items():
            has = mine.get(origin, _ZERO)
            if has < needs:
                return Gap(origin, has, needs)
        return None

    def beyond(self, other: "VersionVector") -> "VersionVector":
        """Return only the components that are above those of `other`."""
        known = other._seqs
        return _vector({origin: seq for origin, seq in self._seqs.items() if seq > known.get(origin, _ZERO)})

    def floor(self, other: "VersionVector") -> "VersionVector":
        """Return the component-wise minimum: what both have."""
        return VersionVector(
            (origin, min(seq, other[origin])) for origin, seq in self._seqs.items() if origin in other._seqs
        )


def _vector(seqs: dict[Origin, Seq]) -> VersionVector:
    """Return the vector of these components, all above 0."""
    vector = VersionVector.__new__(VersionVector)
    vector._seqs = seqs
    return vector


NOTHING = VersionVector()
"""The vector of a branch that has no entry at all."""
