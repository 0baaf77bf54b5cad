"""The figures, in words for a person.

Decides which figures a person is told. Must not know where they are printed.
Proof: tests/bench/test_words.py, tests/cli/test_bench.py.
"""

from collections.abc import Iterator, Sequence

from bankbook.bench.histogram import Histogram
from bankbook.bench.report import (
    PERCENTILES,
    client_shares,
    durability_in_words,
    notes_on,
    others_share,
    processors_used,
)
from bankbook.bench.run import Measured
from bankbook.bench.settings import Load


def lines_of(measured: Sequence[Measured]) -> Iterator[tuple[str, str]]:
    """Yield lines, each a subject and what is told of it."""
    first = measured[0]
    yield "bank", _bank_in_words(first)
    yield "load", _load_in_words(first.load, len(first.branches))
    yield "durable", durability_in_words(first)
    for each in measured:
        yield "", ""
        yield from _lines(each)


def _lines(measured: Measured) -> Iterator[tuple[str, str]]:
    rate = measured.load.rate
    yield "rate", "as fast as it goes" if rate is None else f"{rate:,.0f} operations are due each second"
    yield "speed", _speed_in_words(measured)
    if rate is not None:
        yield "latency", f"{percentiles_in_words(measured.tally.latency)}, from when it was due"
    yield "service", f"{percentiles_in_words(measured.tally.service)}, from when it was sent"
    if measured.lag.count:
        yield "lag", f"{percentiles_in_words(measured.lag)}, until the other branches have it"
    yield "holds", _holds_in_words(measured)
    yield from (("failed", f"{count:,} {name}") for name, count in _failures(measured))
    for branch, used in measured.used.items():
        yield f"branch {branch}", _used_in_words(processors_used(used.cpu_s, measured), used.memory_bytes)
    yield "clients", _clients_in_words(measured)
    for note in notes_on(measured):
        yield "note", note


def _bank_in_words(measured: Measured) -> str:
    count = len(measured.branches)
    words = f"{measured.cluster}, {count} branch{'' if count == 1 else 'es'}"
    disk = measured.disk
    if disk is not None:
        words += (
            f", stores on {disk.file_system or 'a disk'}, where a sync takes {disk.sync_us / 1000:.2f} ms"
        )
    return words


def _load_in_words(load: Load, branches: int) -> str:
    parts = [
        f"{load.workload} over {load.accounts:,} accounts ({load.skew})",
        f"{load.bulk:,} in a request" if load.bulk > 1 else "",
        f"{load.remote:.0%} elsewhere than usual" if branches > 1 else "",
        f"{load.callers} caller{'' if load.callers == 1 else 's'}{_sharing_in_words(load)}",
        f"seed {load.seed}",
    ]
    return ", ".join(part for part in parts if part)


def _sharing_in_words(load: Load) -> str:
    if load.sessions is None:
        return ""
    return f" who share {load.sessions} session{'' if load.sessions == 1 else 's'}"


def _speed_in_words(measured: Measured) -> str:
    words = f"{measured.per_s:,.0f} operations/s over {measured.elapsed_s:.1f} s"
    everywhere = measured.everywhere_per_s
    if len(measured.branches) > 1 and everywhere is not None:
        words += f"; {everywhere:,.0f}/s until all {len(measured.branches)} branches had them"
    return words


def percentiles_in_words(histogram: Histogram) -> str:
    """Return the percentiles beyond which there are values, and the largest value, in milliseconds."""
    told = [
        f"{name} {_ms(histogram.percentile(percent))}"
        for name, percent in PERCENTILES.items()
        if round(histogram.count * (100 - percent), 6) >= 100  # noqa: PLR2004  (per cent)
    ]
    return "  ".join([*told, f"max {_ms(histogram.largest)}"])


def _ms(us: int) -> str:
    return f"{us / 1000:.2f} ms"


def _holds_in_words(measured: Measured) -> str:
    holds, requests = measured.tally.holds, measured.tally.service.count
    if not holds.count:
        return f"none of {requests:,} requests"
    share = f"{holds.count:,} of {requests:,} requests ({holds.count / requests:.1%})"
    return f"{share}, {percentiles_in_words(holds)}"


def _failures(measured: Measured) -> Iterator[tuple[str, int]]:
    return ((name, count) for name, count in sorted(measured.tally.outcomes.items()) if name != "OK")


def _used_in_words(processors: float, memory_bytes: int) -> str:
    return f"{processors:.0%} of a processor, {memory_bytes / 1e6:.0f} MB"


def _clients_in_words(measured: Measured) -> str:
    shares = client_shares(measured)
    words = f"{len(shares)}, {' and '.join(f'{share:.0%}' for share in shares)} of a processor"
    others = others_share(measured)
    return words if others is None else f"{words}; other programs {others:.0%}"
