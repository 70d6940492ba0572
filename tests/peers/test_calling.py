"""Calling: by which way another instance is reached, how long that is tried, and what is said of it."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket

import pytest

from router.core.frames import VERSION, Beat, Hello, Message, Welcome
from router.peers.calling import ANSWERS_WITHIN_S, Address, Call
from router.platforms import PlatformError
from router.platforms.memory_administration import MemoryVault
from tests.identities import open_identity
from tests.peers.answers import tls_answering
from tests.peers.company import nobody, stranger_listening, welcome
from tests.virtual_time import now, on_virtual_time, settle

HELLO = Hello(VERSION, "here", "https://127.0.0.1:1")


class Met:
    """Who calls: it writes down what comes of it."""

    def __init__(self) -> None:
        self.said: list[str | Message] = []
        self.goes_on = True
        self.has_met = asyncio.Event()

    def met(self, call: Call, welcome: Welcome) -> bool:
        self.said.append(welcome)
        self.has_met.set()
        return self.goes_on

    def heard(self, call: Call, message: Message) -> None:
        self.said.append(message)

    def lost(self, call: Call) -> None:
        self.said.append(f"{call.name} lost")


@contextmanager
def calling(peer: str, path: Path | str, met: Met) -> Iterator[tuple[Call, asyncio.Task[None]]]:
    call = Call(Address(peer, str(path)), "b", lambda: HELLO, nobody, met)
    task = asyncio.create_task(call.run())
    try:
        yield call, task
    finally:
        task.cancel()


@on_virtual_time
async def test_who_answers_is_met_and_heard_until_it_hangs_up_and_then_called_again(folder: Path) -> None:
    met = Met()
    # what it says at once follows in the same piece
    async with stranger_listening(folder / "b", welcome(), Beat(1)) as calls:
        with calling("", folder / "b", met) as (call, task):
            await settle()
            assert call.name == "stranger"
            assert met.said == [welcome(), Beat(1)]
            call.send([Beat(2)])
            await settle()
            assert calls[0].heard == [HELLO, Beat(2)]
            calls[0].writer.close()
            await asyncio.sleep(0.1)
            assert met.said[2:] == ["stranger lost", welcome(), Beat(1)]
        await asyncio.gather(task, return_exceptions=True)
        await settle()
        assert calls[1].is_cut.is_set()
        assert met.said[-1] == "stranger lost"
        assert call.name == ""
        call.send([Beat(3)])
        call.beat(0)


@on_virtual_time
async def test_where_there_is_no_point_it_is_not_called_again(folder: Path) -> None:
    met = Met()
    met.goes_on = False
    async with stranger_listening(folder / "b", welcome()) as calls:
        with calling("", folder / "b", met) as (_, task):
            await task
        assert met.said == [welcome()]
        assert len(calls) == 1


@pytest.mark.parametrize("what", ["gone", "stale", "taken by a file", "silent", "hangs up", "says something else"])
@on_virtual_time
async def test_who_is_not_there_is_called_until_it_is(
    folder: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    caplog.set_level(logging.INFO)
    met, path = Met(), folder / "b"
    reasons = {"gone": "No such file", "stale": "refused", "taken by a file": "refused"}
    with calling("", path, met) as (call, task):
        if what == "stale":
            with closing(socket(AF_UNIX, SOCK_STREAM)) as sock:
                sock.bind(str(path))
        elif what == "taken by a file":
            path.touch()
        if what in reasons:
            await asyncio.sleep(10.0)
        else:
            async with stranger_listening(path, *([Beat(1)] if what == "says something else" else [])) as calls:
                await asyncio.sleep(ANSWERS_WITHIN_S)
                if what == "hangs up":
                    calls[0].writer.close()
                await asyncio.sleep(ANSWERS_WITHIN_S + 1.0)
                assert len(calls) > 1
        assert met.said == []
        assert 1 <= caplog.text.count("instance b is not reached, trying again: ") <= 2
        assert reasons.get(what, "") in caplog.text
        path.unlink(missing_ok=True)
        async with stranger_listening(path, welcome()):
            await asyncio.sleep(2.5)
            assert met.said == [welcome()]
    await asyncio.gather(task, return_exceptions=True)
    await settle()
    assert call.name == ""


@pytest.mark.parametrize("peer", ["https://127.0.0.1:99999", "https://[::", "nothing", "https://127.0.0.1:port"])
@on_virtual_time
async def test_an_address_that_is_none_is_told_and_no_failure(caplog: pytest.LogCaptureFixture, peer: str) -> None:
    caplog.set_level(logging.INFO)
    identity = await open_identity(MemoryVault())

    async def identify() -> ssl.SSLContext:
        return identity.peer

    call = Call(Address(peer), None, lambda: HELLO, identify, Met())
    task = asyncio.create_task(call.run())
    await asyncio.sleep(0.04)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert f"instance {peer} is not reached, trying again: " in caplog.text


@on_virtual_time
async def test_another_version_is_told_and_tried_again(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It may be replaced by one of this version, at the same address."""
    caplog.set_level(logging.INFO)
    met = Met()
    with calling("", folder / "b", met) as (_, task):
        async with stranger_listening(folder / "b", welcome(version=99)) as calls:
            await asyncio.sleep(5.0)
            assert 4 < len(calls) < 12
        async with stranger_listening(folder / "b", welcome()):
            await asyncio.sleep(1.5)
            assert met.said == [welcome()]
    await asyncio.gather(task, return_exceptions=True)
    assert caplog.text.count("version 99") == 1


async def test_over_the_network_both_show_who_they_are() -> None:
    vault = MemoryVault()
    ours, theirs = await open_identity(vault), await open_identity(vault)
    met, opens = Met(), False

    async def identify() -> ssl.SSLContext:
        if not opens:
            raise PlatformError("the vault is out of reach")
        return ours.peer

    async with tls_answering(theirs.server) as (url, hellos):
        call = Call(Address(url), "b", lambda: HELLO, identify, met)
        task = asyncio.create_task(call.run())
        await asyncio.sleep(0.1)
        assert met.said == []  # while it does not know itself
        opens = True
        async with asyncio.timeout(10):
            await met.has_met.wait()
        assert hellos == [HELLO]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_another_installation_is_not_met(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ours, theirs = await open_identity(MemoryVault()), await open_identity(MemoryVault())
    met = Met()

    async def identify() -> ssl.SSLContext:
        return ours.peer

    async with tls_answering(theirs.server) as (url, hellos):
        task = asyncio.create_task(Call(Address(url), "b", lambda: HELLO, identify, met).run())
        async with asyncio.timeout(10):
            while "is not reached" not in caplog.text:  # noqa: ASYNC110 - the log has no event
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert met.said == []
        assert hellos == []


@pytest.mark.parametrize("what", ["gone", "stale"])
async def test_where_the_unix_socket_is_not_there_the_port_is(folder: Path, what: str) -> None:
    vault = MemoryVault()
    ours, theirs = await open_identity(vault), await open_identity(vault)
    met = Met()
    if what == "stale":
        with closing(socket(AF_UNIX, SOCK_STREAM)) as sock:
            sock.bind(str(folder / "b"))

    async def identify() -> ssl.SSLContext:
        return ours.peer

    async with tls_answering(theirs.server) as (url, hellos):
        address = Address(url, str(folder / "b"))
        task = asyncio.create_task(Call(address, "b", lambda: HELLO, identify, met).run())
        async with asyncio.timeout(10):
            await met.has_met.wait()
        assert hellos == [HELLO]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@on_virtual_time
async def test_who_does_not_answer_in_time_is_given_up(folder: Path) -> None:
    async with stranger_listening(folder / "b") as calls:
        with calling("", folder / "b", Met()) as (_, task):
            began = now()
            await settle()
            await calls[0].is_cut.wait()
            assert now() - began == pytest.approx(ANSWERS_WITHIN_S)
        await asyncio.gather(task, return_exceptions=True)
        await settle()


def test_an_address_is_shown_by_its_nearest_way() -> None:
    assert str(Address("https://x:1", "/y")) == "/y"
    assert str(Address("https://x:1")) == "https://x:1"
