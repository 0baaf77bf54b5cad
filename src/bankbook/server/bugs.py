"""What callers are told of our own bugs: that there is one, and under which name it stands in the log.

Decides that nothing else leaves the branch: gRPC by itself would send the exception's text to the caller.
Proof: tests/server/test_bugs.py.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio
import structlog

from bankbook.server.customers import request_id_of
from bankbook.server.handler import request_name

Context = grpc.aio.ServicerContext[Any, Any]


class BugGuard(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # the stubs leave it untyped
    """Stands around every method of every service."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the method's handler, guarded."""
        handler = await continuation(details)
        if handler is None:
            return None
        if handler.unary_unary is not None:
            return handler._replace(unary_unary=_guarded(handler.unary_unary, details.method))
        if handler.stream_stream is not None:
            return handler._replace(stream_stream=_guarded(handler.stream_stream, details.method))
        return handler
