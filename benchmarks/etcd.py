"""etcd: a transfer as a transaction with compares.

Decides how a program keeps accounts in a store of keys and values: it remembers what it has last seen of an
account, and a transaction succeeds only where that is still so and the command's key is new; otherwise the
answer shows what is there now, and the program tries again. Must not know of Bankbook.
Proof: tests/alternatives/test_alternatives.py.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import grpc
import grpc.aio

from benchmarks.asking import Window, require_books
from benchmarks.cases import Case, Result, System, Unit
from benchmarks.packages import libraries, require
from benchmarks.processes import ANSWER_S, HOST, free_port, is_listening, server, tool
from benchmarks.transfers import (
    ACCOUNTS,
    BULK,
    INSUFFICIENT_FUNDS,
    OK,
    OPENING_BALANCE,
    Transfer,
    new_transfers,
)

# A transaction of a thousand transfers puts some five thousand values. The quota is not to be met while it is
# measured.
SETTINGS = {"max-txn-ops": "10000", "quota-backend-bytes": str(8 * 1024**3)}

_OPENED_AT_ONCE = 1000
_MESSAGE_BYTES_MAX = 64 * 1024 * 1024
_ACCOUNT, _COMMAND, _POSTING = b"account/", b"command/", b"posting/"


@functools.cache
def _messages() -> tuple[Any, Any]:
    """Return the messages and the stubs of etcd.proto."""
    # Made when they are needed, by an optional package: generated code of an API that is not ours would only
    # be in the way of the checks.
    return grpc.protos_and_services("benchmarks/etcd.proto")


@dataclass(slots=True)
class Etcd:
    """A server that runs, with accounts in it."""

    port: int
    acknowledged: int = 0

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator["EtcdLedger"]:
        """Yield the accounts, as one program sees them."""
        limit = ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX)
        async with grpc.aio.insecure_channel(f"{HOST}:{self.port}", options=[limit]) as channel:
            yield EtcdLedger(_messages()[1].KVStub(channel))


class _Seen(NamedTuple):
    """What a program has last seen of an account."""

    balance: int
    revision: int


class EtcdLedger:
    """The accounts, as one program sees them."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub
        self._seen: dict[int, _Seen] = {}

    async def open(self, numbers: Sequence[int]) -> None:
        """Open accounts."""
        messages = _messages()[0]
        puts = [_put(messages, _ACCOUNT, number, str(OPENING_BALANCE)) for number in numbers]
        await self._txn(messages.TxnRequest(success=puts))

    async def transfer(self, transfer: Transfer) -> str:
        """Carry out one."""
        return (await self.transfer_all([transfer]))[0]

    async def transfer_all(self, transfers: Sequence[Transfer]) -> list[str]:
        """Carry out many in one transaction; where one of them cannot be, or is known, one by one."""
        accounts = sorted({number for each in transfers for number in (each.source, each.destination)})
        await self._look_at([number for number in accounts if number not in self._seen])
        while True:
            balances = {number: self._seen[number].balance for number in accounts}
            outcomes = [_decide(balances, each) for each in transfers]
            request = self._request(transfers, outcomes, accounts, balances)
            reply = await self._txn(request)
            if reply.succeeded:
                self._note_written(accounts, balances, reply.header.revision)
                return outcomes
            known = self._note_found(reply)
            if known:
                return await self._again(transfers, known)

    def _request(
        self,
        transfers: Sequence[Transfer],
        outcomes: list[str],
        accounts: list[int],
        balances: dict[int, int],
    ) -> Any:
        messages = _messages()[0]
        unchanged = [_is_still(messages, number, self._seen[number].revision) for number in accounts]
        new = [_is_new(messages, each) for each in transfers]
        puts = [_put(messages, _ACCOUNT, number, str(balances[number])) for number in accounts]
        for each, outcome in zip(transfers, outcomes, strict=True):
            puts += _booked(messages, each, outcome)
        keys = [_account_key(number) for number in accounts] + [
            _COMMAND + each.key.bytes for each in transfers
        ]
        shown = [messages.RequestOp(request_range=messages.RangeRequest(key=key)) for key in keys]
        return messages.TxnRequest(compare=unchanged + new, success=puts, failure=shown)

    async def _txn(self, request: Any) -> Any:
        return await self._stub.Txn(request, timeout=ANSWER_S)

    def _note_written(self, accounts: Iterable[int], balances: dict[int, int], revision: int) -> None:
        for number in accounts:
            if revision > self._seen[number].revision:
                self._seen[number] = _Seen(balances[number], revision)

    def _note_found(self, reply: Any) -> dict[bytes, str]:
        """Remember what accounts have; return the commands that are known, and their outcomes."""
        known = {}
        for response in reply.responses:
            for found in response.response_range.kvs:
                if found.key.startswith(_ACCOUNT):
                    seen = _Seen(int(found.value), found.mod_revision)
                    self._seen[int(found.key.removeprefix(_ACCOUNT))] = seen
                else:
                    known[found.key.removeprefix(_COMMAND)] = found.value.decode()
        return known

    async def _again(self, transfers: Sequence[Transfer], known: dict[bytes, str]) -> list[str]:
        """Carry out, one by one, those that are not known."""
        told = []
        for each in transfers:
            outcome = known.get(each.key.bytes)
            told.append(await self.transfer(each) if outcome is None else outcome)
        return told

    async def _look_at(self, accounts: Sequence[int]) -> None:
        """Remember what accounts have. Raises LookupError where one is not there."""
        if accounts:
            messages = _messages()[0]
            keys = map(_account_key, accounts)
            shown = [messages.RequestOp(request_range=messages.RangeRequest(key=key)) for key in keys]
            self._note_found(await self._txn(messages.TxnRequest(success=shown)))
        if unknown := [number for number in accounts if number not in self._seen]:
            raise LookupError(f"there is no account {unknown[0]}")

    async def balances(self) -> list[int]:
        """Return the balance of every account."""
        found = await self._range(_ACCOUNT)
        return [int(each.value) for each in found.kvs]

    async def postings(self, account: int) -> list[int]:
        """Return what was booked on an account."""
        found = await self._range(_POSTING + f"{account:06d}/".encode())
        return [int(each.value) for each in sorted(found.kvs, key=lambda each: each.create_revision)]

    async def count(self, prefix: bytes) -> int:
        """Return how many keys begin so."""
        count: int = (await self._range(prefix, count_only=True)).count
        return count

    async def _range(self, prefix: bytes, *, count_only: bool = False) -> Any:
        end = prefix[:-1] + bytes([prefix[-1] + 1])
        request = _messages()[0].RangeRequest(key=prefix, range_end=end, count_only=count_only)
        return await self._stub.Range(request, timeout=ANSWER_S)


def _decide(balances: dict[int, int], transfer: Transfer) -> str:
    """Move money between balances, if there is enough."""
    if balances[transfer.source] < transfer.amount:
        return INSUFFICIENT_FUNDS
    balances[transfer.source] -= transfer.amount
    balances[transfer.destination] += transfer.amount
    return OK


def _account_key(number: int) -> bytes:
    return _ACCOUNT + f"{number:06d}".encode()


def _put(messages: Any, prefix: bytes, number: int, value: str) -> Any:
    key = prefix + f"{number:06d}".encode()
    return messages.RequestOp(request_put=messages.PutRequest(key=key, value=value.encode()))


def _booked(messages: Any, transfer: Transfer, outcome: str) -> list[Any]:
    """Return the command's key and, where it was carried out, a posting for each leg."""
    key = transfer.key.bytes
    rows = [(_COMMAND + key, outcome)]
    if outcome == OK:
        for number, amount in ((transfer.source, -transfer.amount), (transfer.destination, transfer.amount)):
            rows.append((_POSTING + f"{number:06d}/".encode() + key, str(amount)))
    return [
        messages.RequestOp(request_put=messages.PutRequest(key=where, value=what.encode()))
        for where, what in rows
    ]


def _is_still(messages: Any, number: int, revision: int) -> Any:
    return messages.Compare(target=messages.Compare.MOD, key=_account_key(number), mod_revision=revision)


def _is_new(messages: Any, transfer: Transfer) -> Any:
    key = _COMMAND + transfer.key.bytes
    return messages.Compare(target=messages.Compare.CREATE, key=key, create_revision=0)


@contextmanager
def start(folder: Path) -> Iterator[Etcd]:
    """Run a member of its own in an empty folder, and open accounts. Raises BenchmarkError."""
    port, peers = free_port(), free_port()
    here, between = f"http://{HOST}:{port}", f"http://{HOST}:{peers}"
    options = {
        "data-dir": str(folder / "data"),
        "listen-client-urls": here,
        "advertise-client-urls": here,
        "listen-peer-urls": between,
        "initial-advertise-peer-urls": between,
        "initial-cluster": f"default={between}",
        "log-level": "warn",
        **SETTINGS,
    }
    command = [require("etcd"), *(f"--{name}={value}" for name, value in options.items())]
    with server(command, folder, lambda: is_listening(port), environment=libraries()):
        etcd = Etcd(port)
        asyncio.run(_open_accounts(etcd))
        yield etcd


async def _open_accounts(etcd: Etcd) -> None:
    async with etcd.ledger() as ledger:
        for first in range(0, ACCOUNTS, _OPENED_AT_ONCE):
            await ledger.open(range(first, first + _OPENED_AT_ONCE))


# What is measured.


async def _measure(etcd: Etcd, callers: int, seconds: float, bulk: int) -> Window:
    async with etcd.ledger() as ledger:
        window = Window(seconds)
        transfers = new_transfers(Random(0))  # noqa: S311  (repeatable on purpose)
        await asyncio.gather(*(window.fill(ledger.transfer_all, transfers, bulk) for _ in range(callers)))
        etcd.acknowledged += window.acknowledged
        await _check(etcd, ledger)
    return window


async def _check(etcd: Etcd, ledger: EtcdLedger) -> None:
    money = sum(await ledger.balances())
    transfers, postings = await ledger.count(_COMMAND), await ledger.count(_POSTING)
    require_books("etcd", money, transfers, postings, etcd.acknowledged)


def _transfers(etcd: Etcd, callers: int, seconds: float) -> Result:
    return asyncio.run(_measure(etcd, callers, seconds, 1)).result()


def _one(etcd: Etcd, callers: int, seconds: float) -> Result:
    return asyncio.run(_measure(etcd, callers, seconds, 1)).result_of_one()


def _bulk(etcd: Etcd, callers: int, seconds: float) -> Result:
    return asyncio.run(_measure(etcd, callers, seconds, BULK)).result()


_DURABLE = "on the disk of its one member"


def _version() -> str:
    return tool([require("etcd"), "--version"], Path.cwd(), environment=libraries()).splitlines()[0]


SYSTEM = System(
    name="etcd",
    title="etcd",
    set_up=f"One member; {', '.join(f'{name} = {value}' for name, value in SETTINGS.items())}; all else as "
    "it comes. A transfer is a transaction that compares the revisions of both accounts and that the "
    "command's key is new, and puts both balances, the key and two postings. In bulk: one such transaction "
    "for 1,000 transfers. Asked by one Python program (grpcio), which remembers the accounts it has seen.",
    cases=(
        Case("etcd-bulk", "transfers in bulk 1,000", Unit.PER_SECOND, _DURABLE, _bulk, (1, 2)),
        Case(
            "etcd-transfers",
            "transfers, one in a request",
            Unit.PER_SECOND,
            _DURABLE,
            _transfers,
            (128, 32, 512),
        ),
        Case("etcd-one", "a transfer, one caller, median", Unit.MS, _DURABLE, _one),
    ),
    start=start,
    version=_version,
    programs=("etcd",),
)
