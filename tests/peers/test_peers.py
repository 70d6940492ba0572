"""Peers: who meets whom, what becomes of a connection, and what goes out."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from router.core.circle import LEASE_S, STRANGER_S
from router.core.frames import VERSION, Beat, Echo, Hello, Welcome, encoded
from router.core.model import Instance
from router.peers import GIVE_UP_S, Peers
from router.peers.calling import Address
from tests.peers.company import Company, company_of, nobody, stranger_at, stranger_listening, view, welcome
from tests.virtual_time import now, on_virtual_time, settle


@on_virtual_time
async def test_those_that_are_listed_meet_and_agree(folder: Path) -> None:
    async with company_of(folder, "a", "b", "c") as company:
        for member in company.members.values():
            others = company.members.keys() - {member.place}
            seen = member.peers.seen()
            assert {peer.place for peer in seen} == others
            assert all(peer.is_up and peer.agrees and peer.silent_s < 0.5 for peer in seen)
            assert member.peers.has_joined
            assert member.peers.sharing.missing == ()


@on_virtual_time
async def test_one_frame_takes_all_that_was_posted_in_a_turn(folder: Path) -> None:
    async with company_of(folder, "a", "b") as company:
        a, b = company.members.values()
        before = a.peers.frames_total
        for number in range(5):
            a.peers.sharing.to_owners.post(b.name, Beat(number))
        await settle()
        assert a.peers.frames_total == before + 1


@on_virtual_time
async def test_one_that_calls_before_it_is_listed_is_called_back(folder: Path) -> None:
    company = Company(folder)
    a, b = await company.start("a", "b", is_callable=True)
    a.follow(["a"])
    b.follow(["a", "b"])
    await asyncio.sleep(1.0)
    assert a.sees == {b.name}
    assert [peer.place for peer in a.peers.seen()] == [None]
    a.follow(["a", "b"])
    await asyncio.sleep(0.5)
    assert [peer.place for peer in a.peers.seen()] == ["b"]
    assert a.sees == {b.name}
    assert all(peer.agrees for member in (a, b) for peer in member.peers.seen())
    await asyncio.gather(a.end(), b.end())


@on_virtual_time
async def test_one_that_is_listed_no_more_is_kept_while_it_is_there(folder: Path) -> None:
    """It may have permits to give back; and the list may be wrong."""
    async with company_of(folder, "a", "b") as company:
        a, b = company.members.values()
        a.follow(["a"])
        await asyncio.sleep(3.0)
        assert a.sees == {b.name}
        a.follow(["a", "b"])
        await asyncio.sleep(3.0)
        assert [(peer.name, peer.place, peer.is_up) for peer in a.peers.seen()] == [(b.name, "b", True)]
        assert len(b.answers) == 1


@on_virtual_time
async def test_one_that_is_gone_and_not_listed_is_called_no_more(folder: Path) -> None:
    async with company_of(folder, "a", "b") as company:
        a = company.members["a"]
        a.follow(["a"])
        await company.die("b")
        await asyncio.sleep(LEASE_S + 1.0)
        assert a.peers.seen() == []
        assert a.peers._calls == {}
        assert a.peers.sharing.is_alone


@on_virtual_time
async def test_another_process_at_the_same_place_is_met(folder: Path) -> None:
    async with company_of(folder, "a", "b") as company:
        before = company.members["b"].name
        await company.die("b")
        await asyncio.sleep(0.1)
        await company.start("b")
        company.list("a", "b")
        await asyncio.sleep(2.0)
        a, b = company.members.values()
        assert b.name != before
        assert a.sees == {b.name}
        assert b.sees == {a.name}
        assert all(peer.agrees for member in (a, b) for peer in member.peers.seen())


# -- itself ----------------------------------------------------------------------------------------------------


@on_virtual_time
async def test_who_does_not_know_its_own_place_calls_itself_in_vain_and_is_no_peer_of_its_own(folder: Path) -> None:
    company = Company(folder)
    (a,) = await company.start("a", is_callable=True)
    a.peers.follow([Instance(id="a", admin="", socket=str(a.path))], "")
    await asyncio.sleep(STRANGER_S + 1.0)
    assert len(a.answers) == 1  # once is enough
    assert a.peers.seen() == []
    assert len(a.peers.sharing._callers) == 0
    await a.end()


@on_virtual_time
async def test_one_instance_at_two_addresses_is_one(folder: Path) -> None:
    company = Company(folder)
    a, b = await company.start("a", "b")
    twice = b.two_ways()
    own = Instance(id="a", admin="", socket=str(a.path))
    a.peers.follow([own, twice[0]], "a")
    b.follow(["a", "b"])
    await asyncio.sleep(1.0)
    a.peers.follow([own, twice[1]], "a")  # the platform knows a better way to it by now
    await asyncio.sleep(1.0)
    assert [(peer.name, peer.place) for peer in a.peers.seen()] == [(b.name, "b1")]
    assert list(a.peers._calls) == [Address("", twice[1].socket)]
    assert all(peer.agrees for member in (a, b) for peer in member.peers.seen())
    await asyncio.gather(a.end(), b.end())


@on_virtual_time
async def test_another_address_of_one_instance_is_called_once_the_first_is_listed_no_more(folder: Path) -> None:
    company = Company(folder)
    a, b = await company.start("a", "b")
    twice = b.two_ways()
    own = Instance(id="a", admin="", socket=str(a.path))
    b.follow(["a", "b"])
    a.peers.follow([own, *twice], "a")
    await asyncio.sleep(1.0)
    (met,) = [peer.place for peer in a.peers.seen()]
    (other,) = [each for each in twice if each.id != met]
    a.peers.follow([own, other], "a")
    await asyncio.sleep(1.0)
    assert [(peer.name, peer.place) for peer in a.peers.seen()] == [(b.name, other.id)]
    await asyncio.gather(a.end(), b.end())


@on_virtual_time
async def test_an_instance_without_an_address_is_not_called_but_counts_as_there(folder: Path) -> None:
    company = Company(folder)
    (a,) = await company.start("a")
    a.peers.follow([Instance(id="a", admin=""), Instance(id="old", admin="http://old")], "a")
    assert a.peers._calls == {}
    await asyncio.sleep(STRANGER_S + 1.0)
    assert a.peers.sharing.missing == ("old",)
    await a.end()


# -- bad company -----------------------------------------------------------------------------------------------


@on_virtual_time
async def test_a_caller_that_falls_silent_is_cut_off_and_forgotten(folder: Path) -> None:
    """As when its machine lost power: no connection ends by itself then."""
    async with company_of(folder, "a") as company:
        a = company.members["a"]
        assert a.peers.sharing.is_alone
        async with stranger_at(a.path) as stranger:
            stranger.greet()
            await asyncio.sleep(1.0)
            assert stranger.heard_of(Welcome) == [Welcome(VERSION, a.name)]
            assert not a.peers.sharing.is_alone
            await asyncio.wait_for(stranger.is_cut.wait(), GIVE_UP_S)
            await asyncio.sleep(LEASE_S)
            assert a.peers.sharing.is_alone


@on_virtual_time
async def test_one_that_is_called_and_falls_silent_is_called_anew(folder: Path) -> None:
    company = Company(folder)
    (a,) = await company.start("a")
    async with stranger_listening(folder / "b.sock", welcome()) as calls:
        a.follow(["a", "b"])
        await asyncio.sleep(0.5)
        assert a.sees == {"stranger"}
        await asyncio.sleep(1.0)
        assert a.sees == set()
        await asyncio.sleep(GIVE_UP_S)
        assert len(calls) == 2
        assert calls[0].is_cut.is_set()
        await a.end()


@on_virtual_time
async def test_who_reads_nothing_is_cut_off(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("router.peers.wire.MAX_WAITING_BYTES", 100_000)
    async with company_of(folder, "a") as company:
        a = company.members["a"]
        async with stranger_at(a.path) as stranger:
            stranger.writer.transport.pause_reading()  # type: ignore[attr-defined]
            stranger.greet()
            for _ in range(50):
                stranger.say(*(Beat(number) for number in range(20_000)))
                await settle()
            assert caplog.text.count("another instance reads nothing; its connection is closed") == 1
            assert not a.peers._answers


@on_virtual_time
async def test_who_says_the_same_name_again_takes_the_place_of_who_said_it_before(folder: Path) -> None:
    async with company_of(folder, "a") as company, stranger_at(company.members["a"].path) as one:
        one.greet()
        await asyncio.sleep(0.1)
        async with stranger_at(company.members["a"].path) as other:
            other.greet()
            await asyncio.sleep(0.1)
            assert one.is_cut.is_set()
            other.say(Beat(7))
            await settle()
            assert other.heard_of(Echo) == [Echo(7)]


@on_virtual_time
async def test_words_for_an_old_view_and_of_unknown_deployments_do_no_harm(folder: Path) -> None:
    async with company_of(folder, "a") as company, stranger_at(company.members["a"].path) as stranger:
        stranger.greet()
        stranger.say(view(1, 1, 99, b"another", **{"no/such": {"r": 5}}), view(2, 1, 99, b"", **{"no/such": {"r": 5}}))
        stranger.say(Hello(VERSION, "another"), welcome())
        await asyncio.sleep(0.5)
        stranger.say(Beat(1))
        await settle()
        assert stranger.heard_of(Echo) == [Echo(1)]
        assert not stranger.is_cut.is_set()


@on_virtual_time
async def test_a_caller_without_an_address_where_it_answers_is_not_called_for_ever(folder: Path) -> None:
    async with company_of(folder, "a") as company:
        a = company.members["a"]
        for number, socket in enumerate(("", str(folder / "nobody.sock"))):
            async with stranger_at(a.path) as stranger:
                stranger.greet(f"stranger{number}", socket)
                await asyncio.sleep(0.5)
                assert len(a.peers._calls) == (1 if socket else 0)
            await settle()
            assert a.peers._calls == {}


@pytest.mark.parametrize("peer", ["", "https://[::1]", "https://x:port", "nothing", "https://x:99999999"])
@on_virtual_time
async def test_an_address_that_is_none_is_not_called(folder: Path, peer: str) -> None:
    async with company_of(folder, "a") as company:
        a = company.members["a"]
        server = await asyncio.get_running_loop().create_server(a.peers.answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(encoded([Hello(VERSION, "stranger", peer)]))
        await asyncio.sleep(1.0)
        assert len(a.peers._answers) == 1
        assert len(a.peers._calls) == peer.endswith("9")
        assert all(not task.done() for _, task in a.peers._calls.values())
        writer.transport.abort()
        server.close()
        await asyncio.sleep(0.1)
        assert a.peers._calls == {}


@on_virtual_time
async def test_one_of_another_version_is_missing_and_told_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    company = Company(folder)
    (a,) = await company.start("a")
    async with stranger_listening(folder / "b.sock", welcome(version=99)):
        a.follow(["a", "b"])
        await asyncio.sleep(STRANGER_S + 5.0)
        assert a.peers.sharing.missing == ("b",)
        assert a.peers.has_joined
        assert caplog.text.count("it speaks version 99 of what instances say to each other, this one 1") == 1
        assert caplog.text.count("can't reach b: slots that may be in use there are left alone") == 1
        a.follow(["a"])
        await asyncio.sleep(1.0)
        assert "all instances that are listed are reached again" in caplog.text
        await a.end()


# -- its end, and its own failures -----------------------------------------------------------------------------


@on_virtual_time
async def test_once_it_is_closed_nobody_is_welcome(folder: Path) -> None:
    async with company_of(folder, "a", "b") as company:
        a, b = company.members.values()
        await b.peers.close()
        await settle()
        assert a.peers.seen() == []
        await asyncio.sleep(3.0)
        assert a.peers.seen() == []
        b.follow(["a", "b"])
        assert b.peers._calls == {}
        assert all(not answer.name for answer in b.answers[1:])
        assert len(b.answers) < 10  # pauses grow


@on_virtual_time
async def test_what_was_posted_before_the_end_still_goes_out(folder: Path) -> None:
    async with company_of(folder, "a") as company, stranger_at(company.members["a"].path) as stranger:
        a = company.members["a"]
        stranger.greet()
        await asyncio.sleep(0.1)
        a.peers.sharing.to_borrowers.post("stranger", Echo(77))
        await a.peers.close()
        await asyncio.wait_for(stranger.is_cut.wait(), 1.0)
        assert stranger.heard_of(Echo) == [Echo(77)]


@on_virtual_time
async def test_a_beat_that_fails_is_told_and_the_next_one_comes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with company_of(folder, "a", "b") as company:
        a, b = company.members.values()
        tick = a.peers.sharing.tick

        def fails(now: float) -> None:
            monkeypatch.setattr(a.peers.sharing, "tick", tick)
            raise ArithmeticError

        monkeypatch.setattr(a.peers.sharing, "tick", fails)
        await asyncio.sleep(2.0)
        assert caplog.text.count("a beat failed") == 1
        assert b.sees == {a.name}


@on_virtual_time
async def test_a_failure_of_ours_ends_the_connection_and_it_is_begun_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with company_of(folder, "a", "b") as company:
        a, b = company.members.values()
        follow = a.peers.sharing.from_caller

        def fails(*_: object) -> None:
            monkeypatch.setattr(a.peers.sharing, "from_caller", follow)
            raise ArithmeticError

        monkeypatch.setattr(a.peers.sharing, "from_caller", fails)
        await asyncio.sleep(2.0)
        assert caplog.text.count("what another instance said can't be taken in; its connection is closed") == 1
        assert len(a.answers) == 2
        assert all(peer.agrees and peer.is_up for peer in (*a.peers.seen(), *b.peers.seen()))


@on_virtual_time
async def test_a_cut_between_two_is_noticed_and_mended(folder: Path) -> None:
    async with company_of(folder, "a", "b", "c") as company:
        a, b, c = company.members.values()
        company.cut("a", "b")
        await asyncio.sleep(3.0)
        assert (a.sees, b.sees, c.sees) == ({c.name}, {c.name}, {a.name, b.name})
        assert "b" in a.peers.sharing.missing
        assert "a" in b.peers.sharing.missing
        company.list("a", "b", "c")
        await asyncio.sleep(3.0)
        assert a.sees == {b.name, c.name}
        assert all(not member.peers.sharing.missing for member in (a, b, c))
        assert all(peer.agrees for member in (a, b, c) for peer in member.peers.seen())


@on_virtual_time
async def test_each_process_has_a_name_of_its_own() -> None:
    assert Peers(nobody).name != Peers(nobody).name


@on_virtual_time
async def test_whenever_they_began_instances_beat_at_the_same_moments(folder: Path) -> None:
    """So that whoever hears them wakes once for all, and has its own beat to give, too."""
    async with company_of(folder, "a", "b") as company:
        await asyncio.sleep(0.07)
        await company.start("c")
        company.list("a", "b", "c")
        await asyncio.sleep(2.0)
        beats = set()
        while now() < 5.0:
            before, at = {place: member.peers.frames_total for place, member in company.members.items()}, now() % 0.2
            await asyncio.sleep(0.01)
            await settle()
            beats |= {
                (round(at, 3), place) for place in before if company.members[place].peers.frames_total > before[place]
            }
        assert len({at for at, _ in beats}) == 1
        assert {place for _, place in beats} == {"a", "b", "c"}
