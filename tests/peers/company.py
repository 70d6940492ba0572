"""Several instances in one process, as they would be on one machine, and one who only seems to be one of them.

I/O: unix sockets below a folder of the test's. On virtual time: what is written there can be read in the same moment.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from router.core.frames import VERSION, FrameReader, Hello, Message, View, Welcome, encoded
from router.core.model import Instance
from router.peers import Peers
from router.peers.answering import Answer
from router.peers.calling import Address
from router.platforms import PlatformError


async def nobody() -> ssl.SSLContext:
    """As long as the vault is out of reach."""
    raise PlatformError("the vault is out of reach")


class Member:
    """One instance at a place, which others find at their own symbolic link: one that can be cut."""

    def __init__(self, folder: Path, place: str, *, is_callable: bool) -> None:
        self.folder = folder
        self.place = place
        self.path = folder / f"{place}.sock"
        self.peers = Peers(nobody)
        if is_callable:
            self.peers.announce(Address("", str(self.path)))
        self.answers: list[Answer] = []

    @property
    def name(self) -> str:
        return self.peers.name

    @property
    def sees(self) -> set[str]:
        """Names of those that are up."""
        return {peer.name for peer in self.peers.seen() if peer.is_up}

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_unix_server(self._answer, str(self.path))
        self._beating = asyncio.create_task(self.peers.run())

    def follow(self, places: Iterable[str]) -> None:
        instances = []
        for place in places:
            link = self.link_to(place)
            link.unlink(missing_ok=True)
            link.symlink_to(self.folder / f"{place}.sock")
            instances.append(Instance(id=place, admin="", socket=str(link)))
        self.peers.follow(instances, self.place)

    def link_to(self, place: str) -> Path:
        return self.folder / f"{self.place}-{place}"

    def two_ways(self) -> list[Instance]:
        """As a platform may list one instance that can be reached at two addresses."""
        ways = [self.folder / f"way-{number}" for number in range(2)]
        for way in ways:
            way.symlink_to(self.path)
        return [Instance(id=f"{self.place}{number}", admin="", socket=str(way)) for number, way in enumerate(ways)]

    async def end(self) -> None:
        """As a process ends that was told to."""
        await self.peers.close()
        await self.stop()

    async def die(self) -> None:
        """At once: nothing more is said, and nobody is there."""
        self._server.close()
        self.path.unlink()
        self._beating.cancel()
        for answer in self.answers:
            answer.abort()
        for call, task in self.peers._calls.values():
            if call._wire is not None:
                call._wire.abort()
            task.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)

    async def stop(self) -> None:
        self._server.close()
        self.path.unlink(missing_ok=True)
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)

    def hang_up_on(self, name: str) -> None:
        for answer in self.answers:
            if answer.name == name:
                answer.abort()

    def _answer(self) -> Answer:
        self.answers.append(answer := self.peers.answer())
        return answer


class Company:
    """All of them, by place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.members: dict[str, Member] = {}

    async def start(self, *places: str, is_callable: bool = False) -> list[Member]:
        """They know nobody yet. `is_callable`: they say where, when they call."""
        for place in places:
            self.members[place] = Member(self.folder, place, is_callable=is_callable)
            await self.members[place].start()
        return [self.members[place] for place in places]

    def list(self, *places: str) -> None:
        """To all."""
        for member in self.members.values():
            member.follow(places)

    def cut(self, one: str, other: str) -> None:
        """The two are there, and can't reach each other."""
        for here, there in ((one, other), (other, one)):
            self.members[here].link_to(there).unlink()
            self.members[here].hang_up_on(self.members[there].name)

    async def die(self, place: str) -> None:
        await self.members.pop(place).die()


@asynccontextmanager
async def company_of(folder: Path, *places: str) -> AsyncIterator[Company]:
    """These are listed to each other, and have agreed on who they are."""
    company = Company(folder)
    await company.start(*places)
    company.list(*places)
    await asyncio.sleep(1.05)  # between two beats
    try:
        yield company
    finally:
        await asyncio.gather(*(member.end() for member in company.members.values()))
        await asyncio.sleep(0.0)


class Stranger:
    """A connection whose other end a test plays: it says what it is told to, and writes down what it hears."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.heard: list[Message] = []
        self.is_cut = asyncio.Event()
        self._listening = asyncio.create_task(self._listen(reader))

    def say(self, *messages: Message) -> None:
        self.writer.write(encoded(list(messages)))

    def say_bytes(self, data: bytes) -> None:
        self.writer.write(data)

    def greet(self, name: str = "stranger", socket: str = "") -> None:
        self.say(Hello(VERSION, name, "", socket))

    def heard_of(self, kind: type[Message]) -> list[Message]:
        return [message for message in self.heard if isinstance(message, kind)]

    async def close(self) -> None:
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self.writer.transport.abort()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        frames = FrameReader()
        with suppress(OSError):
            while data := await reader.read(65_536):
                self.heard.extend(frames.feed(data))
        self.is_cut.set()


@asynccontextmanager
async def stranger_at(path: Path) -> AsyncIterator[Stranger]:
    """One that calls."""
    stranger = Stranger(*await asyncio.open_unix_connection(str(path)))
    try:
        yield stranger
    finally:
        await stranger.close()


@asynccontextmanager
async def stranger_listening(path: Path, *first: Message) -> AsyncIterator[list[Stranger]]:
    """One that is called: it answers each with these messages, and then says what the test does."""
    called: list[Stranger] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.append(one := Stranger(reader, writer))
        if first:
            one.say(*first)
        await one.is_cut.wait()

    server = await asyncio.start_unix_server(answer, str(path))
    try:
        yield called
    finally:
        server.close()
        for one in called:
            await one.close()
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - a file of the test's


def welcome(name: str = "stranger", version: int = VERSION) -> Welcome:
    return Welcome(version, name)


def view(epoch: int, change: int, answers: int, digest: bytes, **held: dict[str, int]) -> View:
    return View(epoch, change, answers, digest, held)
