"""Do all name the same owner, does a change move no more than its share, and do sides of a partition share out?"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from router.core.ownership import Owners, digest_of, owner_of, slots_within_reach

names = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=8, unique=True)
DEPLOYMENTS = [f"endpoint-{number}/blue" for number in range(2_000)]
SIX = [f"instance-{number}" for number in range(6)]


def owners(instances: Sequence[str]) -> dict[str, str]:
    return {deployment: owner_of(deployment, instances) for deployment in DEPLOYMENTS}


@given(names, st.randoms(use_true_random=False))
def test_whoever_knows_the_same_instances_names_the_same_owner(instances: list[str], chance: object) -> None:
    shuffled = list(instances)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert owner_of("iris/blue", shuffled) == owner_of("iris/blue", instances)
    assert owner_of("iris/blue", instances) in instances


def test_owners_are_spread_evenly() -> None:
    counts = [list(owners(SIX).values()).count(name) for name in SIX]
    assert min(counts) > 0.8 * len(DEPLOYMENTS) / 6
    assert max(counts) < 1.2 * len(DEPLOYMENTS) / 6


def test_a_new_instance_takes_its_share_and_moves_nothing_else() -> None:
    before, after = owners(SIX), owners([*SIX, "new"])
    moved = {deployment for deployment in DEPLOYMENTS if before[deployment] != after[deployment]}
    assert {after[deployment] for deployment in moved} == {"new"}
    assert len(moved) < 1.2 * len(DEPLOYMENTS) / 7


def test_one_that_leaves_moves_only_what_it_owned_and_not_all_to_the_same() -> None:
    before, after = owners(SIX), owners(SIX[1:])
    moved = {deployment for deployment in DEPLOYMENTS if before[deployment] != after[deployment]}
    assert {before[deployment] for deployment in moved} == {SIX[0]}
    assert {after[deployment] for deployment in moved} == set(SIX[1:])


@given(st.lists(st.sets(st.sampled_from(SIX), min_size=1), min_size=2, max_size=6))
def test_what_was_found_before_is_what_would_be_found_now(changes: list[set[str]]) -> None:
    known = Owners()
    for instances in changes:
        known.change(instances)
        for deployment in DEPLOYMENTS[:9]:
            assert known.of(deployment) == owner_of(deployment, instances)
        known.forget(DEPLOYMENTS[0])


@given(names, names)
def test_digests_are_the_same_for_the_same_members_and_for_no_others(some: list[str], others: list[str]) -> None:
    assert digest_of(reversed(some)) == digest_of(some)
    assert len(digest_of(some)) == 16
    same = "\n".join(sorted(some)) == "\n".join(sorted(others))
    assert (digest_of(some) == digest_of(others)) == same


@given(st.text(max_size=6), st.integers(0, 9), names, st.data())
def test_the_sides_of_a_partition_share_all_slots_and_none_twice(
    uid: str, slots: int, instances: list[str], data: st.DataObject
) -> None:
    places = sorted(instances)
    sides = data.draw(st.lists(st.integers(0, 2), min_size=len(places), max_size=len(places)))
    reached = [
        slots_within_reach(uid, slots, places, {place for place, at in zip(places, sides, strict=True) if at != side})
        for side in range(3)
    ]
    assert sum(reached) == slots


def test_without_a_partition_all_slots_are_within_reach() -> None:
    assert slots_within_reach("a", 3, ["p", "q"], ()) == 3


def test_each_place_has_its_turn_so_that_none_is_left_without_slots() -> None:
    alone = [slots_within_reach(f"r{number}", 1, ["p", "q", "r"], {"q", "r"}) for number in range(300)]
    assert 70 < sum(alone) < 130
