"""Would the machine notice if sharing broke one of its invariants?

Each mutant breaks one thing, and must fall to the check of the invariant that it is listed with, all others looking
away. Those that chance would find too seldom fall to a scene that plays just that course of events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec.structs import replace

from router.core import shared, sharing
from router.core.borrowing import Borrower
from router.core.callers import Callers
from router.core.circle import Circle
from router.core.dispatch import Dispatcher
from router.core.frames import Cancel, MayOwn
from router.core.leases import Lender
from router.core.sharing import Sharing
from tests.core import test_sharing as scenes
from tests.core import test_sharing_pauses as pauses
from tests.core import test_sharing_removed as removed
from tests.core.sharing_machine import SharingMachine

Patch = Callable[[pytest.MonkeyPatch], None]


def nothing(*_: object) -> None:
    return None


def lends_before_all_have_said(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Callers, "is_settled", lambda *_: True)
    patch.setattr(Callers, "pass_over", lambda *_: False)


def lends_more_than_there_is(patch: pytest.MonkeyPatch) -> None:
    slots_of = Dispatcher._slots_of
    patch.setattr(
        Dispatcher, "_slots_of", lambda self, uid: slots_of(self, uid) + (self._allotted is None and self._slots < 9)
    )


def uses_the_slots_of_the_missing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shared, "slots_within_reach", lambda uid, slots, places, missing: slots)


def misses_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Circle, "missing", lambda *_: iter(()))


def minds_no_lease(patch: pytest.MonkeyPatch) -> None:
    granted = Borrower.granted

    def begins(self: Borrower, grant: Any, now: float) -> None:
        lease, self._lease = self._lease, sharing.Lease(float("inf"))
        granted(self, grant, now)
        self._lease = lease

    patch.setattr(Borrower, "granted", begins)
    patch.setattr(Sharing, "_was_away", lambda *_: False)


def reports_nothing(patch: pytest.MonkeyPatch) -> None:
    def report(self: Borrower, now: float) -> dict[str, int]:
        self.held = {}
        self.dispatcher.allot_all({}, now)
        return {}

    patch.setattr(Borrower, "report", report)


def takes_no_ask_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Borrower, "_unask", nothing)


def asks_no_more_after_a_useless_grant(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Borrower, "_is_waiting", lambda *_: False)


def says_nothing_to_those_whose_view_changed(patch: pytest.MonkeyPatch) -> None:
    follow = Sharing._follow

    def silently(self: Sharing, name: str, view: Any, now: float) -> None:
        if (link := self.circle.links.get(name)) is not None:
            link.told_change = view.change
        follow(self, name, view, now)

    patch.setattr(Sharing, "_follow", silently)


def does_not_hear_that_another_stops(patch: pytest.MonkeyPatch) -> None:
    hear = Sharing.from_owner

    def deaf(self: Sharing, name: str, message: Any, now: float) -> None:
        if not isinstance(message, MayOwn):
            hear(self, name, message, now)

    patch.setattr(Sharing, "from_owner", deaf)


def adopts_nothing(patch: pytest.MonkeyPatch) -> None:
    reconcile = Lender.reconcile
    patch.setattr(Lender, "reconcile", lambda self, name, held, now: reconcile(self, name, {}, now))


def lets_nothing_lapse(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lender, "lapse", nothing)


def takes_grants_of_another_view(patch: pytest.MonkeyPatch) -> None:
    hear = Sharing.from_owner

    def credulous(self: Sharing, name: str, message: Any, now: float) -> None:
        link = self.circle.links.get(name)
        if link is not None and hasattr(message, "epoch"):
            message = replace(message, epoch=link.epoch)
        hear(self, name, message, now)

    patch.setattr(Sharing, "from_owner", credulous)


def takes_nothing_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lender, "give_back", nothing)


def hears_no_cancel(patch: pytest.MonkeyPatch) -> None:
    hear = Lender.hear

    def deaf(self: Lender, name: str, message: Any, now: float) -> None:
        if not isinstance(message, Cancel):
            hear(self, name, message, now)

    patch.setattr(Lender, "hear", deaf)


def remembers_the_asks_of_the_gone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lender, "forget_asks", nothing)


def tells_nobody_what_they_got(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lender, "_serve", nothing)


def keeps_what_others_wait_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Borrower, "recalled", nothing)


def says_of_nobody_how_long_they_waited(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Dispatcher, "_move_ahead", nothing)


def serves_the_last_come_first(patch: pytest.MonkeyPatch) -> None:
    hand_over = Dispatcher._hand_over

    def reversed_queue(self: Dispatcher, seat: Any, now: float) -> Any:
        for ticket in reversed(list(self._queue)):
            self._queue.move_to_end(ticket)
        return hand_over(self, seat, now)

    patch.setattr(Dispatcher, "_hand_over", reversed_queue)


def takes_along_what_was_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Borrower, "report", lambda self, now: dict(self.held))


def forgets_who_waits_for_what_it_lends_no_more(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lender, "asked_by", lambda *_: [])


def uses_nothing_that_failed(patch: pytest.MonkeyPatch) -> None:
    pause = Borrower.pause

    def by_itself(self: Borrower, uid: str, until: float, now: float) -> None:
        pause(self, uid, until, now)
        self.dispatcher.pause(uid)

    patch.setattr(Borrower, "pause", by_itself)


def hears_no_beat_after_a_lapse(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Callers, "heard", lambda self, name, now: setattr(self.get(name), "heard_at", now))


MUTANTS: list[tuple[int, Patch]] = [
    (1, lends_more_than_there_is),
    (1, reports_nothing),
    (2, uses_the_slots_of_the_missing),
    (2, misses_nobody),
    (3, reports_nothing),
    (4, takes_no_ask_back),
    (4, asks_no_more_after_a_useless_grant),
    (5, says_nothing_to_those_whose_view_changed),
    (5, does_not_hear_that_another_stops),
    (6, adopts_nothing),
    (6, takes_nothing_back),
    (7, hears_no_cancel),
    (7, remembers_the_asks_of_the_gone),
    (8, tells_nobody_what_they_got),
    (9, serves_the_last_come_first),
]
SCENES: list[tuple[Callable[[], None], Patch]] = [
    (scenes.test_a_new_owner_lends_nothing_before_it_has_heard_what_others_hold, lends_before_all_have_said),
    (scenes.test_a_grant_of_another_view_is_void, takes_grants_of_another_view),
    (scenes.test_what_a_killed_one_held_is_free_when_its_lease_is_over_and_not_before, lets_nothing_lapse),
    (scenes.test_what_was_kept_is_not_taken_along_to_the_other_side, takes_along_what_was_kept),
    (scenes.test_an_owner_that_hung_lends_nothing_before_it_has_heard_the_others, minds_no_lease),
    (scenes.test_one_that_hung_begins_nothing_with_a_grant_that_came_meanwhile, minds_no_lease),
    (scenes.test_one_that_was_heard_late_only_one_way_says_anew_what_it_holds_and_wants, hears_no_beat_after_a_lapse),
    (scenes.test_what_is_kept_goes_to_whoever_waits, keeps_what_others_wait_for),
    (scenes.test_who_waited_before_ownership_moved_keeps_its_place, says_of_nobody_how_long_they_waited),
    (
        removed.test_who_waits_keeps_its_place_when_the_owner_removes_it_and_makes_it_again,
        forgets_who_waits_for_what_it_lends_no_more,
    ),
    (pauses.test_a_replica_that_the_owner_cannot_spare_is_used_where_it_fails, uses_nothing_that_failed),
]
SEARCH = settings(
    max_examples=2_000,  # most fall within a few
    stateful_step_count=30,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize(("number", "mutant"), MUTANTS, ids=[f"{number}-{each.__name__}" for number, each in MUTANTS])
def test_each_invariant_kills_the_mutants_that_break_it(
    number: int, mutant: Patch, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    machine = type("Machine", (SharingMachine,), {"checked": frozenset((number,))})
    with pytest.raises(AssertionError, match=rf"invariant {number}"):
        run_state_machine_as_test(machine, settings=SEARCH)


@pytest.mark.parametrize(
    ("scene", "mutant"), SCENES, ids=[f"{number}-{each.__name__}" for number, (_, each) in enumerate(SCENES)]
)
def test_each_scene_kills_the_mutant_that_it_was_written_for(
    scene: Callable[[], None], mutant: Patch, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        scene()


def test_every_invariant_has_a_mutant() -> None:
    assert {number for number, _ in MUTANTS} == set(SharingMachine.checked)
