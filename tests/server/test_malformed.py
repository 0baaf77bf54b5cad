"""Ten thousand malformed requests: each is answered with a typed error or a sensible success.

BANKBOOK_MALFORMED says how many, BANKBOOK_SEED repeats them.
"""

import asyncio
import json
import os
import re
import time
from collections import Counter
from itertools import cycle
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from server.malformed import Malformed
from server.processes import bank_of, configs_of, status_of

from bankbook.client import Bank
from bankbook.core.outcome import Outcome
from bankbook.core.types import BranchId
from bankbook.server.launcher import Launcher
from bankbook.wire.basics import MESSAGE_OPTIONS
from bankbook.wire.original import bank_pb2 as original_pb2
from bankbook.wire.peers import PROTOCOL_VERSION
from bankbook.wire.status import DOMAIN
from bankbook.wire.v1 import admin_pb2, bank_pb2, replication_pb2

COUNT = int(os.environ.get("BANKBOOK_MALFORMED", "10000"))
SEED = int(os.environ.get("BANKBOOK_SEED", time.time_ns() % 1_000_000))

ONE, TWO = BranchId(1), BranchId(2)

# Each is a handshake, so they are fewer than requests.
STREAMS = COUNT // 50

STREAM_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}

# Answered at once, or held for what a made-up token names: then until its caller has no more time.
_TIMEOUT_S = 1.0
_AT_ONCE = 64

METHODS = [
    method
    for file in (bank_pb2, admin_pb2, original_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]

# What gRPC says of a message it cannot take, and of a caller who hung up; nothing of ours stands in it.
_UNTYPED = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED}

_CODES = {code.value[0]: code for code in grpc.StatusCode}

# Words of a bug: of a traceback, an exception's name, a file of ours.
OURS = re.compile(
    r"Traceback|Exception|[a-z]Error\b|<class|\.py\b|bankbook\.(core|store|server|wire)|line \d+, in"
)

# What gRPC itself tells a caller who still writes to a stream that was ended.
ENDED_MEANWHILE = "Internal error from Core"

# A branch that has been asked a few thousand times has its caches; what it is asked then must leave nothing
# behind. What is written meanwhile fills pages of SQLite's cache, some megabytes.
GROWTH_KIB_MAX = 48 * 1024

CHANNEL_OPTIONS = (*MESSAGE_OPTIONS, ("grpc.max_metadata_size", 1024 * 1024))


class Caller:
    """Sends bytes to every method of one branch, and looks at what comes back."""

    def __init__(self, channel: grpc.aio.Channel, malformed: Malformed) -> None:
        self._channel = channel
        self._malformed = malformed
        self.told: Counter[str] = Counter()
        self.complaints: list[str] = []

    async def call(self, count: int) -> None:
        """Call every method in turn, many at a time."""
        methods = cycle(METHODS)
        room = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as calls:
            for _ in range(count):
                await room.acquire()
                task = calls.create_task(self._call(next(methods)))
                task.add_done_callback(lambda _: room.release())

    async def _call(self, method: MethodDescriptor) -> None:
        path = f"/{method.containing_service.full_name}/{method.name}"
        encoded = self._malformed.encoded(method.input_type)
        request_id = self._malformed.chance.choice(["", "mine", "x" * 5000])
        call = self._channel.stream_stream(path, None, None)(  # a stream of one, where the method has none
            iter([encoded]), timeout=_TIMEOUT_S, metadata=(("x-request-id", request_id),)
        )
        try:
            async for answer in call:
                self._look_at(GetMessageClass(method.output_type).FromString(answer), path, encoded)
        except grpc.aio.AioRpcError as error:
            status = rpc_status.from_call(error)  # type: ignore[arg-type]
            self._complain_of(error.code(), error.details() or "", status, path, encoded)

    def _look_at(self, answer: Message, path: str, encoded: bytes) -> None:
        if not isinstance(answer, bank_pb2.Answers):
            self.told["OK"] += 1
            return
        for each in answer.answers:
            if each.WhichOneof("told") == "refusal":
                self._complain_of(
                    _CODES[each.refusal.code], each.refusal.message, each.refusal, path, encoded
                )
            else:
                self.told["OK"] += 1

    def _complain_of(
        self, code: grpc.StatusCode, detail: str, status: Status | None, path: str, encoded: bytes
    ) -> None:
        reason = _reason(status)
        self.told[reason or code.name] += 1
        is_typed = reason in Outcome.__members__ or code in _UNTYPED
        if not is_typed or OURS.search(detail):
            self.complaints.append(f"{path} {encoded[:200]!r}: {code.name} {detail[:300]}")


def _reason(status: Status | None) -> str:
    info = ErrorInfo()
    if status is not None and any(each.Unpack(info) for each in status.details) and info.domain == DOMAIN:
        return info.reason
    return ""


def resident_kib(pid: int) -> int:
    """Return how much memory a process has."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("a process has memory")


def bugs_in(log: Path) -> list[str]:
    """Return what the log says of bugs of ours."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line.get("exception", str(line)) for line in lines if line["event"] == "bug"]


async def open_stream(channel: grpc.aio.Channel, batches: list[bytes]) -> grpc.aio.AioRpcError | None:
    """Open a stream as another branch would, say these and nothing more; return how the branch ended it."""
    call = channel.stream_stream("/bankbook.v1.Replication/Replicate", None, None)
    try:
        async for _ in call(iter(batches), timeout=5):
            pass
    except grpc.aio.AioRpcError as error:
        return error
    return None


async def test_malformed_streams_between_branches_are_ended_in_words(tmp_path: Path) -> None:
    malformed = Malformed(SEED, "test")
    kind = replication_pb2.SubscriberMessages.DESCRIPTOR
    with bank_of(configs_of(2, tmp_path)) as launcher:
        address = launcher.addresses[ONE]
        greeting = await greeting_of(launcher)
        async with grpc.aio.insecure_channel(address, CHANNEL_OPTIONS) as channel:
            for number in range(STREAMS):
                batches = [malformed.encoded(kind) for _ in range(2)]
                if number % 2:
                    batches.insert(0, greeting.SerializeToString())
                error = await open_stream(channel, batches)
                if error is not None and error.details() != ENDED_MEANWHILE:
                    assert error.code() in STREAM_CODES, error
                    assert not OURS.search(error.details() or ""), error
        assert launcher.ended() == {}
        async with Bank(launcher.addresses) as bank:
            session = bank.session("well-behaved")
            assert (await session.deposit(5, branch=1)).balance == 5
            assert (await session.balance(branch=2)).balance == 5
    assert bugs_in(tmp_path / "test.log") == []


async def greeting_of(launcher: Launcher) -> replication_pb2.SubscriberMessages:
    """Return what branch 2 says first, for an impostor."""
    status = await status_of(launcher.addresses[TWO])
    greeting = replication_pb2.Greeting(
        version=PROTOCOL_VERSION,
        cluster="test",
        genesis=launcher._configs[1].genesis.fingerprint(),
        origin=status.origin,
        applied=status.applied,
    )
    message = replication_pb2.SubscriberMessage(greeting=greeting)
    return replication_pb2.SubscriberMessages(messages=[message])


# Ten thousand requests take half a minute; a machine that does much else may need ten times as long.
@pytest.mark.timeout(600)
async def test_malformed_requests_are_answered_in_words_and_keep_no_memory(tmp_path: Path) -> None:
    configs = configs_of(2, tmp_path)
    with bank_of(configs) as launcher:
        address, pid = launcher.addresses[ONE], launcher.pid(ONE)
        async with grpc.aio.insecure_channel(address, CHANNEL_OPTIONS) as channel:
            caller = Caller(channel, Malformed(SEED, "test"))
            await caller.call(COUNT // 4)
            warm_kib = resident_kib(pid)
            await caller.call(COUNT - COUNT // 4)
            grown_kib = resident_kib(pid) - warm_kib
        print(f"\nseed {SEED}: {dict(caller.told.most_common())}; {warm_kib} KiB, grown by {grown_kib}")  # noqa: T201
        assert caller.complaints == []
        assert grown_kib < GROWTH_KIB_MAX
        assert launcher.pid(ONE) == pid
        assert launcher.ended() == {}
        async with Bank(launcher.addresses) as bank:
            session = bank.session("well-behaved")
            assert (await session.deposit(5, branch=1)).balance == 5
            assert (await session.balance(branch=2)).balance == 5
        assert (await status_of(address)).held == 0
    assert configs[0].log_file is not None
    assert bugs_in(configs[0].log_file) == []
