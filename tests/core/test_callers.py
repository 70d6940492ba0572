"""Who agrees, who still counts, and whose lease is over?"""

from __future__ import annotations

from router.core.callers import SETTLE_S, Callers
from router.core.circle import LEASE_S
from router.core.early import Asked
from router.core.frames import Ask, View

KEY = "iris/blue"


def callers_of(*names: str) -> Callers:
    """That call, and have said nothing yet; this instance's view is `own`, its first."""
    callers = Callers()
    callers.change(b"own", 0.0)
    for name in names:
        callers.called(name, 0.0)
    return callers


def view(digest: bytes = b"own", *, answers: int = 1, change: int = 1, **held: int) -> View:
    return View(5, change, answers, digest, {KEY: held} if held else {})


def test_one_agrees_whose_view_is_the_same_and_answers_the_last_change() -> None:
    callers = callers_of("p")
    assert not callers.agrees("p")
    assert not callers.agrees("never called")
    assert not callers.follow("p", view(b"another"), (), 1.0)
    assert not callers.follow("p", view(answers=0), (), 1.0)
    assert callers.follow("p", view(change=3), (), 1.0)
    assert callers.agrees("p")
    assert callers.change_of("p") == 3
    assert callers.change_of("never called") == 0


def test_after_a_change_nobody_agrees_who_has_not_answered_it_also_if_the_view_is_as_before() -> None:
    callers = callers_of("p")
    callers.follow("p", view(), (), 1.0)
    callers.change(b"own", 2.0)
    assert not callers.agrees("p")
    assert callers.follow("p", view(answers=2), (), 2.1)


def test_whoever_does_not_agree_has_time_to() -> None:
    callers = callers_of("p")
    assert callers.counts(SETTLE_S - 0.1, "p")
    assert callers.counts(SETTLE_S - 0.1, "has not called yet")
    assert not callers.counts(SETTLE_S, "p")
    assert not callers.counts(SETTLE_S, "has not called yet")


def test_a_view_is_settled_once_all_in_it_agree_or_had_time_to() -> None:
    callers = callers_of("p")
    assert not callers.is_settled("me", {"me", "p"}, ("p",), SETTLE_S - 0.1)
    assert callers.is_settled("me", {"me", "p"}, ("p",), SETTLE_S)
    callers.follow("p", view(), (), 1.0)
    assert callers.is_settled("me", {"me", "p"}, ("p",), 1.0)


def test_who_is_heard_since_a_moment_ago_has_time_to_agree_however_long_the_view_is_what_it_was() -> None:
    callers = callers_of("p")
    callers.pass_over_nobody(50.0)
    assert not callers.is_settled("me", {"me"}, ("p",), 50.0 + SETTLE_S - 0.1)
    assert callers.is_settled("me", {"me"}, ("p",), 50.0 + SETTLE_S)


def test_one_beside_the_view_is_waited_for_until_it_says_that_it_does_hear_this_one() -> None:
    callers = callers_of("p")
    assert not callers.is_settled("me", {"me"}, ("p",), 1.0)
    callers.hears("p", ("another",))
    assert not callers.is_settled("me", {"me"}, ("p",), 1.0)
    callers.hears("p", ("me",))
    assert callers.is_settled("me", {"me"}, ("p",), 1.0)


def test_who_is_passed_over_leaves_the_group_until_its_view_changes() -> None:
    callers = callers_of("p")
    callers.hears("p", ("me",))
    callers.follow("p", view(b"another"), (), 1.0)
    assert callers.group("me", ("p",), ()) == {"me", "p"}
    assert callers.pass_over("me", {"me", "p"})
    assert callers.group("me", ("p",), ()) == {"me"}
    assert not callers.counts(1.0, "p")
    callers.follow("p", view(b"a third", change=9), (), 1.1)
    assert callers.group("me", ("p",), ()) == {"me", "p"}
    callers.pass_over("me", {"me", "p"})
    assert callers.group("me", ("p",), ()) == {"me"}
    callers.pass_over_nobody(1.2)
    assert callers.group("me", ("p",), ()) == {"me", "p"}


def test_the_group_is_as_those_are_who_hear_each_other_now() -> None:
    callers = callers_of("p", "q")
    up = ("p", "q")
    callers.hears("p", ("me", "q"))
    assert callers.group("me", up, {"me"}) == {"me", "p"}
    callers.hears("q", ("me", "p"))
    assert callers.group("me", up, {"me"}) == {"me", "p", "q"}
    callers.hears("q", ("me",))
    assert callers.group("me", up, {"me", "q"}) == {"me", "q"}
    assert callers.group("me", up, {"me", "p"}) == {"me", "p"}
    assert callers.group("me", ("q",), {"me", "p"}) == {"me", "q"}
    callers.hung_up("q", 1.0)
    assert callers.group("me", ("q",), {"me", "p"}) == {"me"}
    callers.called("p", 1.0)
    assert callers.group("me", up, {"me", "p"}) == {"me"}


def test_another_view_is_told_once_those_who_stay_have_answered_the_last_one() -> None:
    callers = callers_of("p", "q")
    group = {"me", "p", "q"}
    assert not callers.may_tell({"me", "q"}, group, ("q",))
    callers.follow("q", view(b"another"), (), 1.0)
    assert callers.may_tell({"me", "q"}, group, ("q",))
    assert not callers.may_tell(group, group, ("p", "q")), "one of them may own by now"
    callers.follow("p", view(), (), 1.0)
    assert callers.may_tell(group, group, ("p", "q"))
    callers.change(b"own", 2.0)
    assert not callers.may_tell({"me", "q"}, group, ("q",))


def test_one_who_comes_is_told_once_all_who_are_up_hear_each_other() -> None:
    callers = callers_of("p", "q")
    assert not callers.may_tell({"me", "p"}, {"me"}, ("p", "q"))
    assert callers.may_tell({"me", "p", "q"}, {"me"}, ("p", "q"))
    assert callers.may_tell({"me"}, {"me", "p"}, ("p", "q")), "nobody came"


def test_nobody_is_passed_over_who_agrees() -> None:
    callers = callers_of("p")
    callers.follow("p", view(), (), 1.0)
    assert not callers.pass_over("me", {"me", "p"})


def test_one_that_agreed_counts_for_a_while_after_it_parted() -> None:
    callers = callers_of("p")
    callers.follow("p", view(), (), 1.0)
    assert callers.counts(50.0, "p")
    callers.follow("p", view(b"another"), (), 50.0)
    assert callers.counts(50.0 + SETTLE_S - 0.1, "p")
    assert not callers.counts(50.0 + SETTLE_S, "p")


def test_a_lease_is_over_after_silence_and_it_must_say_all_anew_if_it_is_heard_again() -> None:
    callers = callers_of("p")
    callers.follow("p", view(), (), 0.0)
    assert not callers.heard("p", 1.0)
    assert list(callers.lapsed(1.0 + LEASE_S - 0.1)) == []
    assert list(callers.lapsed(1.0 + LEASE_S)) == ["p"]
    assert not callers.agrees("p")
    assert callers.heard("p", 4.0)
    assert not callers.heard("p", 4.1), "once"


def test_one_that_calls_anew_has_said_nothing_yet_and_was_not_given_up() -> None:
    callers = callers_of("p")
    callers.follow("p", view(), (), 0.0)
    list(callers.lapsed(LEASE_S))
    callers.called("p", 5.0)
    assert not callers.heard("p", 5.0)
    assert not callers.agrees("p")
    assert list(callers.lapsed(5.0 + 0.1)) == []


def test_one_of_another_view_for_long_has_no_lease_though_it_is_heard() -> None:
    callers = callers_of("p")
    callers.heard("p", SETTLE_S)
    assert list(callers.lapsed(SETTLE_S)) == ["p"]
    assert list(callers) == ["p"]


def test_one_that_hung_up_is_forgotten_when_its_lease_is_over() -> None:
    callers = callers_of("p", "q")
    callers.hung_up("p", 1.0)
    callers.hung_up("never called", 1.0)
    callers.heard("q", 1.0)
    callers.follow("q", view(), (), 1.0)
    assert len(callers) == 2
    assert list(callers.lapsed(LEASE_S)) == ["p"]
    assert list(callers) == ["q"]
    callers.drop("q")
    callers.drop("q")
    assert len(callers) == 0
    assert callers.get("q") is None


def test_what_is_said_of_a_deployment_that_is_not_lent_here_is_known_until_it_is_taken() -> None:
    callers = callers_of("p")
    callers.follow("p", view(a=2), ("wine/blue",), 0.0)
    caller = callers.get("p")
    assert caller is not None
    caller.early.hear(Ask(KEY, 1), 3.0)
    assert callers.take_early("p", KEY) == ({"a": 2}, [Asked(1, 3.0, frozenset())])
    assert callers.take_early("p", KEY) == ({}, [])
    callers.keep("p", KEY, {"b": 1}, [Asked(2, 4.0, frozenset("b"))])
    assert callers.take_early("p", KEY) == ({"b": 1}, [Asked(2, 4.0, frozenset("b"))])


def test_what_is_said_of_known_ones_is_not_kept_and_a_new_view_voids_what_was() -> None:
    callers = callers_of("p")
    caller = callers.get("p")
    assert caller is not None
    caller.early.hear(Ask("other/blue", 1), 0.5)
    callers.follow("p", view(a=2), (KEY,), 1.0)
    assert callers.take_early("p", KEY) == ({}, [])
    assert callers.take_early("p", "other/blue") == ({}, [])
