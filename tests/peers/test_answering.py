"""Answering: how a connection that another instance made begins, and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from router.core.frames import VERSION, Beat, Hello, Message, Welcome
from router.peers.answering import HELLO_WITHIN_S, Answer
from tests.peers.company import Stranger, stranger_at
from tests.virtual_time import armed, now, on_virtual_time, settle

WELCOME = Welcome(VERSION, "here", may_own=False)


class Called:
    """Who is called: it writes down what it is told."""

    def __init__(self) -> None:
        self.said: list[str | Message] = []
        self.welcome: Welcome | None = WELCOME

    def called(self, answer: Answer, hello: Hello) -> None:
        self.said.append(hello)

    def told(self, answer: Answer, message: Message) -> None:
        self.said.append(message)

    def hung_up(self, answer: Answer) -> None:
        self.said.append(f"{answer.name} hung up")


@asynccontextmanager
async def answering(folder: Path) -> AsyncIterator[tuple[Called, Stranger]]:
    called = Called()
    made: list[Answer] = []

    def answer() -> Answer:
        made.append(Answer(called, lambda: called.welcome))
        return made[-1]

    server = await asyncio.get_running_loop().create_unix_server(answer, str(folder / "here"))
    async with stranger_at(folder / "here") as stranger:
        yield called, stranger
    for each in made:
        each.abort()
    await settle()
    server.close()


@on_virtual_time
async def test_who_says_who_it_is_is_welcome_and_heard(folder: Path) -> None:
    hello = Hello(VERSION, "there", "https://x:1", "/y")
    async with answering(folder) as (called, stranger):
        stranger.say(hello, Beat(1))
        await settle()
        stranger.say(Hello(VERSION, "another"), Beat(2))  # no more than a message now
        await settle()
        assert stranger.heard == [WELCOME]
        assert armed() == []
        stranger.writer.close()
        await settle()
        assert called.said == [hello, Beat(1), Hello(VERSION, "another"), Beat(2), "there hung up"]


@on_virtual_time
async def test_who_begins_with_something_else_is_told_of_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with answering(folder) as (called, stranger):
        stranger.say(*(Beat(number) for number in range(1_000)), Hello(VERSION, "there"))
        await stranger.is_cut.wait()
        assert called.said == []
        assert stranger.heard == []
        assert [record.getMessage() for record in caplog.records] == [
            "another instance began without saying who it is; its connection is closed"
        ]
        await settle()
        assert armed() == []


@on_virtual_time
async def test_who_says_nothing_is_not_waited_for(folder: Path) -> None:
    async with answering(folder) as (called, stranger):
        await stranger.is_cut.wait()
        assert now() == HELLO_WITHIN_S
        assert called.said == []


@pytest.mark.parametrize("version", [0, VERSION + 1, 99])
@on_virtual_time
async def test_one_of_another_version_hears_which_one_this_is(folder: Path, version: int) -> None:
    async with answering(folder) as (called, stranger):
        stranger.say(Hello(version, "there"), Beat(1))
        await stranger.is_cut.wait()
        assert stranger.heard == [WELCOME]
        assert called.said == []


@on_virtual_time
async def test_once_nobody_is_welcome_the_connection_is_cut(folder: Path) -> None:
    async with answering(folder) as (called, stranger):
        called.welcome = None
        stranger.say(Hello(VERSION, "there"))
        await stranger.is_cut.wait()
        assert now() == 0.0
        assert stranger.heard == []
        assert called.said == []
