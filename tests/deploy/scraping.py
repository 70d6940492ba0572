"""How does a real Prometheus watch a real router in a test?

I/O: a Prometheus process on a free port of loopback, its configuration and data below a folder of the test's.
"""

from __future__ import annotations

import asyncio
import math
import shutil
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from bench.processes import free_port
from tests.deploy.rules import PROMETHEUS, RULES

STARTS_WITHIN_S = 60.0
INTERVAL = "1s"

needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")


def found(
    address: str, *, port_name: str = "internal", phase: str = "Running", pod: str = "router-1"
) -> dict[str, Any]:
    """A Pod's container port, as the discovery of Kubernetes gives it to the relabelling."""
    meta = {"namespace": "scoregate", "pod_name": pod, "pod_phase": phase, "pod_container_port_name": port_name}
    return {
        "targets": [address],
        "labels": {f"__meta_kubernetes_{name}": value for name, value in meta.items()},
    }


def configured(folder: Path, *pods: dict[str, Any]) -> Path:
    """The shipped configuration and rules, faster, and with these Pods found: Debian's Prometheus is built without
    the discovery of Kubernetes."""
    shipped = yaml.safe_load((PROMETHEUS / "scrape.yaml").read_text())
    shipped["global"] = {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL}
    (job,) = shipped["scrape_configs"]
    del job["kubernetes_sd_configs"]
    job["static_configs"] = list(pods)
    shutil.copy(RULES, folder)
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(shipped))
    return file


class Watching:
    """A Prometheus, asked through its API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def asked(self, path: str, **query: str) -> Any:
        reply = await self._client.get(f"/api/v1/{path}", params=query)
        said = reply.json()
        assert said["status"] == "success", f"{query}: {said}"
        return said["data"]

    async def numbers(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """What is there of the query's answer now: series whose value is a number."""
        result = (await self.asked("query", query=expr))["result"]
        values = [(each["metric"], float(each["value"][1])) for each in result]
        return [(labels, value) for labels, value in values if not math.isnan(value)]


@asynccontextmanager
async def watching(config: Path) -> AsyncIterator[Watching]:
    address = _free_address()
    log = config.with_name("prometheus.log")
    data = config.with_name("data")
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address={address}",
            stdin=DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, timeout=20.0) as client:
            await _ready(client, process, log)
            yield Watching(client)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _ready(client: httpx.AsyncClient, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(STARTS_WITHIN_S):
        while True:
            assert process.returncode is None, await asyncio.to_thread(log.read_text)
            try:
                if (await client.get("/-/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


def _free_address() -> str:
    return f"127.0.0.1:{free_port()}"
