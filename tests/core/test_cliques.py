"""cliques.py: those work together who all hear each other, and all of them say so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.core.cliques import group_of

NAMES = "abcdef"
pairs = st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)))


def hears(broken: set[tuple[str, str]], names: str = NAMES) -> dict[str, set[str]]:
    """Whom each hears, where these pairs hear each other in neither direction."""
    cut = broken | {(other, one) for one, other in broken}
    return {one: {other for other in names if other != one and (one, other) not in cut} for one in names}


def test_where_all_hear_each_other_all_work_together() -> None:
    assert all(group_of(name, hears(set()), ()) == set(NAMES) for name in NAMES)


def test_one_broken_pair_leaves_out_one() -> None:
    heard = hears({("b", "c")}, "abc")
    assert [group_of(name, heard, "abc") for name in "abc"] == [{"a", "b"}, {"a", "b"}, {"c"}]


@given(pairs)
def test_all_who_know_the_same_divide_themselves_into_the_same_groups(broken: set[tuple[str, str]]) -> None:
    heard = hears(broken)
    groups = {name: group_of(name, heard, ()) for name in NAMES}
    for name, group in groups.items():
        assert name in group
        assert all(groups[other] == group for other in group)
        assert all(one == other or one in heard[other] for one in group for other in group)


def test_one_that_is_heard_but_hears_not_is_no_member() -> None:
    heard = hears(set(), "abc")
    heard["c"].discard("a")
    assert group_of("a", heard, ()) == {"a", "b"}


def test_who_comes_puts_nobody_out() -> None:
    heard = hears({("a", "c")}, "abc")  # a is new, and c has not met it yet
    assert group_of("b", heard, ("b", "c")) == {"b", "c"}
    assert group_of("b", heard, ("a", "b")) == {"a", "b"}
    assert group_of("b", heard, ("b", "gone")) == {"a", "b"}


def test_who_hears_nobody_is_alone() -> None:
    assert group_of("a", {"a": ()}, ()) == {"a"}
