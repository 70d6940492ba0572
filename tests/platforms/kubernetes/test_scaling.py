"""scaling.py: a workload gets the number of Pods that a leader wants, and those that should leave first do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, cast

import pytest

from router.core.model import Pods
from router.platforms import PlatformError
from router.platforms.kubernetes.api import Api, ApiError
from router.platforms.kubernetes.leading.scaling import FIRST_COST, TRIES, order_leaving, scale
from router.platforms.kubernetes.objects import DELETION_COST, DRAINED, LEAVE_ORDER, LabelSelector
from router.platforms.kubernetes.objects import Pod as PodObject
from router.platforms.kubernetes.picture.members import Membership
from tests.kubernetes.fake import FakeApiServer
from tests.platforms.kubernetes.nouns import decoded

BLUE = Pods(namespace="models", kind="Deployment", name="iris-blue")
SCALE = "/apis/apps/v1/namespaces/models/deployments/iris-blue/scale"


def leads() -> bool:
    return True


def follows() -> bool:
    return False


def at_first(times: int) -> Callable[[], bool]:
    """Leads when it is asked for the first `times` times."""
    answers = iter([True] * times)
    return lambda: next(answers, False)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as server:
        monkeypatch.setenv("KUBECONFIG", server.kubeconfig)
        server.create_namespace("models")
        yield server


@pytest.fixture
async def api(server: FakeApiServer) -> AsyncIterator[Api]:
    async with await Api.open() as api:
        yield api


def put_workload(server: FakeApiServer, replicas: int, plural: str = "deployments") -> None:
    labels = {"matchLabels": {"app": "iris"}}
    server.put(
        plural, {"metadata": {"name": "iris-blue"}, "spec": {"replicas": replicas, "selector": labels}}, "models"
    )


def replicas(server: FakeApiServer, plural: str = "deployments") -> int:
    workload = server.get(plural, "iris-blue", "models")
    assert workload is not None
    return int(workload["spec"]["replicas"])


def writes(server: FakeApiServer) -> int:
    return sum(asked.method != "GET" for asked in server.requests)


# -- scale ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1), (3, 0), (0, 2)])
async def test_a_deployment_gets_the_number_that_is_asked_for(
    server: FakeApiServer, api: Api, before: int, after: int
) -> None:
    put_workload(server, before)
    await scale(api, BLUE, after, leads=leads)
    assert replicas(server) == after


async def test_a_stateful_set_does_too(server: FakeApiServer, api: Api) -> None:
    put_workload(server, 1, "statefulsets")
    await scale(api, Pods(namespace="models", kind="StatefulSet", name="iris-blue"), 3, leads=leads)
    assert replicas(server, "statefulsets") == 3


@pytest.mark.parametrize("number", [0, 3])
async def test_the_number_that_it_has_is_not_written_again(server: FakeApiServer, api: Api, number: int) -> None:
    put_workload(server, number)
    await scale(api, BLUE, number, leads=follows)
    assert writes(server) == 0


async def test_whoever_does_not_lead_writes_nothing(server: FakeApiServer, api: Api) -> None:
    put_workload(server, 1)
    with pytest.raises(PlatformError, match=r"scale Deployment iris-blue in namespace models to 4.*no longer leads"):
        await scale(api, BLUE, 4, leads=follows)
    assert (replicas(server), writes(server)) == (1, 0)


async def test_a_workload_that_changes_meanwhile_is_read_again_and_so_is_who_leads(
    server: FakeApiServer, api: Api
) -> None:
    put_workload(server, 1)
    server.answer_with(409, only=lambda method, path: method == "PATCH", times=2)
    await scale(api, BLUE, 4, leads=at_first(3))
    assert (replicas(server), writes(server)) == (4, 3)
    server.answer_with(409, only=lambda method, path: method == "PATCH", times=1)
    with pytest.raises(PlatformError, match="no longer leads"):
        await scale(api, BLUE, 2, leads=at_first(1))
    assert replicas(server) == 4


async def test_the_write_of_a_late_leader_is_lost_once_another_wrote(server: FakeApiServer, api: Api) -> None:
    put_workload(server, 1)
    asked = []

    def another_scales_first() -> bool:
        asked.append(True)
        if len(asked) == 1:
            put_workload(server, 7)
            return True
        return False

    with pytest.raises(PlatformError, match="no longer leads"):
        await scale(api, BLUE, 4, leads=another_scales_first)
    assert replicas(server) == 7


async def test_a_workload_that_others_never_stop_writing_is_given_up(server: FakeApiServer, api: Api) -> None:
    put_workload(server, 1)
    server.answer_with(409, only=lambda method, path: method == "PATCH")
    with pytest.raises(PlatformError, match="iris-blue in namespace models was not scaled to 4: in each of 5 tries"):
        await scale(api, BLUE, 4, leads=leads)
    assert writes(server) == TRIES


async def test_a_workload_that_is_not_there_is_named(api: Api) -> None:
    with pytest.raises(PlatformError, match="there is no Deployment iris-blue in namespace models to scale"):
        await scale(api, BLUE, 4, leads=leads)


async def test_labels_alone_can_not_be_scaled(api: Api) -> None:
    with pytest.raises(PlatformError, match="namespace models have no workload"):
        await scale(api, Pods(namespace="models", selector={"app": "iris"}), 4, leads=leads)


@pytest.mark.parametrize("status", [403, 422, 500])
async def test_another_refusal_is_told_as_it_is(server: FakeApiServer, api: Api, status: int) -> None:
    put_workload(server, 1)
    server.answer_with(status, only=lambda method, path: method == "PATCH")
    with pytest.raises(ApiError, match=f"PATCH {SCALE}: the API server answers {status}"):
        await scale(api, BLUE, 4, leads=leads)


async def test_an_answer_that_is_no_scale_is_told() -> None:
    class Garbling:
        async def read(self, path: str) -> bytes:
            return b"<html>"

    with pytest.raises(PlatformError, match=f"GET {SCALE}: no Scale came"):
        await scale(cast(Api, Garbling()), BLUE, 4, leads=leads)


# -- the order ------------------------------------------------------------------------------------------------------


class Pod(NamedTuple):
    uid: str
    annotations: dict[str, str] = {}  # noqa: RUF012 - nobody writes to it
    ready: bool = True
    leaving: bool = False
    namespace: str = "models"

    @property
    def name(self) -> str:
        return f"iris-{self.uid}"


def ours(cost: int) -> dict[str, str]:
    return {DELETION_COST: str(cost), LEAVE_ORDER: str(cost)}


class PatchedApi:
    """Remembers what is written, by uid; what is not named in `fails` is carried out, each write after 0.01 s."""

    def __init__(self, fails: dict[str, int] | None = None, each_s: float = 0.01) -> None:
        self.written: dict[str, dict[str, str | None]] = {}
        self.most_at_once = 0
        self._fails = fails or {}
        self._each_s = each_s
        self._at_once = 0

    async def write(self, method: str, path: str, body: dict[str, Any], *, content_type: str) -> bytes:
        metadata = body["metadata"]
        uid = metadata["uid"]
        assert (method, path) == ("PATCH", f"/api/v1/namespaces/models/pods/iris-{uid}/status")
        assert content_type == "application/merge-patch+json"
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(self._each_s)
        finally:
            self._at_once -= 1
        if status := self._fails.get(uid):
            raise ApiError(f"PATCH {path}", f"the API server answers {status}: no", status=status)
        self.written[uid] = metadata["annotations"]
        return b"{}"


async def ordered(pods: list[Pod], leave_first: list[str], count: int) -> dict[str, int | None]:
    """The costs that are written."""
    api = PatchedApi()
    await order_leaving(cast(Api, api), BLUE, pods, leave_first, count, leads=leads)
    assert all(annotations[DELETION_COST] == annotations[LEAVE_ORDER] for annotations in api.written.values())
    return {uid: int(text) if (text := each[DELETION_COST]) else None for uid, each in api.written.items()}


async def test_those_that_are_named_get_costs_in_their_order() -> None:
    pods = [Pod(uid) for uid in "abcd"]
    assert await ordered(pods, ["c", "gone", "a", "b"], 2) == {"c": FIRST_COST, "a": FIRST_COST + 1}


async def test_a_pod_that_several_deployments_have_is_named_by_its_own_uid(server: FakeApiServer, api: Api) -> None:
    """To a uid that no Pod has the API server answers 409."""
    pod = server.put("pods", {"metadata": {"name": "iris-a", "labels": {"app": "iris"}}}, "models")
    membership = Membership()
    chosen = LabelSelector(match_labels={"app": "iris"})
    for key in ("iris/blue", "iris/green"):
        membership.choose(key, 5001, "models", chosen)
    membership.pod("models/iris-a", decoded(PodObject, pod))
    (shared,) = membership.pods_of("iris/green")
    await order_leaving(api, BLUE, [shared], [shared.uid], 1, leads=leads)
    written = server.get("pods", "iris-a", "models")
    assert written is not None
    assert written["metadata"]["annotations"] == ours(FIRST_COST)


async def test_unready_ones_leave_before_them_in_their_order_too() -> None:
    pods = [Pod("a"), Pod("b", ready=False), Pod("c", ready=False), Pod("d")]
    costs = {"c": FIRST_COST, "b": FIRST_COST + 1, "a": FIRST_COST + 2}
    assert await ordered(pods, ["a", "c", "d"], 3) == costs


async def test_one_that_is_drained_leaves_before_them_too() -> None:
    pods = [Pod("a"), Pod("b", {DRAINED: "true"}), Pod("c", {DRAINED: "false"})]
    assert await ordered(pods, ["a"], 2) == {"b": FIRST_COST, "a": FIRST_COST + 1}


async def test_who_is_neither_is_left_to_the_cluster() -> None:
    assert await ordered([Pod("a"), Pod("b"), Pod("c")], ["b"], 2) == {"b": FIRST_COST}


async def test_those_that_leave_already_do_not_count() -> None:
    pods = [Pod("a", leaving=True), Pod("b", ready=False, leaving=True), Pod("c")]
    assert await ordered(pods, ["a", "b", "c"], 1) == {"c": FIRST_COST}


async def test_who_should_stay_after_all_loses_the_cost_that_was_ours() -> None:
    pods = [Pod("a", ours(FIRST_COST)), Pod("b"), Pod("c", {LEAVE_ORDER: "5"})]
    assert await ordered(pods, ["b"], 1) == {"a": None, "b": FIRST_COST}


async def test_what_is_so_already_is_not_written_again() -> None:
    pods = [Pod("a", ours(FIRST_COST)), Pod("b", ours(FIRST_COST + 1)), Pod("c", ours(FIRST_COST + 1))]
    assert await ordered(pods, ["a", "c"], 2) == {"b": None}


@pytest.mark.parametrize(
    "theirs",
    [{DELETION_COST: "100"}, {DELETION_COST: "0"}, {DELETION_COST: "many"}, {DELETION_COST: "100", LEAVE_ORDER: "-7"}],
)
async def test_a_cost_that_somebody_else_set_spares_the_pod_and_stays(theirs: dict[str, str]) -> None:
    assert await ordered([Pod("a", theirs), Pod("b"), Pod("c")], ["a", "b", "c"], 1) == {"b": FIRST_COST}


async def test_a_pod_that_somebody_else_wants_to_leave_is_one_of_those_that_leave() -> None:
    pods = [Pod("a"), Pod("b", {DELETION_COST: "-5"}), Pod("c", {DELETION_COST: "-9"}), Pod("d", ready=False)]
    assert await ordered(pods, ["a"], 3) == {"d": FIRST_COST}
    assert await ordered(pods, ["a"], 4) == {"d": FIRST_COST, "a": FIRST_COST + 3}


async def test_an_unready_pod_leaves_first_whatever_its_cost() -> None:
    assert await ordered([Pod("a"), Pod("b", {DELETION_COST: "100"}, ready=False)], ["a"], 1) == {}


async def test_a_stateful_set_has_an_order_of_its_own() -> None:
    api = PatchedApi()
    workload = Pods(namespace="models", kind="StatefulSet", name="iris")
    await order_leaving(cast(Api, api), workload, [Pod("a")], ["a"], 1, leads=leads)
    assert api.written == {}


async def test_many_are_written_a_few_at_once() -> None:
    api = PatchedApi()
    pods = [Pod(str(number)) for number in range(100)]
    await order_leaving(cast(Api, api), BLUE, pods, [pod.uid for pod in pods], 100, leads=leads)
    assert (len(api.written), api.most_at_once) == (100, 16)


async def test_one_that_is_gone_is_no_error_and_another_failure_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pods = [Pod(uid) for uid in "abc"]
    api = PatchedApi({"a": 404})
    await order_leaving(cast(Api, api), BLUE, pods, ["a", "b", "c"], 3, leads=leads)
    assert (set(api.written), caplog.text) == ({"b", "c"}, "")
    api = PatchedApi({"a": 403, "b": 500})
    await order_leaving(cast(Api, api), BLUE, pods, ["a", "b", "c"], 3, leads=leads)
    assert set(api.written) == {"c"}
    assert "Deployment iris-blue in namespace models: which go first could not be said to 2 of 3 Pods" in caplog.text
    assert "answers 403" in caplog.text


async def test_an_api_server_that_is_slow_does_not_hold_up_the_scale_down(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.platforms.kubernetes.leading.scaling.ORDER_WITHIN_S", 0.05)
    api = PatchedApi(each_s=60.0)
    await order_leaving(cast(Api, api), BLUE, [Pod("a")], ["a"], 1, leads=leads)
    assert "is not said to all within 0.05 s" in caplog.text


@pytest.mark.parametrize("times", [0, 1, 5])
async def test_whoever_does_not_lead_any_more_writes_no_more(times: int) -> None:
    api = PatchedApi()
    pods = [Pod(str(number)) for number in range(50)]
    with pytest.raises(PlatformError, match="no longer leads"):
        await order_leaving(cast(Api, api), BLUE, pods, [pod.uid for pod in pods], 50, leads=at_first(times))
    assert len(api.written) == times


async def test_it_has_nothing_to_do_where_nothing_changes(caplog: pytest.LogCaptureFixture) -> None:
    await order_leaving(cast(Api, PatchedApi()), BLUE, [Pod("a")], [], 1, leads=leads)
