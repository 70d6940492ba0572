"""Does a reflector tell just what changed, whatever happens between it and the API server?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.platforms.kubernetes.reflector import Change, Identity, Reflector

KEYS = st.sampled_from([f"models/iris-{number}" for number in range(5)])


class Pod(NamedTuple):
    """As far as a reflector cares."""

    uid: str
    version: str
    readable: bool = True


class Told:
    """Puts together what was told, and checks each change against what was told before."""

    def __init__(self) -> None:
        self.pods: dict[str, Pod] = {}

    def take(self, changes: Iterable[Change[Pod]]) -> None:
        for key, pod in changes:
            before = self.pods.get(key)
            if pod is None:
                assert before is not None, f"{key} is told as gone and was not known"
                del self.pods[key]
            else:
                assert pod != before, f"{key} is told twice"
                assert before is None or before.uid == pod.uid, f"{key} has another uid and was not told as gone"
                self.pods[key] = pod


class Event(NamedTuple):
    at: int
    key: str
    pod: Pod
    gone: bool


class WithTheServer(RuleBasedStateMachine):
    """A server that lists in pages of two at the version of the first, and watches; and everything between it and
    the reflector that may break off."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 1
        self.pods: dict[str, Pod] = {}
        self.events: list[Event] = []
        self.compacted = 0
        self.reflector: Reflector[Pod] = Reflector()
        self.told = Told()
        self.pages: list[list[tuple[str, Pod]]] = []
        self.listed_at = 0
        """What the reflector has to have told, at the end of a list and after an event."""

    def _next(self) -> str:
        self.at += 1
        return str(self.at)

    def _happened(self, key: str, gone: bool = False) -> None:
        self.events.append(Event(self.at, key, self.pods[key], gone))

    @rule(key=KEYS, readable=st.sampled_from([True, True, True, False]))
    def make_or_change(self, key: str, readable: bool) -> None:
        version = self._next()
        uid = self.pods[key].uid if key in self.pods else f"uid-{version}"
        self.pods[key] = Pod(uid, version, readable)
        self._happened(key)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        if key in self.pods:
            self.pods[key] = self.pods[key]._replace(version=self._next())
            self._happened(key, gone=True)
            del self.pods[key]

    @rule()
    def compact(self) -> None:
        """Watches of the past, and the pages of lists that are under way, are answered 410."""
        self.compacted = self.at
        self.pages = []

    @precondition(lambda self: self.reflector.lists)
    @rule()
    def list_a_page(self) -> None:
        query = self.reflector.list_query()
        if "continue" not in query:
            rows = sorted(self.pods.items())
            self.pages = [rows[at : at + 2] for at in range(0, len(rows), 2)] or [[]]
            self.listed_at = self.at
        elif not self.pages:
            self.reflector.refused(410)
            return
        for key, pod in self.pages.pop(0):
            self._put(key, pod)
        self.told.take(self.reflector.page_ends(str(self.listed_at), "more" if self.pages else ""))
        if not self.pages:
            assert self.reflector.synced
            assert not self.reflector.lists
            self._check(self._at(self.listed_at))

    @precondition(lambda self: not self.reflector.lists)
    @rule(events=st.integers(1, 3), bookmark=st.booleans())
    def watch(self, events: int, bookmark: bool) -> None:
        since = int(self.reflector.watch_query()["resourceVersion"])
        if since < self.compacted:
            self.reflector.refused(410)
            return
        to_come = [event for event in self.events if event.at > since]
        for event in to_come[:events]:
            if event.gone:
                self.told.take(self.reflector.drop(event.key))
            else:
                self._put(event.key, event.pod)
            self.reflector.reached(event.pod.version)
            self._check(self._at(event.at))
        if bookmark and len(to_come) <= events:
            self.reflector.reached(str(self.at))

    @rule(status=st.sampled_from([0, 401, 403, 404, 429, 500]))
    def fail(self, status: int) -> None:
        known = dict(self.told.pods)
        self.reflector.refused(status)
        assert self.told.pods == known

    @rule()
    def nonsense(self) -> None:
        self.reflector.list_anew()

    def _put(self, key: str, pod: Pod) -> None:
        self.told.take(self.reflector.put(Identity(key, pod.uid, pod.version), pod if pod.readable else None))

    def _at(self, version: int) -> dict[str, Pod]:
        pods: dict[str, Pod] = {}
        for event in self.events:
            if event.at <= version:
                pods[event.key] = event.pod
                if event.gone:
                    del pods[event.key]
        return pods

    def _check(self, there: dict[str, Pod]) -> None:
        for key, pod in self.told.pods.items():
            assert key in there
            assert pod.uid == there[key].uid
            assert pod == there[key] or not there[key].readable, "older than the server's"
        assert [key for key, pod in there.items() if pod.readable and key not in self.told.pods] == []

    @invariant()
    def as_many_are_known_as_were_told(self) -> None:
        assert len(self.reflector) == len(self.told.pods)

    def teardown(self) -> None:
        """Left in peace, it has what the server has."""
        for _ in range(200):
            self.list_a_page() if self.reflector.lists else self.watch(3, False)
            since = self.reflector.version
            if since and not [event for event in self.events if event.at > int(since)]:
                break
        self._check(self.pods)


class TestWithTheServer(WithTheServer.TestCase):
    settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def synced(*pods: tuple[str, Pod]) -> tuple[Reflector[Pod], Told]:
    reflector: Reflector[Pod] = Reflector()
    told = Told()
    reflector.list_query()
    for key, pod in pods:
        told.take(put(reflector, key, pod))
    told.take(reflector.page_ends("10", ""))
    return reflector, told


def put(reflector: Reflector[Pod], key: str, pod: Pod) -> Iterator[Change[Pod]]:
    return reflector.put(Identity(key, pod.uid, pod.version), pod if pod.readable else None)


def test_a_list_is_asked_for_in_pages_and_then_a_watch_from_its_version() -> None:
    reflector: Reflector[Pod] = Reflector()
    assert reflector.list_query() == {"limit": "500"}
    list(reflector.page_ends("10", "next"))
    assert (reflector.synced, reflector.list_query()) == (False, {"limit": "500", "continue": "next"})
    list(reflector.page_ends("10", ""))
    assert (reflector.synced, reflector.lists) == (True, False)
    assert reflector.watch_query() == {"resourceVersion": "10", "allowWatchBookmarks": "true"}


def test_an_object_made_anew_between_two_lists_is_told_as_gone_first() -> None:
    reflector, _ = synced(("models/iris", Pod("old", "1")))
    reflector.list_anew()
    reflector.list_query()
    new = Pod("new", "12")
    assert list(put(reflector, "models/iris", new)) == [("models/iris", None), ("models/iris", new)]


def test_one_that_was_never_told_is_not_told_as_gone() -> None:
    reflector, _ = synced()
    assert list(put(reflector, "models/iris", Pod("a", "11", readable=False))) == []
    assert list(reflector.drop("models/iris")) == []


def test_of_one_that_can_not_be_read_the_last_good_state_stays_unless_it_is_another_object() -> None:
    reflector, _ = synced(("models/iris", Pod("a", "1")), ("models/rose", Pod("b", "2")))
    reflector.list_anew()
    reflector.list_query()
    assert list(put(reflector, "models/iris", Pod("a", "11", readable=False))) == []
    assert list(put(reflector, "models/rose", Pod("c", "12", readable=False))) == [("models/rose", None)]
    assert list(reflector.page_ends("12", "")) == []
    assert list(put(reflector, "models/iris", Pod("a", "13"))) == [("models/iris", Pod("a", "13"))]


@pytest.mark.parametrize(
    ("status", "lists"),
    [
        (0, False),
        (401, False),
        (403, False),
        (408, False),
        (429, False),
        (503, False),
        (400, True),
        (404, True),
        (410, True),
    ],
)
def test_only_what_the_server_says_of_the_watch_itself_makes_a_new_list_due(status: int, lists: bool) -> None:
    reflector, _ = synced()
    reflector.refused(status)
    assert reflector.lists == lists


def test_a_list_that_is_cut_begins_where_it_was_unless_its_token_is_refused() -> None:
    reflector: Reflector[Pod] = Reflector()
    reflector.list_query()
    list(reflector.page_ends("10", "next"))
    reflector.refused(500)
    assert reflector.list_query()["continue"] == "next"
    reflector.refused(410)
    assert "continue" not in reflector.list_query()


def test_what_is_in_no_collection_is_told_as_gone() -> None:
    reflector, told = synced(("models/iris", Pod("a", "1")))
    told.take(reflector.forget())
    assert (told.pods, reflector.lists, reflector.synced) == ({}, True, True)
