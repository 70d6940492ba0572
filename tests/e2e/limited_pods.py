"""How does a Pod of the test kubelet get what its own template says: so many workers, and no more CPU than its limit?

I/O: `kubectl`, cgroups, mounts. What a node does around a container: the Pod's annotation becomes its environment, and
its first container's limit the quota of a cgroup, which its processes see as theirs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.e2e.pod_network import PodNetwork, pod_network

_ROOT = Path("/sys/fs/cgroup")
_V1 = _ROOT / "cpu"


class LimitedPods(PodNetwork):
    """Pods with a network of their own, too."""

    def __init__(self, network: PodNetwork, kubeconfig: Path, groups: Path) -> None:
        """`kubeconfig`: the node's. `groups`: where each Pod gets a cgroup."""
        self._network = network
        self._words = str(network.reaching(kubeconfig)), str(groups), str(_mounted()), _quota_file().name

    def inside(self, command: list[str]) -> list[str]:
        return self._network.inside(["bash", "-c", _AS_ITS_TEMPLATE_SAYS, *self._words, *command])

    def reaching(self, kubeconfig: Path) -> Path:
        return self._network.reaching(kubeconfig)


@contextmanager
def limited_pods(kubeconfig: Path) -> Iterator[LimitedPods]:
    """As `pod_network`."""
    groups = _mounted() / f"pods-{os.getpid()}"
    groups.mkdir()
    try:
        _hand_on_cpu(groups)
        with pod_network(kubeconfig) as network:
            yield LimitedPods(network, kubeconfig, groups)
    finally:
        for each in [*groups.glob("*/"), groups]:
            with suppress(OSError):  # whoever outlives its Pod is still in there
                each.rmdir()


def missing() -> str:
    """Why Pods can't have limits here; "": they can."""
    probe = _mounted() / f"probe-{os.getpid()}"
    try:
        probe.mkdir()
        try:
            _hand_on_cpu(probe)
            return "" if (probe / _quota_file().name).exists() else "Pods have no limits here: no CPU in cgroups"
        finally:
            probe.rmdir()
    except OSError as error:
        return f"Pods have no limits here: {error}"


def _mounted() -> Path:
    """Where a process looks for its own cgroup: of version 1, else of 2."""
    return _V1 if _V1.is_dir() else _ROOT


def _quota_file() -> Path:
    return _V1 / "cpu.cfs_quota_us" if _V1.is_dir() else _ROOT / "cpu.max"


def _hand_on_cpu(group: Path) -> None:
    """Version 2 asks for it at each step down."""
    if not _V1.is_dir():
        (_ROOT / "cgroup.subtree_control").write_text("+cpu")
        (group / "cgroup.subtree_control").write_text("+cpu")


_AS_ITS_TEMPLATE_SAYS = r"""
set -e
groups=$1 mounted=$2 quota=$3; shift 3
group=$groups/$POD_NAME
said=$(kubectl --kubeconfig "$0" --namespace $POD_NAMESPACE get pod $POD_NAME -o \
  'jsonpath={.metadata.annotations.scoregate\.io/workers} {.spec.containers[0].resources.limits.cpu}')
read -r SCOREGATE_WORKERS cpu <<<"$said"
export SCOREGATE_WORKERS
case $cpu in *m) cpu=${cpu%m} ;; *) cpu=${cpu}000 ;; esac
mkdir -p $group
echo ${cpu}00 >$group/$quota
echo $$ >$group/cgroup.procs
exec unshare --mount bash -c 'mount --bind "$0" "$1" && shift && exec "$@"' $group $mounted "$@"
"""
"""The CPU limit is in thousands of a CPU, the quota in millionths of a second of each tenth: of `cpu.max`, too, whose
period is the same where nothing else is written."""
