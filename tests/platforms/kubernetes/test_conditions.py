"""Is every fault of an endpoint told, by its condition, with what to do?"""

from __future__ import annotations

from typing import Any, get_args

import pytest
from msgspec.structs import replace

from router.core.model import Hold
from router.platforms.kubernetes.cluster import Account
from router.platforms.kubernetes.leading.conditions import (
    MOST_CHARACTERS,
    NO_COUNT,
    Condition,
    ConditionType,
    Count,
    KeysFault,
    conditions_of,
    is_bad,
)
from tests.platforms.kubernetes.reported import LATER, NOON, READY, account, by_type, deployment, trouble


def told(of: Account, counts: dict[str, Count] | None = None, fault: KeysFault | None = None) -> dict[str, Condition]:
    return by_type(conditions_of(of, (), READY if counts is None else counts, NOON, fault))


def short(condition: Condition) -> tuple[str, str]:
    return condition.status, condition.reason


def test_where_all_is_well_all_conditions_are_true() -> None:
    conditions = told(account())
    assert list(conditions) == list(get_args(ConditionType))
    assert {each.status for each in conditions.values()} == {"True"}
    assert {each.observed_generation for each in conditions.values()} == {3}
    assert {each.last_transition_time for each in conditions.values()} == {"2026-07-01T12:00:00Z"}
    assert not any(map(is_bad, conditions.values()))


def test_a_wrong_declaration_is_told_with_all_problems_one_a_line() -> None:
    accepted = told(account(problems=("spec.a: 1, but it must be 2", "spec.b: missing")))["Accepted"]
    assert short(accepted) == ("False", "InvalidSpec")
    first, *problems = accepted.message.split("\n")
    assert first == "The last good declaration stays in force until this is mended:"
    assert problems == ["spec.a: 1, but it must be 2", "spec.b: missing"]


def test_what_was_never_right_is_not_served_and_its_other_conditions_say_so() -> None:
    conditions = told(account(problems=("spec.a: 1, but it must be 2",), endpoint=None))
    assert conditions["Accepted"].message.startswith("Nothing is served until this is mended:\nspec.a")
    assert short(conditions["Ready"]) == ("False", "NotServed")
    for name in ("WorkloadsFound", "KeysReady", "ScalingActive"):
        assert short(conditions[name]) == ("Unknown", "NotServed")
    assert [each.type for each in conditions.values() if is_bad(each)] == ["Accepted"]


def test_a_name_that_is_taken_names_who_has_it() -> None:
    accepted = told(account(name_taken_by="other/iris", endpoint=None))["Accepted"]
    assert short(accepted) == ("False", "NameTaken")
    assert accepted.message.startswith("other/iris is older and has this name")


def test_a_long_message_is_cut() -> None:
    accepted = told(account(problems=tuple("spec.x: wrong" for _ in range(1000))))["Accepted"]
    assert len(accepted.message) == MOST_CHARACTERS
    assert accepted.message.endswith("…")


def test_missing_workloads_are_listed() -> None:
    lines = ("blue: there is no Deployment iris-blue in namespace models", "green: there is no StatefulSet x")
    found = told(account(missing=lines))["WorkloadsFound"]
    assert short(found) == ("False", "WorkloadMissing")
    assert found.message.split("\n")[:2] == list(lines)
    assert is_bad(found)


@pytest.mark.parametrize(
    ("changes", "fault", "status", "reason", "says"),
    [
        (
            {"keys": "unused", "secret": ""},
            None,
            "True",
            "KeysNotUsed",
            "neither spec.auth.mode nor alsoAccepts is key",
        ),
        ({"keys": "ready"}, None, "True", "KeysFound", "Secret iris-keys in namespace models holds"),
        ({"keys": "bad", "keys_problem": "Secret x is bad"}, None, "False", "SecretInvalid", "keys before it still"),
        ({"keys": "missing"}, None, "False", "CreatingSecret", "is being made"),
        ({"keys": "missing"}, KeysFault(False, "403: no right"), "False", "SecretMissing", "403: no right"),
        ({"keys": "missing"}, KeysFault(True, "of type Opaque"), "False", "SecretInvalid", "of type Opaque"),
    ],
)
def test_keys(changes: dict[str, Any], fault: KeysFault | None, status: str, reason: str, says: str) -> None:
    keys = told(account(**changes), fault=fault)["KeysReady"]
    assert short(keys) == (status, reason)
    assert says in keys.message
    assert is_bad(keys) == (reason in ("SecretInvalid", "SecretMissing"))


def test_a_bad_secret_with_no_keys_before_it_lets_nobody_in() -> None:
    whole = account(keys="bad", keys_problem="Secret x is bad")
    assert whole.endpoint is not None
    keys = told(replace(whole, endpoint=replace(whole.endpoint, keys=None)))["KeysReady"]
    assert keys.message == "Secret x is bad\nNobody gets in until it is mended."


def test_a_missing_secret_that_may_not_be_made_is_the_users_to_make() -> None:
    whole = account(keys="missing")
    assert whole.endpoint is not None
    keys = told(replace(whole, endpoint=replace(whole.endpoint, creates_keys=False)), fault=KeysFault(False, "x"))
    assert short(keys["KeysReady"]) == ("False", "SecretMissing")
    assert "spec.auth.createKeys" in keys["KeysReady"].message


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        (("conflict",), "ScaledByAnother"),
        (("placement",), "NoRoom"),
        (("start",), "CantStart"),
        (("start", "placement", "conflict"), "ScaledByAnother"),
        (("start", "placement"), "NoRoom"),
    ],
)
def test_what_keeps_a_deployment_from_its_number_is_told_the_gravest_first(kinds: tuple[str, ...], reason: str) -> None:
    troubles = tuple(trouble(kind, f"a {kind} of it") for kind in kinds)
    scaling = told(account(), {"iris/blue": Count(1, 1, 1, troubles)})["ScalingActive"]
    assert short(scaling) == ("False", reason)
    assert [line.partition(" of it")[0] for line in scaling.message.split("\n")[:-1]] == [
        f"blue: a {kind}" for kind in ("conflict", "placement", "start") if kind in kinds
    ]
    assert is_bad(scaling)


def test_a_fixed_number_is_no_fault() -> None:
    whole = account()
    assert whole.endpoint is not None
    fixed = replace(whole.endpoint, deployments=(deployment(scale=None),))
    scaling = told(replace(whole, endpoint=fixed))["ScalingActive"]
    assert short(scaling) == ("False", "FixedNumber")
    assert not is_bad(scaling)


def test_a_number_set_by_hand_is_told_while_it_counts() -> None:
    whole = account()
    assert whole.endpoint is not None
    until_s = NOON.timestamp() + 60
    held = replace(whole, holds={"blue": Hold(replicas=2, until_s=until_s), "gone": Hold(replicas=9, until_s=until_s)})
    scaling = told(held)["ScalingActive"]
    assert short(scaling) == ("False", "SetByHand")
    assert scaling.message == "blue has 2 replicas by hand until 2026-07-01T12:01:00Z; then the load decides again."
    assert not is_bad(scaling)
    over = replace(whole, holds={"blue": Hold(replicas=2, until_s=NOON.timestamp())})
    assert told(over)["ScalingActive"] == told(whole)["ScalingActive"]


def test_beside_one_that_is_set_by_hand_the_load_decides_about_the_other() -> None:
    whole = account()
    assert whole.endpoint is not None
    two = replace(whole.endpoint, deployments=(deployment(), deployment("green")))
    holds = {"blue": Hold(replicas=1, until_s=NOON.timestamp() + 60)}
    scaling = told(replace(whole, endpoint=two, holds=holds))["ScalingActive"]
    assert short(scaling) == ("True", "Scaling")
    assert scaling.message.split("\n") == [
        "The load decides how many replicas green has.",
        "blue has 1 replica by hand until 2026-07-01T12:01:00Z; then the load decides again.",
    ]


def test_ready_lists_the_deployments_that_take_requests_and_have_no_ready_replica() -> None:
    counts = {"iris/blue": Count(0, 2, 2), "iris/green": Count(1, 1, 1), "iris/red": Count(0, 1, 1)}
    ready = told(account(weights={"blue": 50, "green": 50, "red": 0}), counts)["Ready"]
    assert short(ready) == ("False", "NoReadyReplica")
    assert ready.message.split("\n")[:-1] == ["blue: none of 2 replicas is ready"]


def test_a_deployment_without_traffic_need_not_be_ready() -> None:
    ready = told(account(weights={"blue": 100, "green": 0}), {"iris/blue": Count(1, 1, 1)})["Ready"]
    assert short(ready) == ("True", "Ready")


def test_what_is_scaled_to_zero_is_ready_while_no_request_comes() -> None:
    ready = told(account(), {"iris/blue": Count(0, 0, 0)})["Ready"]
    assert short(ready) == ("True", "ScaledToZero")
    assert "blue has no replica" in ready.message


@pytest.mark.parametrize("count", [Count(0, 1, 1), Count(0, 0, None), Count(0, 0, 0, (trouble("start"),)), None])
def test_what_should_have_replicas_and_has_none_is_not_ready(count: Count | None) -> None:
    ready = told(account(), {} if count is None else {"iris/blue": count})["Ready"]
    assert short(ready) == ("False", "NoReadyReplica")


def test_who_wakes_from_zero_starts_and_that_is_no_fault() -> None:
    asleep = conditions_of(account(), (), {"iris/blue": Count(0, 0, 0)}, NOON)
    for count in (Count(0, 0, 1), Count(0, 2, 3)):
        starting = conditions_of(account(), asleep, {"iris/blue": count}, LATER)
        ready = by_type(starting)["Ready"]
        assert (short(ready), is_bad(ready)) == (("False", "Starting"), False)
        assert ready.message == "blue: requests wait for the first replica to start."
        still = conditions_of(account(), starting, {"iris/blue": Count(0, 3, 3)}, LATER)
        assert short(by_type(still)["Ready"]) == ("False", "Starting")
        for then in (Count(0, 3, 3, (trouble("start"),)), NO_COUNT):
            failed = by_type(conditions_of(account(), starting, {"iris/blue": then}, LATER))["Ready"]
            assert (short(failed), is_bad(failed)) == (("False", "NoReadyReplica"), True)


def test_who_had_a_ready_replica_and_lost_it_does_not_start() -> None:
    before = conditions_of(account(), (), READY, NOON)
    lost = by_type(conditions_of(account(), before, {"iris/blue": Count(0, 1, 1)}, LATER))["Ready"]
    assert short(lost) == ("False", "NoReadyReplica")


def test_an_endpoint_whose_traffic_is_all_zero_is_told_how_to_take_requests() -> None:
    ready = told(account(weights={"blue": 0}))["Ready"]
    assert short(ready) == ("False", "NoTraffic")
    assert "spec.traffic" in ready.message
    assert not is_bad(ready)


def test_the_time_of_a_condition_changes_with_its_status_alone() -> None:
    before = conditions_of(account(), (), {"iris/blue": Count(0, 2, 2)}, NOON)
    other_words = by_type(conditions_of(account(generation=4), before, {"iris/blue": Count(0, 3, 3)}, LATER))["Ready"]
    assert other_words.message != by_type(before)["Ready"].message
    assert other_words.last_transition_time == "2026-07-01T12:00:00Z"
    turned = by_type(conditions_of(account(), before, READY, LATER))
    assert turned["Ready"].last_transition_time == "2026-07-01T12:05:00Z"
    assert turned["Accepted"].last_transition_time == "2026-07-01T12:00:00Z"
