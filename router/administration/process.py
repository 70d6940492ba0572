"""What does an administrator see and change of this one process?

I/O: the levels of its loggers. Another process of the installation is asked at its own port.
"""

from __future__ import annotations

import logging
from typing import get_args

from router.administration.operation import Answer, Call, Operation
from router.administration.parts import Parts
from router.administration.shapes import LogLevelWish
from router.administrator.shapes import Level, LogLevel
from router.core.model import Load

_LEVELS: tuple[Level, ...] = get_args(Level)

_loggers = logging.getLogger("scoregate")


async def show_load(parts: Parts, call: Call) -> Answer:
    return Answer((await parts.served.load_of_all()).loads)


async def show_log_level(parts: Parts, call: Call) -> Answer:
    return Answer(LogLevel(level=_level()))


async def set_log_level(parts: Parts, call: Call) -> Answer:
    wish: LogLevelWish = call.body
    call.told_change(_level(), wish.level)
    _loggers.setLevel(wish.level.upper())
    return Answer(LogLevel(level=wish.level))


def _level() -> Level:
    """The finest whose lines are written."""
    for level in _LEVELS:
        if _loggers.isEnabledFor(logging.getLevelNamesMapping()[level.upper()]):
            return level
    return _LEVELS[-1]


OPERATIONS = (
    Operation(
        method="GET",
        path="/load",
        name="showLoad",
        summary="Every deployment's load, as /load has it.",
        act=show_load,
        reply=list[Load],
    ),
    Operation(
        method="GET",
        path="/log-level",
        name="showLogLevel",
        summary="From which level on this process logs.",
        act=show_log_level,
        reply=LogLevel,
    ),
    Operation(
        method="PUT",
        path="/log-level",
        name="setLogLevel",
        summary="Log from this level on, until the process ends; the audit log goes on at any level.",
        act=set_log_level,
        reply=LogLevel,
        body=LogLevelWish,
        is_audited=True,
    ),
)
