"""PostgreSQL: transfers in SQL (postgresql.sql), and what pgbench measures by itself.

Decides the settings of the server, and who calls it: pgbench, a client in C, for one transfer at a time; a
Python program with arrays for a thousand at a time. Must not know of Bankbook.
Proof: tests/alternatives/test_alternatives.py.
"""

import asyncio
import re
import secrets
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from benchmarks.asking import Window, require_books
from benchmarks.cases import BenchmarkError, Case, Result, System, Unit
from benchmarks.packages import libraries, require
from benchmarks.processes import ANSWER_S, HOST, free_port, give_to, server, tool, unprivileged_user
from benchmarks.transfers import ACCOUNTS, BULK, OK, OPENING_BALANCE, Transfer, new_transfers

# What a user would set on a machine of their own. All else is as it comes, synchronous_commit and fsync too;
# they are written down to be seen.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "min_wal_size": "1GB",
    "max_connections": "200",
    "jit": "off",
}

# Of postmaster.pid: whether the server is ready.
_STATUS_LINE = 7

_USER, _DATABASE = "bench", "postgres"
_SCHEMA = Path(__file__).with_suffix(".sql")

# pgbench's own tables: a million accounts, which fit into shared_buffers.
_PGBENCH_SCALE = 10

_WARMUP_S = 1.0
_PGBENCH_THREADS = 2

_TRANSFER_SCRIPT = f"""\
\\set source random(0, {ACCOUNTS - 1})
\\set further random(1, {ACCOUNTS - 1})
\\set destination (:source + :further) % {ACCOUNTS}
SELECT transfer(gen_random_uuid(), :source, :destination, 1);
"""

_PER_S = re.compile(r"^tps = ([0-9.]+) \(without initial", re.MULTILINE)
_DONE = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)


@dataclass(slots=True)
class Postgres:
    """A server that runs, with accounts in it."""

    folder: Path
    port: int
    password: str
    user: str | None
    acknowledged: int = 0
    """Transfers that callers were told of."""

    def serves(self) -> bool:
        """Whether it takes connections: it listens before it does."""
        try:
            status = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return status[_STATUS_LINE:] == ["ready   "]

    def pgbench(self, *arguments: str) -> str:
        """Run pgbench and return what it says. Raises BenchmarkError."""
        command = [
            require("pgbench"),
            "-h",
            HOST,
            "-p",
            str(self.port),
            "-U",
            _USER,
            "-n",
            *arguments,
            _DATABASE,
        ]
        environment = {"PGPASSWORD": self.password, **libraries()}
        return tool(command, self.folder, user=self.user, environment=environment)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Yield a connection of asyncpg."""
        import asyncpg  # noqa: PLC0415  (an optional package, needed here only)

        connection = await asyncpg.connect(
            host=HOST,
            port=self.port,
            user=_USER,
            password=self.password,
            database=_DATABASE,
            command_timeout=ANSWER_S,
        )
        try:
            yield connection
        finally:
            await connection.close()


class SqlLedger:
    """The accounts, as a program sees them over one connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def transfer(self, transfer: Transfer) -> str:
        """Carry out one."""
        outcome: str = await self._connection.fetchval("SELECT transfer($1, $2, $3, $4)", *transfer)
        return outcome

    async def transfer_all(self, transfers: Sequence[Transfer]) -> list[str]:
        """Carry out many in one statement; where one of them cannot be, one by one."""
        import asyncpg  # noqa: PLC0415  (as above)

        columns = [list(column) for column in zip(*transfers, strict=True)]
        try:
            new = await self._connection.fetchval("SELECT transfers($1, $2, $3, $4)", *columns)
        except asyncpg.CheckViolationError:
            return [await self.transfer(each) for each in transfers]
        if new == len(transfers):
            return [OK] * new
        return await self._outcomes_of(transfers)

    async def _outcomes_of(self, transfers: Sequence[Transfer]) -> list[str]:
        rows = await self._connection.fetch(
            "SELECT key, outcome FROM command WHERE key = ANY($1)", [each.key for each in transfers]
        )
        told: dict[Any, str] = {row["key"]: row["outcome"] for row in rows}
        return [told[each.key] for each in transfers]

    async def balances(self) -> list[int]:
        """Return the balance of every account."""
        rows = await self._connection.fetch("SELECT balance FROM account ORDER BY id")
        return [row["balance"] for row in rows]

    async def postings(self, account: int) -> list[int]:
        """Return what was booked on an account."""
        rows = await self._connection.fetch(
            "SELECT amount FROM posting WHERE account = $1 ORDER BY transfer", account
        )
        return [row["amount"] for row in rows]


@contextmanager
def start(folder: Path) -> Iterator[Postgres]:
    """Make a cluster in an empty folder, run it, and open accounts. Raises BenchmarkError."""
    user, password, port = unprivileged_user(), secrets.token_hex(16), free_port()
    give_to(folder, user)
    _make_cluster(folder, user, password, port)
    postgres = Postgres(folder, port, password, user)
    command = [require("postgres"), "-D", str(folder / "data")]
    serves = postgres.serves
    with server(command, folder, serves, user=user, environment=libraries(), stop_by=signal.SIGINT):
        asyncio.run(_open_accounts(postgres))
        yield postgres


def _make_cluster(folder: Path, user: str | None, password: str, port: int) -> None:
    secret = folder / "password"
    secret.write_text(password)
    secret.chmod(0o600)
    give_to(secret, user)
    command = [require("initdb"), "-D", str(folder / "data"), "-U", _USER, "--auth=scram-sha-256"]
    command += [f"--pwfile={secret}", "--encoding=UTF8", "--locale=C"]
    tool(command, folder, user=user, environment=libraries())
    settings = {
        **SETTINGS,
        "port": str(port),
        "listen_addresses": f"'{HOST}'",
        "unix_socket_directories": "''",
    }
    with (folder / "data" / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = {value}\n" for name, value in settings.items())


async def _open_accounts(postgres: Postgres) -> None:
    async with postgres.connection() as connection:
        await connection.execute(_SCHEMA.read_text())
        await connection.execute(
            f"INSERT INTO account SELECT number, {OPENING_BALANCE} "  # noqa: S608  (numbers of our own)
            f"FROM generate_series(0, {ACCOUNTS - 1}) AS number"
        )
        await connection.execute("VACUUM ANALYZE")


# What is measured.


def _transfers(postgres: Postgres, callers: int, seconds: float) -> Result:
    result = _measured(postgres, _transferring(postgres), callers, seconds)
    asyncio.run(_check(postgres))
    return result


def _transferring(postgres: Postgres) -> list[str]:
    """Return the options by which pgbench asks for transfers."""
    script = postgres.folder / "transfer.sql"
    script.write_text(_TRANSFER_SCRIPT)
    return ["-M", "prepared", "-f", str(script)]


def _one(postgres: Postgres, callers: int, seconds: float) -> Result:
    """Measure one caller; pgbench writes down how long each transfer took."""
    for old in postgres.folder.glob("pgbench_log.*"):
        old.unlink()
    told = postgres.pgbench(*_transferring(postgres), "-c", str(callers), "-T", _whole(seconds), "-l")
    postgres.acknowledged += _found(_DONE, told)
    asyncio.run(_check(postgres))
    lines = [line for log in postgres.folder.glob("pgbench_log.*") for line in log.read_text().splitlines()]
    return Result(median(int(line.split()[2]) for line in lines) / 1000, {"per_s": _found(_PER_S, told)})


def _pgbench_n(postgres: Postgres, callers: int, seconds: float) -> Result:
    if not (made := postgres.folder / "pgbench-tables").exists():
        postgres.pgbench("-i", "-q", "-s", str(_PGBENCH_SCALE))
        made.touch()
    return _measured(postgres, ["-M", "prepared", "-N"], callers, seconds, are_transfers=False)


def _measured(
    postgres: Postgres, usual: list[str], callers: int, seconds: float, *, are_transfers: bool = True
) -> Result:
    threads = str(min(callers, _PGBENCH_THREADS))
    for duration_s in (_WARMUP_S, seconds):
        told = postgres.pgbench(*usual, "-c", str(callers), "-j", threads, "-T", _whole(duration_s))
        postgres.acknowledged += _found(_DONE, told) if are_transfers else 0
    return Result(_found(_PER_S, told))


def _whole(seconds: float) -> str:
    """Return seconds as pgbench takes them."""
    return str(max(round(seconds), 1))


def _found(pattern: re.Pattern[str], told: str) -> Any:
    match = pattern.search(told)
    if match is None:
        raise BenchmarkError(f"pgbench did not tell {pattern.pattern!r}:\n{told}")
    return float(match[1]) if "." in match[1] else int(match[1])


def _bulk(postgres: Postgres, callers: int, seconds: float) -> Result:
    return asyncio.run(_measure_bulk(postgres, callers, seconds))


async def _measure_bulk(postgres: Postgres, callers: int, seconds: float) -> Result:
    async with AsyncExitStack() as connections:
        ledgers = [
            SqlLedger(await connections.enter_async_context(postgres.connection())) for _ in range(callers)
        ]
        window = Window(seconds)
        transfers = new_transfers(Random(0))  # noqa: S311  (repeatable on purpose)
        await asyncio.gather(*(window.fill(ledger.transfer_all, transfers, BULK) for ledger in ledgers))
        result = window.result()
    postgres.acknowledged += window.acknowledged
    await _check(postgres)
    return result


async def _check(postgres: Postgres) -> None:
    """Raise BenchmarkError where money or a transfer was lost or doubled."""
    async with postgres.connection() as connection:
        money, transfers, postings, booked = await connection.fetchrow(
            "SELECT (SELECT sum(balance) FROM account)::bigint, "
            "(SELECT count(*) FROM command WHERE outcome = 'OK'), "
            "(SELECT count(*) FROM posting), (SELECT coalesce(sum(amount), 0) FROM posting)::bigint"
        )
    require_books("PostgreSQL", money + booked, transfers, postings, postgres.acknowledged)


# Whose names stand in the settings that are told.
_IN_WORDS = ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())

_DURABLE = "on the disk (synchronous_commit and fsync on)"


def _version() -> str:
    return tool([require("postgres"), "--version"], Path.cwd(), environment=libraries()).strip()


SYSTEM = System(
    name="postgresql",
    title="PostgreSQL",
    set_up=f"{_IN_WORDS}; all else as it comes. A new cluster for each round. Single transfers: a function "
    "in PL/pgSQL, called by pgbench as a prepared statement, a transaction each. In bulk: arrays of 1,000 "
    "transfers to one statement, a transaction, from a Python program (asyncpg).",
    cases=(
        Case("postgresql-bulk", "transfers in bulk 1,000", Unit.PER_SECOND, _DURABLE, _bulk, (1, 2, 4)),
        Case(
            "postgresql-transfers",
            "transfers, one in a request",
            Unit.PER_SECOND,
            _DURABLE,
            _transfers,
            (32, 8, 64),
        ),
        Case("postgresql-one", "a transfer, one caller, median", Unit.MS, _DURABLE, _one),
        Case("postgresql-pgbench", "pgbench -N", Unit.PER_SECOND, _DURABLE, _pgbench_n, (32, 8, 64)),
    ),
    start=start,
    version=_version,
    programs=("postgres", "initdb", "pgbench"),
)
