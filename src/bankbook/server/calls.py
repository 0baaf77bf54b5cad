"""What every service does with a call: its name, its end by a status, and what is told of a bug of ours.

Decides that of a bug only its name in the log leaves the branch: gRPC by itself would send the exception's
text to the caller. Must not know any service. Proof: tests/server/test_calls.py.
"""

import secrets
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio
import structlog
from grpc_status import rpc_status

from bankbook.wire.status import Failure, encode_failure

REQUEST_ID_KEY = "x-request-id"

# Of a request id that a caller gives: a UUID has 36 characters.
_REQUEST_ID_CHARACTERS_MAX = 64

Context = grpc.aio.ServicerContext[Any, Any]
Answer = TypeVar("Answer")


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


def guarded(serve: Callable[..., Awaitable[Answer]]) -> Callable[..., Awaitable[Answer]]:
    """Let `serve`, whose last argument is the call's context, tell nobody but the log of a bug of ours.

    No rich status goes along, so that a client takes a write to be in doubt.
    """

    @wraps(serve)
    async def serve_guarded(*arguments: Any) -> Answer:
        try:
            return await serve(*arguments)
        except grpc.aio.BaseError:  # how gRPC itself ends a call, as after `abort`
            raise
        except Exception:  # noqa: BLE001  (whatever it is, it is ours to mend)
            context: Context = arguments[-1]
            name = request_name(request_id_of(context))
            structlog.get_logger().exception("bug", request=name, method=serve.__qualname__)
            await context.abort(grpc.StatusCode.INTERNAL, f"internal error; in the branch's log it is {name}")
            raise AssertionError("abort does not return") from None

    return serve_guarded
