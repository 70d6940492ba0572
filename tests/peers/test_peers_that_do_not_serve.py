"""Peers: what is left to one that can't be reached, by what the platform says of it, and when that is told."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from router.core.model import Instance
from router.peers import TELL_AFTER_S
from tests.peers.company import Member, company_of
from tests.virtual_time import on_virtual_time


def listed(member: Member, *, other_serves: bool) -> list[Instance]:
    other = Instance(id="b", admin="", socket=str(member.link_to("b")), serves=other_serves)
    return [Instance(id="a", admin="", socket=str(member.path)), other]


@on_virtual_time
async def test_one_that_is_gone_is_left_its_slots_only_as_long_as_it_is_said_to_serve(folder: Path) -> None:
    async with company_of(folder, "a", "b") as company:
        a, b = company.members.values()
        await b.die()
        await asyncio.sleep(0.5)
        a.peers.follow(listed(a, other_serves=True), "a")
        assert a.peers.sharing.missing == ("b",)
        a.peers.follow(listed(a, other_serves=False), "a")
        assert a.peers.sharing.missing == ()
        await a.end()
        company.members.clear()


@on_virtual_time
async def test_one_that_can_not_be_reached_is_told_only_if_that_lasts(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with company_of(folder, "a", "b") as company:
        a, b = company.members.values()
        await b.die()
        await asyncio.sleep(TELL_AFTER_S / 2)
        assert "can't reach" not in caplog.text
        await asyncio.sleep(TELL_AFTER_S)
        assert caplog.text.count("can't reach b") == 1
        await a.end()
        company.members.clear()


@on_virtual_time
async def test_one_that_stops_can_be_reached_until_others_have_seen_that_it_is_listed_no_more(folder: Path) -> None:
    """Listed and out of reach, it might serve: its slots would be left alone."""
    async with company_of(folder, "a", "b") as company:
        a, b = company.members.values()
        b.peers.drain()
        ending = asyncio.create_task(b.end())
        await asyncio.sleep(0.2)
        assert (a.sees, a.peers.sharing.missing) == ({b.name}, ())
        a.follow(["a"])
        await ending
        assert (a.sees, a.peers.sharing.missing) == (set(), ())
        del company.members["b"]


@on_virtual_time
async def test_one_that_is_alone_stops_at_once(folder: Path) -> None:
    async with company_of(folder, "a") as company:
        began = asyncio.get_running_loop().time()
        await company.members.pop("a").end()
        assert asyncio.get_running_loop().time() - began < 0.1
