"""When an issuer is asked for its keys, and what is done without an answer. All of it on virtual time."""

from __future__ import annotations

import asyncio
import logging

import pytest

from router.core.errors import Unavailable
from router.tokens import discovery
from router.tokens.discovery import Found, Source, Useless
from router.tokens.issuer import LONGEST_PAUSE_S, MOST_LACKING, UNKNOWN_KEY_GAP_S, Issuer
from router.tokens.jwks import VerifyingKey
from tests.tokens.issuer import private_key
from tests.virtual_time import now, on_virtual_time, settle

SOURCE = Source("https://issuer.example", None, None)
OLD, NEW = (
    (VerifyingKey(name, private_key("ES256", number).public_key(), frozenset(("ES256",))),)
    for number, name in enumerate(("old", "new"))
)


class Answers:
    """What the issuer would say, and when it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer: Found | Exception = Found(OLD, 600)
        self.takes_s = 0.0
        self.asked_s: list[float] = []
        monkeypatch.setattr(discovery, "fetch", self._fetch)

    async def _fetch(self, source: Source) -> Found:
        assert source is SOURCE
        self.asked_s.append(now())
        answer = self.answer
        await asyncio.sleep(self.takes_s)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    monkeypatch.setattr("random.uniform", lambda least, most: most)
    return Answers(monkeypatch)


def an_issuer(changes: list[None] | None = None) -> Issuer:
    noted: list[None] = [] if changes is None else changes
    return Issuer(SOURCE, lambda: noted.append(None))


@on_virtual_time
async def test_it_is_asked_at_once_and_again_when_the_keys_are_old(answers: Answers) -> None:
    changes: list[None] = []
    issuer = an_issuer(changes)
    await asyncio.sleep(1300)
    assert answers.asked_s == [0, 600, 1200]
    assert (issuer.keys, len(changes)) == (OLD, 1)
    answers.answer = Found(NEW, 60)
    await asyncio.sleep(600)
    assert answers.asked_s == [0, 600, 1200, 1800, 1860]
    assert (issuer.keys, len(changes)) == (NEW, 2)
    await issuer.close()


@on_virtual_time
async def test_a_request_for_an_unknown_key_asks_once_in_a_while(answers: Answers) -> None:
    issuer = an_issuer()
    await asyncio.sleep(10)
    for _ in range(100):
        await issuer.ask()
    assert (answers.asked_s, issuer.may_ask()) == ([0, 10], False)
    await asyncio.sleep(UNKNOWN_KEY_GAP_S - 1)
    await issuer.ask()
    assert (answers.asked_s, issuer.may_ask()) == ([0, 10], False)
    await asyncio.sleep(1)
    assert issuer.may_ask()
    await issuer.ask()
    assert answers.asked_s == [0, 10, 40]
    await asyncio.sleep(600)
    assert answers.asked_s == [0, 10, 40, 640]
    await issuer.close()


def verdict(issuer: Issuer, key_id: str | None) -> str:
    try:
        issuer.check_lacks(key_id)
    except Unavailable as error:
        return dict(error.headers)[b"retry-after"].decode()
    return "lacks it"


@on_virtual_time
async def test_it_lacks_what_an_answer_did_not_have_that_was_asked_for_afterwards(answers: Answers) -> None:
    issuer = an_issuer()
    issuer.seek("made-up")
    await asyncio.sleep(10)
    assert (verdict(issuer, "made-up"), verdict(issuer, "later")) == ("lacks it", "1")
    answers.takes_s = 2
    asking = asyncio.create_task(issuer.ask())
    await asyncio.sleep(1)
    issuer.seek("later")  # too late for the question that is under way
    await asking
    assert (verdict(issuer, "made-up"), verdict(issuer, "later")) == ("lacks it", "28")
    await asyncio.sleep(30)
    answers.answer = Useless("it is down")
    await issuer.ask()
    assert verdict(issuer, "later") != "lacks it", "no answer tells nothing"
    answers.answer = Found(NEW, 600)
    issuer.seek("new")
    issuer.seek(None)
    await asyncio.sleep(30)
    assert [verdict(issuer, each) for each in ("made-up", "old", None)] == ["lacks it"] * 3
    assert verdict(issuer, "new") != "lacks it"
    await issuer.close()


@on_virtual_time
async def test_strangers_can_make_up_so_many_names_of_keys_and_no_more(answers: Answers) -> None:
    issuer = an_issuer()
    for turn in range(3):
        for number in range(MOST_LACKING):
            issuer.seek(f"{turn}-{number}")
        issuer.seek("one too many")
        await asyncio.sleep(600)
    assert len(issuer._lacking) == MOST_LACKING
    assert verdict(issuer, "2-0") == "lacks it"
    assert verdict(issuer, "one too many") != "lacks it"
    await issuer.close()


@on_virtual_time
async def test_many_wait_for_one_answer(answers: Answers) -> None:
    issuer = an_issuer()
    await asyncio.sleep(10)
    answers.takes_s, answers.answer = 2, Found(NEW, 600)
    waiting = [asyncio.create_task(issuer.ask()) for _ in range(50)]
    await asyncio.sleep(1)
    assert issuer.may_ask()
    assert not any(task.done() for task in waiting)
    waiting[0].cancel()
    await asyncio.gather(*waiting[1:], issuer.ask())
    assert (now(), issuer.keys, answers.asked_s) == (12, NEW, [0, 10])
    assert not issuer.may_ask()
    await issuer.close()


@on_virtual_time
async def test_an_answer_that_was_on_its_way_counts_against_nobody(answers: Answers) -> None:
    """It may be from before the key was made: whoever waited for it may ask once more."""
    issuer = an_issuer()
    await asyncio.sleep(10)
    answers.takes_s = 2
    await asyncio.sleep(591)
    await issuer.ask()
    assert (now(), answers.asked_s, issuer.may_ask()) == (602, [0, 600], True)
    await issuer.ask()
    assert (now(), answers.asked_s, issuer.may_ask()) == (604, [0, 600, 602], False)
    await issuer.close()


@on_virtual_time
async def test_the_first_request_waits_for_the_first_keys(answers: Answers) -> None:
    answers.takes_s = 3
    issuer = an_issuer()
    assert issuer.may_ask()
    await asyncio.sleep(1)
    await issuer.ask()
    assert (now(), issuer.keys) == (3, OLD)
    await issuer.close()


@on_virtual_time
async def test_nobody_waits_longer_than_is_said(answers: Answers) -> None:
    answers.takes_s = 1000
    issuer = an_issuer()
    with pytest.raises(Unavailable):
        await issuer.ask()
    assert now() == 5
    await issuer.close()


@on_virtual_time
async def test_without_keys_ever_a_request_is_told_at_once_when_to_come_back(answers: Answers) -> None:
    answers.answer = Useless("it is down")
    issuer = an_issuer()
    await asyncio.sleep(8)
    assert answers.asked_s == [0, 1, 3, 7]
    for _ in range(20):
        with pytest.raises(Unavailable, match=r"issuer https://issuer\.example are not known yet") as failure:
            await issuer.ask()
        assert dict(failure.value.headers)[b"retry-after"] == b"7"
    assert (now(), answers.asked_s) == (8, [0, 1, 3, 7])
    answers.answer = Found(OLD, 600)
    await asyncio.sleep(8)
    await issuer.ask()
    assert issuer.keys == OLD
    await issuer.close()


@on_virtual_time
async def test_an_outage_of_a_week_takes_no_key_away(answers: Answers, caplog: pytest.LogCaptureFixture) -> None:
    changes: list[None] = []
    issuer = an_issuer(changes)
    await asyncio.sleep(10)
    caplog.set_level(logging.INFO, logger="scoregate.tokens")
    answers.answer = Useless("it is down")
    await asyncio.sleep(7 * 86_400)
    assert (issuer.keys, len(changes)) == (OLD, 1)
    assert len(answers.asked_s) <= 7 * 86_400 / LONGEST_PAUSE_S + 10
    answers.answer = OSError("odd " * 1000)
    await asyncio.sleep(86_400)
    assert issuer.keys == OLD
    answers.answer = Found(NEW, 600)
    await asyncio.sleep(LONGEST_PAUSE_S)
    assert (issuer.keys, len(changes)) == (NEW, 2)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert lines[0].endswith("can't be had, its 1 known keys are used on: it is down")
    assert len(lines[1]) < 420
    assert lines[2].endswith("can be had again")
    await issuer.close()


@on_virtual_time
async def test_a_recovered_issuer_is_asked_as_before(answers: Answers) -> None:
    answers.answer = Useless("it is down")
    issuer = an_issuer()
    await asyncio.sleep(2)
    answers.answer = Found(OLD, 600)
    await asyncio.sleep(2)
    answers.answer = Useless("it is down")
    await asyncio.sleep(603)
    assert answers.asked_s == [0, 1, 3, 603, 604, 606]
    await issuer.close()


@on_virtual_time
async def test_during_an_outage_unknown_keys_ask_no_oftener(answers: Answers) -> None:
    issuer = an_issuer()
    await asyncio.sleep(10)
    answers.answer = Useless("it is down")
    await asyncio.sleep(600 + 300)
    del answers.asked_s[:]
    for _ in range(300):
        await issuer.ask()
        await asyncio.sleep(1)
    assert issuer.keys == OLD
    assert len(answers.asked_s) <= 2 * 300 / LONGEST_PAUSE_S + 1
    await issuer.close()


def test_routers_do_not_ask_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def gaps(place: float) -> list[float]:
        monkeypatch.setattr("random.uniform", lambda least, most: least + place * (most - least))
        answers = Answers(monkeypatch)

        @on_virtual_time
        async def scene() -> None:
            answers.answer = Useless("it is down")
            issuer = an_issuer()
            await settle()
            answers.answer = Found(OLD, 600)
            await asyncio.sleep(602)
            await issuer.close()

        scene()
        return answers.asked_s

    assert gaps(0.0) == [0, 0.5, 540.5]
    assert gaps(1.0) == [0, 1, 601]


@on_virtual_time
async def test_closed_it_asks_no_more_and_nobody_waits(answers: Answers) -> None:
    answers.takes_s = 3
    issuer = an_issuer()
    waiting = asyncio.create_task(issuer.ask())
    await asyncio.sleep(1)
    await issuer.close()
    with pytest.raises(Unavailable):
        await waiting
    assert now() == 1
    await asyncio.sleep(2000)
    assert answers.asked_s == [0]
    await issuer.close()
