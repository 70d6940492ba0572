"""Who is up, who is missing, and for whom does a new instance wait?"""

from __future__ import annotations

from router.core.circle import LEASE_S, SILENT_S, STRANGER_S, Circle, Link, owners_among


def circle_of(*places: str, now: float = 0.0) -> Circle:
    """Of the instance `me` at the first place."""
    circle = Circle("me")
    circle.list_places(places, places[0], now)
    return circle


def missing(circle: Circle, now: float, *works: str) -> list[str]:
    """`works`: with whom this one works together."""
    return list(circle.missing(now, works))


def test_who_answers_is_up_until_it_is_silent() -> None:
    circle = circle_of("p", "q")
    circle.met("other", "q", False, 0.0)
    assert circle.up(SILENT_S - 0.1) == ("other",)
    assert circle.up(SILENT_S) == ()


def test_all_are_there_once_somebody_is_at_each_place_that_is_listed() -> None:
    circle = circle_of("p", "q", "r")
    assert not circle.are_all([])
    for name, place in (("other", "q"), ("not listed", None)):
        circle.met(name, place, False, 0.0)
    assert not circle.are_all(["other", "not listed"])
    circle.met("third", "r", False, 0.0)
    assert circle.are_all(["other", "third"])
    assert not circle.are_all(["other"]), "the third one is silent"
    assert circle_of("p").are_all([])


def test_members_are_the_same_text_for_whoever_sees_the_same() -> None:
    one, other = Circle("a"), Circle("b")
    one.met("b", None, False, 0.0)
    other.met("a", None, True, 0.0)
    one.end_joining(0.0)
    other.end_joining(0.0)
    other.is_draining = True
    assert one.members({"b", "a"}) == other.members(["a", "b"]) == ("a", "b~")


def test_a_new_instance_may_own_nothing_before_it_has_met_those_that_it_was_told_of() -> None:
    circle = circle_of("p", "q")
    assert not circle.may_own
    assert circle.members({"me"}) == ("me~",)
    circle.end_joining(1.0)
    assert circle.may_own


def test_those_that_should_not_own_nothing_unless_nobody_should() -> None:
    assert owners_among(["a", "b~"]) == ["a"]
    assert owners_among(["a~", "b~"]) == ["a", "b"]


def test_a_new_instance_waits_for_those_that_it_was_told_of_but_not_for_ever() -> None:
    circle = Circle("me")
    assert not circle.is_listed
    assert not circle.has_joined(99.0)
    circle.list_places(["p", "q"], "p", 100.0)
    circle.list_places(["p", "q"], "p", 104.0)
    assert circle.is_listed
    assert not circle.has_joined(100.0 + STRANGER_S - 0.1)
    assert circle.has_joined(100.0 + STRANGER_S)
    circle.met("other", "q", False, 101.0)
    assert circle.has_joined(101.0)


def test_one_that_has_settled_waits_for_nobody_any_more() -> None:
    circle = circle_of("p")
    circle.end_joining(1.0)
    circle.list_places(["p", "q"], "p", 2.0)
    assert circle.has_joined(2.0)


def test_one_that_worked_with_this_one_is_missing_as_soon_as_it_is_silent_or_does_not() -> None:
    circle = circle_of("p", "q")
    circle.met("other", "q", False, 0.0)
    assert missing(circle, 0.5) == [], "as long as it is a stranger"
    circle.work_with(["me", "other"])
    assert missing(circle, 0.5, "me", "other") == []
    assert missing(circle, 0.5, "me") == ["q"]
    assert missing(circle, SILENT_S, "me", "other") == ["q"]
    del circle.links["other"]
    assert missing(circle, 0.5, "other") == ["q"]
    circle.list_places(["p"], "p", 2.0)
    assert missing(circle, 2.0) == []


def test_one_that_was_heard_and_is_not_any_more_is_no_stranger() -> None:
    circle = circle_of("p", "q")
    circle.met("other", "q", False, 0.0)
    assert missing(circle, SILENT_S - 0.1, "me") == []
    assert missing(circle, SILENT_S, "me") == ["q"]


def test_a_stranger_is_missing_only_after_it_had_time_to_start() -> None:
    circle = circle_of("p")
    circle.list_places(["p", "q"], "p", 10.0)
    assert missing(circle, 10.0 + STRANGER_S - 0.1) == []
    assert missing(circle, 10.0 + STRANGER_S) == ["q"]
    assert circle.places == ["p", "q"]


def test_one_that_is_listed_again_is_a_stranger_again() -> None:
    circle = circle_of("p", "q")
    circle.met("other", "q", False, 0.0)
    del circle.links["other"]
    circle.list_places(["p"], "p", 1.0)
    circle.list_places(["p", "q"], "p", 2.0)
    assert missing(circle, 2.1) == []


def test_while_the_own_place_is_not_known_nobody_is_missing() -> None:
    circle = Circle("me")
    circle.list_places(["q", "r"], None, 0.0)
    assert missing(circle, 99.0) == []
    circle.list_places(["p", "q", "r"], "p", 99.0)
    assert missing(circle, 99.0) == ["q", "r"]


def test_one_that_was_known_before_it_was_listed_is_found_at_its_place() -> None:
    circle = circle_of("p")
    circle.met("other", None, False, 0.0)
    circle.list_places(["p", "q"], "p", 0.1)
    circle.found_at("other", "q")
    circle.found_at("unknown", "r")
    assert circle.links["other"].place == "q"
    assert circle.has_joined(0.1)
    assert missing(circle, STRANGER_S + 0.1) == ["q"]


def test_a_lease_begins_with_the_sign_of_life_that_was_heard_and_never_moves_back() -> None:
    link = Link("q", False, 10.0)
    assert link.lease.until == 10.0 + LEASE_S
    link.echoed(10.6, 11.0)
    assert link.lease.until == 10.6 + LEASE_S
    link.echoed(10.2, 11.1)
    assert link.lease.until == 10.6 + LEASE_S
    link.echoed(99.0, 11.2)
    assert link.lease.until == 11.2 + LEASE_S, "nobody has heard what was not said yet"


def test_how_another_one_looks() -> None:
    seen = Link("q", True, 1.0).seen("other", True, 1.5)
    assert (seen.name, seen.place, seen.is_up, seen.silent_s, seen.may_own, seen.agrees) == (
        ("other", "q", True, 0.5, True, True)
    )
