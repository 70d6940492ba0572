"""Do the routers follow their load on a real control plane, up and out, down and in, and does nobody suffer from it?

The chart's Deployments and rights. Each router Pod has the workers and the CPU limit of its template; the autoscaler
takes less time than it does for a user. Replicas count their own requests; clients find the Pods as a Service has it.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autoscaler.journal import read
from autoscaler.records import Sized
from router.platforms.sizing import RouterSize
from tests.e2e import limited_pods, pod_network
from tests.e2e.conftest import until
from tests.e2e.router_pods import ROUTERS, RouterPods, router_pods
from tests.kubernetes.cluster import Cluster

FASTER, IDLE_S = 6, 30
"""An autoscaler's minute is ten seconds; its ten quiet minutes are half of one."""
HASTY = sys.executable, "-m", "tests.e2e.hasty_autoscaler", str(FASTER), str(IDLE_S)
MILLI_CPUS = 200
VALUES = (
    "autoscaler.replicas=1",
    "selfScaling.maxWorkers=2",
    f"selfScaling.maxRouters={ROUTERS + 1}",
    "selfScaling.routeMeanMs=0.3",
    f"resources.limits.cpu={MILLI_CPUS}m",
    f"resources.requests.cpu={MILLI_CPUS}m",
)
BUSY_PER_S, BUSIEST_PER_S, QUIET_PER_S = 120.0, 400.0, 8.0
WORK_S, CONCURRENCY, QUEUE = 0.003, 4, 10_000
"""Where Pods have little CPU and begin on a busy machine, requests wait for seconds. Their clients have patience."""
STEP_WITHIN_S = 240.0
IDLING = "not for lack of CPU"
AT_FIRST = RouterSize(workers=1, pods=ROUTERS)
UP = RouterSize(workers=2, pods=ROUTERS)
OUT = RouterSize(workers=2, pods=ROUTERS + 1)
DOWN = RouterSize(workers=1, pods=ROUTERS + 1)

pytestmark = pytest.mark.skipif(not os.environ.get("SCOREGATE_LONG_TESTS"), reason="SCOREGATE_LONG_TESTS is not set")
_log = logging.getLogger("measured")


class Story:
    """What the autoscalers decided, and what became of it."""

    def __init__(self, site: RouterPods, folder: Path) -> None:
        self.site = site
        self.fewest = ROUTERS
        """Pods that clients could choose from at any time."""
        self._folder = folder
        self._began = time.monotonic()

    @property
    def files(self) -> list[Path]:
        return list(self._folder.glob("*/decisions/router.jsonl"))

    @property
    def decisions(self) -> list[Sized]:
        """By whoever led, the oldest first."""
        found = [record for file in self.files for record in read(file) if isinstance(record, Sized)]
        return sorted(found, key=lambda each: each.time)

    @property
    def steps(self) -> list[str]:
        return [each.decision.step for each in self.decisions if each.outcome == "ask"]

    def until(self, size: RouterSize, *, said: str = "") -> None:
        """All of it is there, and tells of its work. Clients ask more of a machine that is quick with it."""
        what = f"{size.pods} x {size.workers} {said}"
        until(what, lambda: self._is(size, said), STEP_WITHIN_S)
        since = self._began
        troubles = Counter(round(each.at - since) for each in self.site.crowd.troubles())
        _log.info("%s after %.0f s; %s; %s", what, time.monotonic() - since, self.site.crowd, sorted(troubles.items()))

    def _is(self, size: RouterSize, said: str) -> bool:
        crowd = self.site.crowd
        self.fewest = min(self.fewest, len(crowd.pods.addresses))
        time.sleep(0.5)
        last = self.decisions[-1:]
        if crowd.rate_per_s >= BUSY_PER_S and any(IDLING in each.decision.reason for each in last):
            crowd.rate_per_s = min(BUSIEST_PER_S, crowd.rate_per_s + 2)
        return any(each.seen.size == size and each.seen.complete and said in each.decision.reason for each in last)

    def explained(self) -> str:
        """By the command that a person asks."""
        (file,) = self.files
        argv = [sys.executable, "-m", "router", "explain", "router", "--last=1000", "--json", "--state-dir"]
        done = subprocess.run([*argv, str(file.parents[1])], capture_output=True, text=True, check=True)
        return "\n".join(
            f"{each['decision']['step']}: {each['decision']['reason']}"
            for each in json.loads(done.stdout)["decisions"]
            if each["decision"]["step"] != "stay"
        )


@pytest.fixture(scope="module")
def story(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    cluster.needs_faults()
    if why := pod_network.missing() or limited_pods.missing():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("p")
    nodes = limited_pods.limited_pods
    with router_pods(cluster, folder, 1, nodes=nodes, values=VALUES, scaler=HASTY) as site:
        settle(site, maxConcurrentRequestsPerInstance=CONCURRENCY, maxQueueLength=QUEUE)
        site.crowd.mean_work_s, site.crowd.pods.are_alike = WORK_S, True
        yield Story(site, folder)


def settle(site: RouterPods, **settings: int) -> None:
    """Of the endpoint's requests."""
    changes = [
        {"op": "add", "path": f"/spec/deployments/0/requestSettings/{name}", "value": value}
        for name, value in settings.items()
    ]
    installed = site.installed
    installed.cluster.kubectl("-n", installed.models, "patch", "iep", "iris", "--type=json", "-p", json.dumps(changes))


def limit(site: RouterPods) -> str:
    """Of CPUs, of each router Pod."""
    deployment = site.installed.cluster.get("deployment", "scoregate-router", namespace=site.installed.home)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return str(container["resources"]["limits"]["cpu"])


def workers(site: RouterPods) -> list[int]:
    """That run, in each Pod."""
    return [len(site.workers(pod)) for pod in site.pods()]


def test_up_and_out_with_the_load_then_down_and_in_and_no_request_fails(story: Story) -> None:
    site = story.site
    site.most()
    with site.crowd.asking(BUSY_PER_S):
        story.until(UP)
        assert (workers(site), limit(site)) == ([2] * ROUTERS, f"{2 * MILLI_CPUS}m")
        story.until(OUT)
        assert workers(site) == [2] * (ROUTERS + 1)
    with site.crowd.asking(QUIET_PER_S):
        story.until(DOWN)
        assert (workers(site), limit(site)) == ([1] * (ROUTERS + 1), f"{MILLI_CPUS}m")
        story.until(AT_FIRST, said="it is as small as it may be")
        assert workers(site) == [1] * ROUTERS
    assert story.steps == ["up", "out", "down", "in"]
    assert site.crowd.troubles() == []
    assert site.most() <= CONCURRENCY
    assert story.fewest == ROUTERS
    said = story.explained().splitlines()
    _log.info("%s", "\n".join(said))
    assert "over 0.3 ms" in said[0]
    assert "over 0.3 ms" in said[1]
    assert "would use" in said[2]
    assert "would use" in said[3]


def test_where_the_quota_is_used_up_a_step_is_taken_back_and_no_request_fails(story: Story) -> None:
    site, known = story.site, len(story.steps)
    site.crowd.sent.clear()
    site.most()
    with quota(site), site.crowd.asking(BUSY_PER_S):
        story.until(AT_FIRST, said="it has all that it may have, or that there is room for")
        assert (workers(site), limit(site)) == ([1] * ROUTERS, f"{MILLI_CPUS}m")
    assert story.steps[known:] == ["up", "back", "out", "back"]
    assert site.crowd.troubles() == []
    assert site.most() <= CONCURRENCY
    assert "exceeded quota" in story.explained().splitlines()[-1]


@contextmanager
def quota(site: RouterPods) -> Iterator[None]:
    """No Pod more than there are where the routers are."""
    cluster, home = site.installed.cluster, site.installed.home
    pods = len(site.installed.pods("app.kubernetes.io/name=scoregate", home))
    kind = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "pods"}}
    cluster.apply(kind | {"spec": {"hard": {"pods": str(pods)}}}, namespace=home)
    until("it is kept", lambda: cluster.get("resourcequota", "pods", namespace=home).get("status", {}).get("used"))
    yield
    cluster.kubectl("--namespace", home, "delete", "resourcequota", "pods")
