"""cluster.py: neither the order in which objects are told nor what was before shows in what they amount to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.platforms import ClusterSettings
from router.platforms.kubernetes.cluster import Cluster
from tests.platforms.kubernetes.nouns import (
    a_deployment,
    a_pod,
    a_resource,
    a_secret,
    a_v1_workload,
    a_workload,
    an_autoscaler,
    unschedulable,
    waiting,
)

Event = tuple[str, Callable[[Cluster], None]]
"""The object that it is about, and how it is told."""

AUTHS = (None, {"mode": "key"}, {"mode": "key", "keysSecret": "ours"})
NAMESPACES = ("azureml-ws", "models")


def _events() -> Iterator[st.SearchStrategy[Event]]:
    names, namespaces = st.sampled_from(("iris", "rose")), st.sampled_from(NAMESPACES)
    workloads, ages = st.sampled_from(("one", "two", "no.name")), st.integers(0, 2)
    flags = st.booleans()

    def endpoint(name: str, namespace: str, workload: str, auth: Any, age: int, gone: bool, scales: bool) -> Event:
        scale = {"scaleSettings": {"maxInstances": 3}} if scales else {}
        deployments = [
            a_deployment("blue", workload, **scale),
            {"name": "green", "workload": {"selector": {"app": "one"}}},
        ]
        seen = a_resource(name, namespace, *deployments, auth=auth, age=age, traffic={"blue": 100})
        return (f"e/{seen.metadata.key}", lambda cluster: cluster.endpoint(seen.metadata.key, None if gone else seen))

    def workload(name: str, namespace: str, v1: str | None, replicas: int, age: int, gone: bool) -> Event:
        more: dict[str, Any] = {"selector": {"matchLabels": {"app": name}}, "replicas": replicas, "age": age}
        seen = a_workload(name, namespace, **more) if v1 is None else a_v1_workload(name, v1, namespace, **more)
        key = seen.metadata.key
        return (f"w/{key}", lambda cluster: cluster.workload("Deployment", key, None if gone else seen))

    def pod(name: str, namespace: str, app: str, ready: bool, leaving: bool, gone: bool, broken: bool) -> Event:
        more = {"conditions": (unschedulable(),), "containers": (waiting("ErrImagePull"),)} if broken else {}
        seen = a_pod(
            name, namespace, labels={"app": app}, uid=f"{namespace}-{name}", ready=ready, leaving=leaving, **more
        )
        return (f"p/{seen.metadata.key}", lambda cluster: cluster.pod(seen.metadata.key, None if gone else seen))

    def secret(name: str, namespace: str, gone: bool) -> Event:
        seen = a_secret(name, namespace=namespace)
        return (f"s/{seen.metadata.key}", lambda cluster: cluster.secret(seen.metadata.key, None if gone else seen))

    def autoscaler(name: str, namespace: str, workload: str, gone: bool) -> Event:
        seen = an_autoscaler(name, workload, namespace)
        return (f"h/{seen.metadata.key}", lambda cluster: cluster.autoscaler(seen.metadata.key, None if gone else seen))

    yield st.builds(endpoint, names, namespaces, workloads, st.sampled_from(AUTHS), ages, flags, flags)
    yield st.builds(workload, workloads, namespaces, st.none() | names, st.integers(0, 3), ages, flags)
    yield st.builds(pod, st.sampled_from("abc"), namespaces, workloads, flags, flags, flags, flags)
    yield st.builds(secret, st.sampled_from(("iris-keys", "ours")), namespaces, flags)
    yield st.builds(autoscaler, st.sampled_from("xy"), namespaces, workloads, flags)


def picture(cluster: Cluster) -> tuple[Any, ...]:
    accounts = sorted(cluster.accounts(), key=lambda account: (account.namespace, account.name))
    pods = [cluster.pods_of(deployment.key) for each in cluster.snapshot().endpoints for deployment in each.deployments]
    return (cluster.snapshot(), accounts, cluster.keys_wanted(), cluster.left_out(), pods)


def followed(events: list[Event]) -> Cluster:
    cluster = Cluster(ClusterSettings())
    for _, tell in events:
        tell(cluster)
    return cluster


histories = st.lists(st.one_of(*_events()), max_size=25)


@given(histories, st.randoms(use_true_random=False), st.lists(st.integers(0, 25), max_size=5))
def test_neither_the_order_nor_what_was_before_matters(history: list[Event], chance: Any, looks: list[int]) -> None:
    incremental = Cluster(ClusterSettings())
    for number, (_, tell) in enumerate(history):
        tell(incremental)
        if number in looks:  # whoever looks in between sees no more and no less afterwards
            incremental.snapshot()
    last = list(dict(history).items())
    chance.shuffle(last)
    assert picture(incremental) == picture(followed(last))
    snapshot = incremental.snapshot()
    assert len({replica.uid for replica in snapshot.replicas}) == len(snapshot.replicas)
    assert incremental.snapshot() is snapshot


@given(histories, histories)
def test_after_all_is_gone_nothing_is_left(history: list[Event], more: list[Event]) -> None:
    cluster = followed(history)
    cluster.snapshot()
    gone = {name: (name[0], name[2:]) for name, _ in history}.values()
    for kind, key in gone:
        {
            "e": lambda key: cluster.endpoint(key, None),
            "w": lambda key: cluster.workload("Deployment", key, None),
            "p": lambda key: cluster.pod(key, None),
            "s": lambda key: cluster.secret(key, None),
            "h": lambda key: cluster.autoscaler(key, None),
        }[kind](key)
    assert picture(cluster) == picture(Cluster(ClusterSettings()))
    held = [cluster, cluster._claims, cluster._adoption, cluster._workloads, cluster._membership, cluster._keyring]
    assert [part for one in held for part in vars(one).values() if isinstance(part, Sized) and len(part)] == []
    for _, tell in more:
        tell(cluster)
    assert picture(cluster) == picture(followed(list(dict(more).items())))
