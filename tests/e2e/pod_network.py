"""How has a Pod of the test kubelet a network of its own, that can be cut?

I/O: `ip`; a listening socket. A Pod's command runs in a network namespace with the Pod's address, which only this
machine's routes lead to. So two Pods may be cut off from each other while all else reaches both.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from tests.e2e.forwarding import forwarded

API_ADDRESS = "10.96.0.1"
"""Where Pods find the API server: its certificate is for this address, too."""


class PodNetwork:
    """Of the Pods whose command is `inside` it."""

    def __init__(self, api: str) -> None:
        """`api`: the port of API_ADDRESS at which Pods reach the API server."""
        self._api = api

    def inside(self, command: list[str]) -> list[str]:
        """The command of a Pod that has a network of its own."""
        return ["bash", "-c", _IN_ITS_NETWORK, "pod", *command]

    def reaching(self, kubeconfig: Path) -> Path:
        """The same, for a process in a Pod."""
        config = yaml.safe_load(kubeconfig.read_text())
        for each in config["clusters"]:
            each["cluster"]["server"] = self._api
        path = kubeconfig.with_suffix(".inside")
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    def cut(self, pod: str, *addresses: str) -> None:
        """What this Pod sends to these addresses is lost without a word."""
        for each in addresses:
            ip("-n", pod, "route", "replace", "blackhole", f"{each}/32")

    def heal(self, pod: str, *addresses: str) -> None:
        for each in addresses:
            ip("-n", pod, "route", "del", "blackhole", f"{each}/32")


def missing() -> str:
    """Why Pods can't have networks of their own here; "": they can."""
    if tools := [name for name in ("ip", "nsenter", "setsid") if shutil.which(name) is None]:
        return f"Pods have no networks of their own without {', '.join(tools)}"
    name = f"probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"Pods have no networks of their own here: {made.stderr.strip()}"
    ip("netns", "del", name)
    return ""


@contextmanager
def pod_network(kubeconfig: Path) -> Iterator[PodNetwork]:
    """`kubeconfig`: of the API server that Pods shall reach."""
    server = urlsplit(yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
    assert server.hostname is not None
    assert server.port is not None
    with forwarded(server.hostname, server.port, at=API_ADDRESS) as url:
        yield PodNetwork(url.replace("http:", "https:"))


def ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()}"
    return done.stdout


_IN_ITS_NETWORK = f"""
set -e
link=sg${{POD_NAME: -9}}
forget() {{ ip link del $link; ip netns del $POD_NAME; }} 2>/dev/null
forget || true
ip netns add $POD_NAME
ip link add $link type veth peer name eth0 netns $POD_NAME
ip addr add 169.254.1.1/32 dev $link
ip addr add {API_ADDRESS}/32 dev $link
ip link set $link up
echo 1 >/proc/sys/net/ipv4/conf/$link/forwarding
echo 0 >/proc/sys/net/ipv4/conf/$link/rp_filter
ip -n $POD_NAME link set lo up
ip -n $POD_NAME addr add $POD_IP/32 dev eth0
ip -n $POD_NAME link set eth0 up
ip -n $POD_NAME route add 169.254.1.1 dev eth0 scope link
ip -n $POD_NAME route add default via 169.254.1.1 src $POD_IP
ip route replace $POD_IP/32 dev $link table local
set +e
setsid nsenter --net=/var/run/netns/$POD_NAME "$@" & first=$!
trap 'kill -TERM $first' TERM
wait $first; wait $first; code=$?
forget
exit $code
"""
"""What a node does around the first process of a Pod. Its way out is a gateway that every Pod has; the node's way in is
stronger than the route that makes all addresses of Pods its own."""
