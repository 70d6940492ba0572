"""share.py: all of a snapshot, by deployment."""

from __future__ import annotations

from autoscaler.share import NO_SHARE, Share, shares
from router.core.model import Hold, Trouble
from tests.autoscaler.nouns import KEY, deployment, replicas, snapshot

OTHER = "iris/green"


def test_each_has_its_replicas_in_their_order_and_its_wish() -> None:
    mixed = (*replicas("b"), *replicas("x", key=OTHER), *replicas("a", leaving=True))
    found = shares(snapshot(deployment(), replicas=mixed, wished={KEY: 3}))
    assert found == {KEY: Share((mixed[0], mixed[2]), 3), OTHER: Share((mixed[1],))}


def test_who_has_no_replica_may_have_a_wish_or_a_trouble() -> None:
    full = Trouble(deployment=OTHER, kind="placement", reason="full")
    found = shares(snapshot(deployment(), wished={KEY: 0}, troubles=(full,)))
    assert found == {KEY: Share(wished=0), OTHER: Share(gravest=full)}
    assert shares(snapshot(deployment())).get(KEY, NO_SHARE) == Share((), None, None)


def test_of_several_troubles_the_gravest_is_told_and_the_first_of_its_kind() -> None:
    kinds = ("start", "placement", "placement", "conflict")
    start, full, fuller, hpa = (Trouble(deployment=KEY, kind=kind, reason=str(at)) for at, kind in enumerate(kinds))
    elsewhere = Trouble(deployment=OTHER, kind="conflict", reason="an HPA")
    for troubles, gravest in (((start,), start), ((start, full, fuller), full), ((start, full, hpa), hpa)):
        found = shares(snapshot(deployment(), troubles=(*troubles, elsewhere)))
        assert (found[KEY].gravest, found[OTHER].gravest) == (gravest, elsewhere)


def test_who_is_held_by_hand_has_that_in_its_share() -> None:
    hold = Hold(replicas=3, until_s=1.0)
    found = shares(snapshot(deployment(), holds={OTHER: hold}, wished={KEY: 1}))
    assert found == {OTHER: Share(hold=hold), KEY: Share(wished=1)}
