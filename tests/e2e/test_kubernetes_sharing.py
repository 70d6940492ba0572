"""Is it one queue and one limit on a real control plane, whatever becomes of its routers?

Three router Pods of two workers from the chart, each with a network of its own; replicas of concurrency 1 that count
their own requests; clients that find the Pods as a Service has it. A replica's count is what is believed.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from router.core.circle import LEASE_S
from tests.e2e import pod_network
from tests.e2e.conftest import until
from tests.e2e.router_pods import ROUTERS, Page, RouterPods, router_pods
from tests.kubernetes.cluster import Cluster

RATE_PER_S = 36.0
"""Three replicas work more than half of their time."""
OVERLOAD_PER_S = 90.0
SLOTS = 6
"""Of each replica: one for each instance where they can't reach each other."""
LATE_S = 0.5
"""From when a router begins a request to when a busy machine's replica has it."""
IS_LONG = bool(os.environ.get("SCOREGATE_LONG_TESTS"))
"""Whether there is time for all: six minutes, not two."""
RESTARTS = 3 if IS_LONG else 1
ALONE = 'cannot list resource "pods"'

takes_long = pytest.mark.skipif(not IS_LONG, reason="SCOREGATE_LONG_TESTS is not set")
_log = logging.getLogger("measured")


@pytest.fixture(scope="module")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterPods]:
    cluster.needs_faults()
    if why := pod_network.missing():
        pytest.skip(why)
    with router_pods(cluster, tmp_path_factory.mktemp("p"), workers=1 if IS_LONG else 2) as site:
        yield site


@pytest.fixture
def one_worker(site: RouterPods) -> RouterPods:
    site.be(1)
    return site


@pytest.fixture
def two_workers(site: RouterPods) -> RouterPods:
    site.be(2)
    return site


@contextmanager
def loaded(site: RouterPods, rate_per_s: float = RATE_PER_S) -> Iterator[None]:
    """Nothing before counts. What clients saw is in the log."""
    site.overlaps()
    site.crowd.sent.clear()
    with site.crowd.asking(rate_per_s):
        time.sleep(1.0)
        yield
        time.sleep(1.0)
    _log.info("%s", site.crowd)


@takes_long
def test_routers_that_may_not_list_pods_serve_alone_and_find_each_other_once_they_may(one_worker: RouterPods) -> None:
    """Until then each process has the whole limit for itself, and the replicas see that."""
    one_worker.may_list_pods(False)
    with loaded(one_worker):
        one_worker.restart()
        for address in one_worker.addresses().values():
            ((own, pages),) = one_worker.views(address).items()
            assert [page.id for page in pages] == [own]
            assert ALONE in one_worker.installed.readiness(address)
    assert one_worker.crowd.troubles() == []
    assert ALONE in one_worker.said()
    assert one_worker.overlaps() != []
    one_worker.may_list_pods(True)
    until("they are one", lambda: one_worker.are_one(1))
    with loaded(one_worker):
        time.sleep(2.0)
    assert one_worker.overlaps() == []


@takes_long
def test_more_workers_by_a_rolling_update_under_load(one_worker: RouterPods) -> None:
    with loaded(one_worker):
        one_worker.be(2)
    assert one_worker.crowd.troubles() == []
    assert one_worker.overlaps() == []


def test_six_instances_meet_at_sockets_in_a_pod_and_over_tls_across_pods(two_workers: RouterPods) -> None:
    heard: dict[str, list[Page]] = {}
    with loaded(two_workers):
        until("all have told", lambda: heard.update(two_workers.views_of_all()) or len(heard) == 2 * ROUTERS)
    assert {len(view) for view in heard.values()} == {2 * ROUTERS}
    assert len({page.id for view in heard.values() for page in view if page.owns}) == 1
    assert two_workers.crowd.troubles() == []
    assert two_workers.overlaps() == []
    addresses = two_workers.addresses()
    for pod, own in addresses.items():
        (first, second) = (place.pid for place in two_workers.workers(pod).values())
        others = {other for other in addresses.values() if other != own}
        called = called_from(first)
        assert all(called[other] >= 4 for other in others), "each of two workers calls both of each other Pod"
        meetings = Counter(path.rpartition("/")[2] for path in sockets_of(second) if "/peers/" in path)
        assert {name: number - 1 for name, number in meetings.items()} == {"0.sock": 1, "1.sock": 1}, "one listens"


def test_rolling_restarts_fail_no_request(two_workers: RouterPods) -> None:
    with loaded(two_workers):
        for _ in range(RESTARTS):
            before = two_workers.pods().keys()
            two_workers.restart()
            assert not before & two_workers.pods().keys()
            until("all instances are one", lambda: two_workers.are_one(2))
    assert two_workers.crowd.troubles() == []
    assert two_workers.overlaps() == []


@pytest.mark.parametrize("is_owner", [True, pytest.param(False, marks=takes_long)], ids=["the owner", "a borrower"])
def test_a_worker_that_is_killed_loses_its_own_requests_alone(two_workers: RouterPods, is_owner: bool) -> None:
    with loaded(two_workers):
        pod, index = two_workers.owner()
        index = index if is_owner else 1 - index
        killed = two_workers.workers(pod)[index].pid
        moment = time.monotonic()
        os.kill(killed, signal.SIGKILL)
        until("it is replaced", lambda: two_workers.workers(pod).get(index, None) not in (None, killed))
        until("all instances are one", lambda: two_workers.are_one(2))
    lost_there(two_workers, pod, moment)


@takes_long
def test_a_worker_that_hangs_is_replaced_and_loses_its_own_requests_alone(two_workers: RouterPods) -> None:
    with loaded(two_workers):
        pod, index = two_workers.owner()
        hung = two_workers.workers(pod)[index].pid
        moment = time.monotonic()
        os.kill(hung, signal.SIGSTOP)
        until("it is replaced", lambda: index in two_workers.workers(pod) and hung != pid_of(two_workers, pod, index))
        until("all instances are one", lambda: two_workers.are_one(2))
    lost_there(two_workers, pod, moment)


@takes_long
def test_a_pod_whose_processes_are_killed_loses_its_own_requests_alone(two_workers: RouterPods) -> None:
    with loaded(two_workers):
        pod, _ = two_workers.owner()
        moment = time.monotonic()
        two_workers.kill_pod(pod)
        until("all instances are one", lambda: two_workers.are_one(2))
    lost_there(two_workers, pod, moment)


def pid_of(site: RouterPods, pod: str, index: int) -> int:
    return site.workers(pod)[index].pid


def lost_there(site: RouterPods, pod: str, moment: float) -> None:
    """`moment`: at which the fault began."""
    address = site.addresses()[pod]
    overlaps = [each.began - moment for each in site.overlaps()]
    _log.info("%s; overlaps began after %s s", site.crowd.around(moment), overlaps)
    lost = site.crowd.troubles()
    assert {each.address for each in lost} <= {address}
    assert not [each.trouble for each in lost if "Error" not in each.trouble], "lost, but none was answered wrongly"
    assert all(0 <= after < LEASE_S + LATE_S for after in overlaps)


def called_from(pid: int) -> Counter[str]:
    """Addresses, by how many connections lead from this process's Pod to ports between instances there."""
    lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    ends = [line[2].split(":") for line in lines if line[3] == "01"]
    return Counter(
        ".".join(str(byte) for byte in reversed(bytes.fromhex(address)))
        for address, port in ends
        if int(port, 16) in (9002, 9003)
    )


def sockets_of(pid: int) -> list[str]:
    """Paths of unix sockets in its Pod: those that listen, and the near end of each connection."""
    lines = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]]
    return [line[7] for line in lines if len(line) > 7]


@pytest.mark.parametrize("aside", [pytest.param(1, marks=takes_long), 2], ids=["from one other", "from both others"])
def test_a_pod_that_is_cut_off_goes_on_with_its_own_slots(two_workers: RouterPods, aside: int) -> None:
    """More is asked for than the replicas can do: whatever may be begun is."""
    (pod, own), *others = two_workers.addresses().items()
    two_workers.limit(SLOTS)
    try:
        with loaded(two_workers, OVERLOAD_PER_S):
            two_workers.most()
            time.sleep(1.0)
            assert two_workers.most() == SLOTS
            with cut(two_workers, pod, dict(others[:aside])):
                time.sleep(LEASE_S + LATE_S)
                _log.info("%d at once within the bound", two_workers.most())
                since = time.monotonic()
                time.sleep(2.0)
                assert two_workers.most() <= SLOTS
                assert both_go_on(two_workers, own, since)
                for view in two_workers.views(own).values():
                    assert sum(page.up for page in view) == 2 * ROUTERS - 2 * aside
            until("all instances are one", lambda: two_workers.are_one(2))
            two_workers.most()
            time.sleep(1.0)
            assert two_workers.most() <= SLOTS
    finally:
        two_workers.limit(1)
    assert two_workers.crowd.troubles() == []
    said = two_workers.said()
    assert said.rfind("can't reach") < said.rfind("all instances that are listed are reached again")


def both_go_on(site: RouterPods, own: str, since: float) -> bool:
    """Whether replicas had requests from there, and from the others."""
    had = {each.address == own for each in site.crowd.sent if since <= each.at + each.wait_s}
    return had == {True, False}


@contextmanager
def cut(site: RouterPods, pod: str, others: dict[str, str]) -> Iterator[None]:
    """Nothing gets from it to these, nor back."""
    own = site.addresses()[pod]
    site.network.cut(pod, *others.values())
    for other in others:
        site.network.cut(other, own)
    yield
    site.network.heal(pod, *others.values())
    for other in others:
        site.network.heal(other, own)
