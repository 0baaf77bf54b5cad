"""What every service does with a call: its name, its end by a status, and what is told of a bug of ours.

Decides that of a bug only its name in the log leaves the branch: gRPC by itself would send the exception's
text to the caller, also for bytes that are no message. Must not know any service.
Proof: tests/server/test_calls.py, tests/server/test_malformed.py.
"""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial, wraps
from typing import Any, NoReturn, TypeVar, cast

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from bankbook.core.outcome import Outcome
from bankbook.wire.basics import MessageDamagedError
from bankbook.wire.status import Failure, encode_failure

REQUEST_ID_KEY = "x-request-id"

# Of a request id that a caller gives: a UUID has 36 characters.
_REQUEST_ID_CHARACTERS_MAX = 64

Context = grpc.aio.ServicerContext[Any, Any]
Answer = TypeVar("Answer")


class Unreadable:
    """Stands where a message should, for bytes that are none."""


_UNREADABLE = "these bytes are no message of the type that this method takes; its .proto file says what is"


class Readable:
    """Stands for a server where generated code adds a service whose every method is guarded.

    Its methods see bytes that are no message; gRPC by itself would end the call. An
    interceptor could do the same, for some microseconds of every call.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Do nothing: the same methods come by their names."""

    def add_registered_method_handlers(self, service: str, methods: Mapping[str, Any]) -> None:
        """Add a service's methods."""
        readable = {
            name: method._replace(request_deserializer=partial(_deserialize, method.request_deserializer))
            for name, method in methods.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, readable),))


def _deserialize(deserialize: Callable[[bytes], Any], encoded: bytes) -> Any:
    try:
        return deserialize(encoded)
    except DecodeError:
        return Unreadable()


async def _readable(messages: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """Yield what a caller streams; raises MessageDamagedError."""
    async for message in messages:
        if isinstance(message, Unreadable):
            raise MessageDamagedError(_UNREADABLE)
        yield message


def request_id_of(context: Context) -> str | None:
    """Return the caller's own name for a request, where it gave one."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY and isinstance(value, str):
            return value
    return None


def request_name(given: str | None) -> str:
    """Return what a request is called in the log: as its caller does, unless that would spoil the log."""
    if given and given.isprintable() and len(given) <= _REQUEST_ID_CHARACTERS_MAX:
        return given
    return secrets.token_hex(4)


async def abort(context: Context, failure: Failure) -> NoReturn:
    """End a call with a rich status."""
    status = rpc_status.to_status(encode_failure(failure))
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort does not return")


def log_bug(request_id: str | None, method: str) -> str:
    """Log the exception that is being handled; return what its caller is told instead."""
    name = request_name(request_id)
    structlog.get_logger().exception("bug", request=name, method=method)
    return f"internal error; in the branch's log it is {name}"


def guarded(serve: Callable[..., Awaitable[Answer]]) -> Callable[..., Awaitable[Answer]]:
    """Let `serve`, whose last argument is the call's context, tell nobody but the log of a bug of ours.

    No rich status goes along, so that a client takes a write to be in doubt. The argument before the last is
    the message, or all of them; `serve` is handed none that is Unreadable.
    """

    @wraps(serve)
    async def serve_guarded(*arguments: Any) -> Answer:
        *others, message, context = arguments
        try:
            if isinstance(message, Unreadable):
                await abort(context, Failure(Outcome.INVALID_REQUEST, _UNREADABLE))
            if isinstance(message, AsyncIterator):
                # Closed, or each would keep the last message that came until a search for garbage in cycles.
                received = cast("AsyncGenerator[Any, None]", aiter(message))
                async with aclosing(received), aclosing(_readable(received)) as messages:
                    return await serve(*others, messages, context)
            return await serve(*others, message, context)
        except grpc.aio.BaseError as error:  # how gRPC itself ends a call, as after `abort`
            # The call keeps it, and with its frames it would keep the message, of megabytes where that is
            # refused for its size, until the next search for garbage in cycles.
            del arguments, others, message
            error.__context__ = None
            raise error.with_traceback(None) from None
        except Exception:  # noqa: BLE001  (whatever it is, it is ours to mend)
            told = log_bug(request_id_of(context), serve.__qualname__)
            await context.abort(grpc.StatusCode.INTERNAL, told)
            raise AssertionError("abort does not return") from None

    return serve_guarded
