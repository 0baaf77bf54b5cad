"""Redis: a transfer as a script (redis.lua).

Decides the settings of the server, and who calls it: redis-benchmark, a client in C. Must not know of
Bankbook. Proof: tests/alternatives/test_alternatives.py.
"""

import asyncio
import csv
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bankbook.bench.workload import AMOUNT
from benchmarks.asking import WARMUP_S, require_books
from benchmarks.cases import BenchmarkError, Case, Result, System, Unit
from benchmarks.packages import libraries, require
from benchmarks.processes import ANSWER_S, HOST, free_port, is_listening, server, tool
from benchmarks.transfers import ACCOUNTS, BULK, OPENING_BALANCE, Transfer

SETTINGS = {"appendonly": "yes", "appendfsync": "always", "save": '""'}

SCRIPT = (Path(__file__).parent / "redis.lua").read_text()

# What redis-benchmark puts in place of a placeholder has so many digits.
_DIGITS = 12
_PLACEHOLDER = "__rand_int__"
# A command's key is several of them in a row, of 10,000 values each: two that are the same do not come up.
_KEY_PLACEHOLDERS = 4

# Requests of each caller, or pipelines of them, by which the speed is guessed.
_GUESS_ROUNDS = 5


@dataclass(slots=True)
class Redis:
    """A server that runs, with accounts in it."""

    folder: Path
    port: int
    script: str = ""
    runs: int = 0
    """Of redis-benchmark, so far."""
    acknowledged: int = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Yield a connection of redis-py."""
        import redis.asyncio  # noqa: PLC0415  (an optional package, needed here only)

        async with redis.asyncio.Redis(
            host=HOST, port=self.port, decode_responses=True, socket_timeout=ANSWER_S
        ) as connection:
            yield connection

    def benchmark(self, callers: int, asking: "Asking", requests: int) -> "_Told":
        """Let redis-benchmark make so many requests. Raises BenchmarkError."""
        self.runs += 1
        command = [require("redis-benchmark"), "-h", HOST, "-p", str(self.port), "--csv", "-r", str(ACCOUNTS)]
        command += ["-c", str(callers), "-P", str(asking.pipeline), "-n", str(requests)]
        transfers = asking.transfers * self._transfer()
        command += ["EVALSHA", self.script, str(len(transfers)), *transfers, str(AMOUNT)]
        told = _read(tool(command, self.folder, environment=libraries()))
        self.acknowledged += requests * asking.transfers
        return _Told(told.per_s * asking.transfers, told.p50_ms)

    def _transfer(self) -> list[str]:
        """Return the keys of a transfer; the run is among them, as two runs may draw the same by chance."""
        account = f"account/{_PLACEHOLDER}"
        return [account, account, f"command/{self.runs}/{_PLACEHOLDER * _KEY_PLACEHOLDERS}"]


class Asking(NamedTuple):
    """How transfers are asked for."""

    pipeline: int = 1
    """Requests that are under way at a time."""
    transfers: int = 1
    """In a request."""


class _Told(NamedTuple):
    """What redis-benchmark tells."""

    per_s: float
    p50_ms: float


def _read(told: str) -> _Told:
    rows = list(csv.DictReader(told.splitlines()))
    if not rows or "rps" not in rows[0]:
        raise BenchmarkError(f"redis-benchmark told no figures:\n{told}")
    return _Told(float(rows[0]["rps"]), float(rows[0]["p50_latency_ms"]))


def account_key(number: int) -> str:
    """Return where an account's balance is."""
    return f"account/{number:0{_DIGITS}d}"


def _keys_of(transfer: Transfer) -> tuple[str, str, str]:
    return account_key(transfer.source), account_key(transfer.destination), f"command/{transfer.key.hex}"


class RedisLedger:
    """The accounts, as a program sees them over one connection."""

    def __init__(self, connection: Any, script: str) -> None:
        self._connection = connection
        self._script = script

    async def transfer(self, transfer: Transfer) -> str:
        """Carry out one."""
        return (await self.transfer_all([transfer]))[0]

    async def transfer_all(self, transfers: Sequence[Transfer]) -> list[str]:
        """Carry out many in one call."""
        keys = [key for each in transfers for key in _keys_of(each)]
        amounts = [each.amount for each in transfers]
        told: list[str] = await self._connection.evalsha(self._script, len(keys), *keys, *amounts)
        return told

    async def balances(self) -> list[int]:
        """Return the balance of every account."""
        return [int(told) for told in await self._connection.mget(map(account_key, range(ACCOUNTS)))]

    async def postings(self, account: int) -> list[int]:
        """Return what was booked on an account."""
        told = await self._connection.lrange(f"posting/{account_key(account)}", 0, -1)
        return [int(amount) for amount in told[1::2]]

    async def count_postings(self) -> int:
        """Return how many there are."""
        async with self._connection.pipeline(transaction=False) as pipeline:
            for number in range(ACCOUNTS):
                pipeline.llen(f"posting/{account_key(number)}")
            told: list[int] = await pipeline.execute()
        return sum(told) // 2

    async def count_transfers(self) -> int:
        """Return how many commands there are: every key that is no account's and no posting's."""
        lists: int = await self._connection.eval(_COUNT_LISTS, 0, ACCOUNTS, _DIGITS)
        keys: int = await self._connection.dbsize()
        return keys - ACCOUNTS - lists


_COUNT_LISTS = """
local count = 0
for number = 0, ARGV[1] - 1 do
    count = count + redis.call('EXISTS', string.format('posting/account/%0' .. ARGV[2] .. 'd', number))
end
return count
"""


@contextmanager
def start(folder: Path) -> Iterator[Redis]:
    """Run a server in an empty folder, and open accounts. Raises BenchmarkError."""
    port = free_port()
    settings = {**SETTINGS, "port": str(port), "bind": HOST, "dir": str(folder)}
    file = folder / "redis.conf"
    file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    command = [require("redis-server"), str(file)]
    with server(command, folder, lambda: is_listening(port), environment=libraries()):
        redis = Redis(folder, port)
        asyncio.run(_prepare(redis))
        yield redis


async def _prepare(redis: Redis) -> None:
    async with redis.connection() as connection:
        redis.script = await connection.script_load(SCRIPT)
        await connection.mset({account_key(number): OPENING_BALANCE for number in range(ACCOUNTS)})


# What is measured.


_PIPELINED, _IN_ONE_CALL = Asking(pipeline=BULK), Asking(transfers=BULK)


def _measure(redis: Redis, callers: int, seconds: float, asking: Asking) -> _Told:
    """Measure about so many seconds: redis-benchmark is told how many requests to make, not how long."""
    guess = redis.benchmark(callers, asking, _GUESS_ROUNDS * callers * asking.pipeline)
    warm = redis.benchmark(callers, asking, _requests(guess.per_s, WARMUP_S, asking))
    told = redis.benchmark(callers, asking, _requests(warm.per_s, seconds, asking))
    asyncio.run(_check(redis))
    return told


def _requests(per_s: float, seconds: float, asking: Asking) -> int:
    """Return how many requests take so long, whole pipelines of them."""
    pipelines = per_s * seconds / asking.transfers / asking.pipeline
    return max(round(pipelines), 1) * asking.pipeline


async def _check(redis: Redis) -> None:
    async with redis.connection() as connection:
        ledger = RedisLedger(connection, redis.script)
        money = sum(await ledger.balances())
        transfers, postings = await ledger.count_transfers(), await ledger.count_postings()
    require_books("Redis", money, transfers, postings, redis.acknowledged)


def _transfers(redis: Redis, callers: int, seconds: float) -> Result:
    told = _measure(redis, callers, seconds, Asking())
    return Result(told.per_s, {"p50_ms": told.p50_ms})


def _one(redis: Redis, callers: int, seconds: float) -> Result:
    told = _measure(redis, callers, seconds, Asking())
    return Result(told.p50_ms, {"per_s": told.per_s})


def _pipelined(redis: Redis, callers: int, seconds: float) -> Result:
    return Result(_measure(redis, callers, seconds, _PIPELINED).per_s)


def _in_one_call(redis: Redis, callers: int, seconds: float) -> Result:
    return Result(_measure(redis, callers, seconds, _IN_ONE_CALL).per_s)


def _version() -> str:
    told = tool([require("redis-server"), "--version"], Path.cwd(), environment=libraries())
    return " ".join(told.split()[:3]).replace("v=", "")


_DURABLE = "on the disk (appendfsync always)"

SYSTEM = System(
    name="redis",
    title="Redis",
    set_up=f"{', '.join(f'{name} {value}' for name, value in SETTINGS.items())}; all else as it comes. A "
    "transfer is a script in Lua. Called by redis-benchmark; in bulk, one call of it carries out 1,000, or "
    "1,000 calls are pipelined.",
    cases=(
        Case(
            "redis-bulk",
            "transfers in bulk 1,000, in one call",
            Unit.PER_SECOND,
            _DURABLE,
            _in_one_call,
            (2, 8),
        ),
        Case(
            "redis-pipeline",
            "transfers in bulk 1,000, pipelined",
            Unit.PER_SECOND,
            _DURABLE,
            _pipelined,
            (16, 4),
        ),
        Case(
            "redis-transfers", "transfers, one in a request", Unit.PER_SECOND, _DURABLE, _transfers, (256, 64)
        ),
        Case("redis-one", "a transfer, one caller, median", Unit.MS, _DURABLE, _one),
    ),
    start=start,
    version=_version,
    programs=("redis-server", "redis-benchmark"),
)
