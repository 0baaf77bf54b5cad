"""bank.toml: which branches a bank has, where they are, and what holds for all of them.

Decides what may stand in the file, and what is said of a file that is wrong. Must not know who reads it:
the branches and their customers read the same one. Proof: tests/server/test_bank_file.py.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from bankbook.core.ports import Genesis
from bankbook.core.types import BRANCHES_MAX, ID_RULE, BranchId, is_branch_number, is_id
from bankbook.server.config import BranchConfig
from bankbook.server.logs import LEVELS

Value = TypeVar("Value")

FILE_NAME = "bank.toml"

# Of a file that lists 256 branches with comments; a file beyond it is something else.
FILE_BYTES_MAX = 1_000_000

# A week, as on the command line; and of keys, ten years.
DURATION_MAX_S = 7 * 24 * 3600
KEY_RETENTION_DAYS_MAX = 3660

# Longer than any client asks again.
KEY_RETENTION_DAYS = 30

_DAY_US = 24 * 3600 * 1_000_000

# A shorter one can be guessed, a longer one adds nothing (RFC 2104, section 3).
TOKEN_KEY_BYTES_MIN, TOKEN_KEY_BYTES_MAX = 16, 1024

PORT_MAX = 65_535

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


class BankFileError(Exception):
    """The file is not one of a bank; the message says where, what was expected, and what to do."""


@dataclass(frozen=True, slots=True)
class BranchPlace:
    """Where one branch is."""

    branch: BranchId
    address: str
    """Where customers and the other branches reach it, host:port."""
    listen: str
    """Where it listens itself, which differs where an address is translated on the way."""


@dataclass(frozen=True, slots=True)
class BankFile:
    """What a bank.toml says."""

    path: Path
    cluster: str
    places: tuple[BranchPlace, ...]
    """In ascending order of their numbers."""
    hold_limit_us: int = 30_000_000
    key_retention_days: int = KEY_RETENTION_DAYS
    log_retention_days: int | None = None
    """None: entries are kept for ever."""
    drain_us: int = 5_000_000
    durable: int = 0
    """On how many other branches' disks a write has to be, where the customer does not say."""
    currency: str = ""
    """Of an account that is opened without one."""
    token_key_path: Path | None = None
    log_level: str = "info"

    @property
    def addresses(self) -> dict[BranchId, str]:
        """Where each branch is reached."""
        return {place.branch: place.address for place in self.places}

    def configs(self, data: Path, log_file: Path | None = None) -> list[BranchConfig]:
        """Return the configuration of every branch, each with a folder of its own in `data`.

        Raises BankFileError where the key of the tokens cannot be read.
        """
        genesis = Genesis(self.cluster, tuple(place.branch for place in self.places))
        token_key = self._token_key()
        return [
            BranchConfig(
                branch=place.branch,
                genesis=genesis,
                listen=place.listen,
                data=data / f"branch-{place.branch}",
                hold_limit_us=self.hold_limit_us,
                token_key=token_key,
                key_retention_us=self.key_retention_days * _DAY_US,
                log_retention_us=None
                if self.log_retention_days is None
                else self.log_retention_days * _DAY_US,
                drain_us=self.drain_us,
                log_level=self.log_level,
                log_file=log_file,
            )
            for place in self.places
        ]

    def config_of(self, number: int, data: Path, log_file: Path | None = None) -> BranchConfig:
        """Return the configuration of one branch. Raises BankFileError."""
        for config in self.configs(data, log_file):
            if config.branch == number:
                return config
        raise BankFileError(f"{self.path}: there is no branch {number}; there are {_listed(self.addresses)}")

    def _token_key(self) -> bytes | None:
        if self.token_key_path is None:
            return None
        try:
            key = self.token_key_path.read_bytes().strip()
        except OSError as error:
            raise BankFileError(
                f"{self.path}: [defaults] token_key_file: {self.token_key_path} cannot be read "
                f"({error.strerror}); make it with: openssl rand -hex 32 > {self.token_key_path}"
            ) from error
        if TOKEN_KEY_BYTES_MIN <= len(key) <= TOKEN_KEY_BYTES_MAX:
            return key
        raise BankFileError(
            f"{self.path}: [defaults] token_key_file: {self.token_key_path} has {len(key)} bytes; a key has "
            f"{TOKEN_KEY_BYTES_MIN} to {TOKEN_KEY_BYTES_MAX}. Make one with: openssl rand -hex 32"
        )


def read_bank_file(path: Path) -> BankFile:
    """Read a bank.toml. Raises BankFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise BankFileError(
            f"there is no {path}; write one with `bankbook init`, or name yours with --config or "
            "$BANKBOOK_CONFIG"
        ) from error
    except OSError as error:
        raise BankFileError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > FILE_BYTES_MAX:
        raise BankFileError(f"{path} is larger than {FILE_BYTES_MAX} bytes; is it a bank.toml?")
    return parse_bank_file(content, path)


def parse_bank_file(content: bytes, path: Path) -> BankFile:
    """Return what the text of a bank.toml says. Raises BankFileError, which names `path`."""
    try:
        document = tomllib.loads(content.decode("utf-8"), parse_float=Decimal)
    except UnicodeDecodeError as error:
        raise BankFileError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BankFileError(f"{path} is not TOML: {error}") from error
    top = _Table(document, path, "")
    top.allow("cluster", "branch", "defaults")
    cluster = top.take("cluster", _id)
    places = _places(top)
    return BankFile(path, cluster, places, **_defaults(top, len(places)))


class _Table:
    """A table of the file, and where it stands."""

    def __init__(self, items: Mapping[str, Any], path: Path, place: str) -> None:
        self.items, self._path, self._place = items, path, place

    def allow(self, *names: str) -> None:
        """Raise BankFileError for a key with any other name."""
        for name in self.items:
            if name not in names:
                raise self.error(name, f"there is no such setting; there are {_listed(names)}")

    def take(self, name: str, check: Callable[[Any], Value]) -> Value:
        """Return a value that has to be there."""
        if name not in self.items:
            raise self.error(name, "it is missing; add it")
        try:
            return check(self.items[name])
        except ValueError as error:
            raise self.error(name, str(error)) from error

    def error(self, name: str, complaint: str) -> BankFileError:
        """Return an error that says where."""
        return BankFileError(f"{self._path}: {self._place}{name}: {complaint}")

    def beside(self, path: Path) -> Path:
        """Return the path of what stands beside this file."""
        return self._path.parent / path

    def table(self, name: str) -> "_Table":
        """Return a table within this one; an empty one where there is none."""
        items = self.items.get(name, {})
        if not isinstance(items, dict):
            raise self.error(name, f"expected a table, written [{name}]; found {_shown(items)}")
        return _Table(items, self._path, f"[{name}] ")

    def tables(self, name: str) -> list["_Table"]:
        """Return the tables of a list."""
        rows = self.items.get(name, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self.error(name, f"expected tables, each written [[{name}]]; found {_shown(rows)}")
        return [_Table(row, self._path, f"[[{name}]] {at}, ") for at, row in enumerate(rows, start=1)]


def _places(top: _Table) -> tuple[BranchPlace, ...]:
    rows = top.tables("branch")
    if not 1 <= len(rows) <= BRANCHES_MAX:
        raise top.error("[[branch]]", f"a bank has 1 to {BRANCHES_MAX} branches; here are {len(rows)}")
    places: dict[BranchId, BranchPlace] = {}
    taken: dict[str, BranchId] = {}
    for row in rows:
        place = _place(row)
        if place.branch in places:
            raise row.error("id", f"branch {place.branch} stands here twice; give each its own number")
        if place.address in taken:
            other = taken[place.address]
            raise row.error(
                "address", f"{place.address} is branch {other}'s already; give each its own host or port"
            )
        places[place.branch], taken[place.address] = place, place.branch
    return tuple(places[branch] for branch in sorted(places))


def _place(row: _Table) -> BranchPlace:
    row.allow("id", "address", "listen")
    branch, address = row.take("id", _branch), row.take("address", _address)
    return BranchPlace(branch, address, row.take("listen", _address) if "listen" in row.items else address)


def _defaults(top: _Table, branch_count: int) -> dict[str, Any]:
    table = top.table("defaults")
    table.allow(*_DEFAULTS)
    found = {
        field: table.take(name, check) for name, (field, check) in _DEFAULTS.items() if name in table.items
    }
    if found.get("durable", 0) >= branch_count:
        others = branch_count - 1
        raise table.error(
            "durable", f"it counts other branches, of which there are {others}; write 0 to {others}"
        )
    _check_retention(table, found)
    if "token_key_path" in found:
        # Beside the file that names it, wherever a command is started.
        found["token_key_path"] = top.beside(found["token_key_path"])
    return found


def _check_retention(table: _Table, found: Mapping[str, Any]) -> None:
    days = found.get("key_retention_days", KEY_RETENTION_DAYS)
    if found.get("log_retention_days", days) < days:
        raise table.error(
            "log_retention_days",
            f"keys are remembered for {days} days, and what became of them stands in the entries; write at "
            f"least {days}, or a smaller key_retention_days",
        )


def _id(value: Any) -> str:
    if isinstance(value, str) and is_id(value):
        return value
    raise ValueError(f"expected a name of {ID_RULE}; found {_shown(value)}")


def _currency(value: Any) -> str:
    return value if value == "" else _id(value)


def _branch(value: Any) -> BranchId:
    if type(value) is int and is_branch_number(value):
        return BranchId(value)
    raise ValueError(f"expected a number from 1 to {BRANCHES_MAX}; found {_shown(value)}")


def _address(value: Any) -> str:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if _HOST.fullmatch(host) and port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= PORT_MAX:
        return f"{host}:{int(port)}"
    raise ValueError(f'expected "host:port", such as "127.0.0.1:7001"; found {_shown(value)}')


def _seconds(low_us: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is int or (isinstance(value, Decimal) and value.is_finite()):
            us = int(value * 1_000_000)
            if low_us <= us <= DURATION_MAX_S * 1_000_000:
                return us
        bound = "above 0" if low_us else "0 or more"
        raise ValueError(f"expected seconds, {bound} and at most a week; found {_shown(value)}")

    return check


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is int and low <= value <= high:
            return value
        raise ValueError(f"expected a whole number from {low} to {high}; found {_shown(value)}")

    return check


def _file(value: Any) -> Path:
    if isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    raise ValueError(f"expected the name of a file; found {_shown(value)}")


def _level(value: Any) -> str:
    if value in LEVELS:
        return str(value)
    raise ValueError(f"expected one of {_listed(LEVELS)}; found {_shown(value)}")


# The settings of [defaults]: the name of the field each sets, and what may stand there.
_DEFAULTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "currency": ("currency", _currency),
    "durable": ("durable", _whole(0, BRANCHES_MAX - 1)),
    "hold_limit_s": ("hold_limit_us", _seconds(1)),
    "key_retention_days": ("key_retention_days", _whole(1, KEY_RETENTION_DAYS_MAX)),
    "log_retention_days": ("log_retention_days", _whole(1, KEY_RETENTION_DAYS_MAX)),
    "drain_s": ("drain_us", _seconds(0)),
    "token_key_file": ("token_key_path", _file),
    "log_level": ("log_level", _level),
}


def _listed(names: Iterable[object]) -> str:
    return ", ".join(str(name) for name in names)


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."  # noqa: PLR2004  (enough to recognise it)


_NEW_FILE = """\
# A bank of Bankbook: which branches it has, and where they are. Every branch and every customer reads this
# file; it has to say the same for all of them. Every setting: docs/bank.md.

# The bank's name. It is part of every customer's token and of every branch's store: do not change it.
cluster = "{cluster}"

# The branches. Their numbers are part of the stores, too; an address may change, once all branches have
# stopped.
{branches}
[defaults]
# Of an account that is opened without --currency. Without a currency, an account counts plain units.
# currency = "EUR"

# On how many other branches' disks a write has to be before it is acknowledged.
# durable = 0

# How long a branch holds a request for updates that have not arrived.
# hold_limit_s = 30

# How long a branch remembers the idempotency keys of writes: the same key never takes effect twice.
# key_retention_days = 30

# How long a branch keeps entries, and so the lines of statements, once every branch has them: as long as keys
# at least. Without this, for ever.
# log_retention_days = 365

# How long a branch that is stopping waits for what is held and what has not reached the others.
# drain_s = 5

# Sign the customers' tokens with the key in this file, so that nobody can forge one.
# Make it with: openssl rand -hex 32 > token.key
# token_key_file = "token.key"

# debug, info (every request and every entry), warning or error.
log_level = "warning"
"""


def new_bank_file(cluster: str, host: str, port: int, branches: int) -> str:
    """Return the text of a commented bank.toml; branch n is at `port` plus n."""
    rows = [
        f'[[branch]]\nid = {number}\naddress = "{host}:{port + number}"\n'
        for number in range(1, branches + 1)
    ]
    return _NEW_FILE.format(cluster=cluster, branches="\n".join(rows))
