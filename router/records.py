"""What does the access log say of a request?

I/O: reads the wall clock, for the record's time only.
"""

from __future__ import annotations

import time

from router.accesslog import Record
from router.core.errors import RouterError
from router.request import Request


def record_of(request: Request, duration_s: float, client: str) -> Record:
    """`client`: the address of who asked."""
    error, live = request.error, request.live
    return Record(
        time=round(time.time(), 3),  # noqa: TID251 - a log's time is the calendar's
        request_id=request.request_id.decode(),
        method=request.method,
        path=request.path[:1024].decode("ascii", "backslashreplace"),
        status=request.status,
        duration_ms=round(duration_s * 1000, 3),
        client=client,
        endpoint="" if request.endpoint is None else request.endpoint.name,
        deployment="" if live is None else live.noun.name,
        replica=request.replica_uid,
        consumer="" if request.caller is None else request.caller.consumer,
        attempts=request.attempts,
        queue_ms=round(request.waited_s * 1000, 3),
        overhead_ms=round(request.overhead_s * 1000, 3),
        request_bytes=request.body_bytes,
        reply_bytes=request.reply_bytes,
        client_request_id=(request.client_request_id or b"").decode(),
        trace=request.trace[13:68].decode("ascii", "replace"),
        code="" if error is None else error.code,
        error="" if error is None else error.message,
    )


def refusal_record(error: RouterError, client: str, request_id: bytes) -> Record:
    """Of a request that broke HTTP or a limit before its head was known."""
    return Record(
        time=round(time.time(), 3),  # noqa: TID251
        request_id=request_id.decode(),
        method="",
        path="",
        status=error.status,
        duration_ms=0.0,
        client=client,
        code=error.code,
        error=error.message,
    )
