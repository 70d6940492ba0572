"""A machine of one's own for each test: an endpoints file, a state directory, and replicas that are small processes."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router.core.model import Replica
from router.platforms.local.state import StateDirectory
from router.platforms.local.supervisor import Supervisor

PATIENCE_S = 20.0

REPLICA = """
import http.server, os, sys, urllib.parse

class Answer(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        if self.path.startswith("/status/"):  # answer so from now on
            Answer.status = int(self.path.rsplit("/", 1)[1])
        if self.path == "/exit":
            print("asked to exit", flush=True)
            os._exit(3)
        body = os.environ.get("VARIANT", "").encode()
        self.send_response(Answer.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


class Bench:
    """Where a test's supervisor works. `declare` writes the endpoints file as an editor would: whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "endpoints.yaml"
        self.state = StateDirectory(folder / "state")
        (folder / "replica.py").write_text(REPLICA)

    def declare(self, *endpoints: dict[str, Any]) -> None:
        self.write("\n---\n".join(json.dumps(each) for each in endpoints))

    def write(self, text: str) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.file)

    def supervisor(self, drain_timeout_s: float = 30.0) -> Supervisor:
        return Supervisor(self.file, self.state, drain_timeout_s=drain_timeout_s)

    def replicas(self, key: str = "iris/blue") -> list[Replica]:
        """As a router sees them."""
        snapshot = self.state.read_snapshot()
        return [] if snapshot is None else [each for each in snapshot.replicas if each.deployment == key]

    def ready(self, key: str = "iris/blue") -> list[Replica]:
        return [each for each in self.replicas(key) if each.ready and not each.leaving]

    async def until_ready(self, count: int, key: str = "iris/blue") -> list[Replica]:
        """Until just so many are ready and nothing else of the deployment is there."""
        await self.until(lambda: len(self.ready(key)) == count == len(self.replicas(key)))
        return self.ready(key)

    @staticmethod
    def deployment(name: str = "blue", count: int = 1, variant: str = "", **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            **({} if "scaleSettings" in more else {"instanceCount": count}),
            "process": {"command": ["$(PYTHON)", "replica.py", "$(PORT)"], "env": {"VARIANT": variant}},
            "readinessProbe": {"period": 0.1, "timeout": 2, "failureThreshold": 3},
            **more,
        }

    @staticmethod
    def endpoint(*deployments: dict[str, Any], name: str = "iris", mode: str = "none") -> dict[str, Any]:
        traffic = {each["name"]: 100 if number == 0 else 0 for number, each in enumerate(deployments)}
        spec = {"auth": {"mode": mode}, "traffic": traffic, "deployments": list(deployments)}
        return {
            "apiVersion": "scoregate.io/v1",
            "kind": "InferenceEndpoint",
            "metadata": {"name": name},
            "spec": spec,
        }

    def wished(self, key: str = "iris/blue") -> int | None:
        """As the autoscaler sees it."""
        snapshot = self.state.read_snapshot()
        return None if snapshot is None else snapshot.wished.get(key)

    @staticmethod
    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - it looks at other processes
                await asyncio.sleep(0.01)

    @staticmethod
    def runs(pid: int) -> bool:
        """Whether the process is there and is no zombie."""
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    @staticmethod
    def group(leader: int) -> list[int]:
        """Ids of the living processes of a group."""
        return [
            pid
            for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
            if Bench.runs(pid) and Bench._group_of(pid) == leader
        ]

    @staticmethod
    def _group_of(pid: int) -> int:
        try:
            return os.getpgid(pid)
        except ProcessLookupError:
            return 0


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
