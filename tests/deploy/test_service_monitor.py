"""What is left of our labels once the Prometheus operator has put its own beside them?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.scraping import INTERVAL, needs_prometheus, watching
from tests.deploy.shipped import one, rendered
from tests.models import Model, served

OURS = 'scoregate_queued{endpoint="iris",deployment="blue"} 3\n'
ANSWERS_WITHIN_S = 30.0


def as_the_operator_writes_it(monitor: dict[str, Any], address: str) -> dict[str, Any]:
    """The job of one endpoint of a ServiceMonitor: the operator's relabelling comes first, then the monitor's own."""
    (endpoint,) = monitor["endpoints"]
    labels = {"namespace": "scoregate", "service": "scoregate-internal", "pod": "router-1", "container": "router"}
    theirs = [{"target_label": name, "replacement": value} for name, value in labels.items()]
    theirs.append({"target_label": "endpoint", "replacement": endpoint["port"]})
    own = [{"action": each["action"], "regex": each["regex"]} for each in endpoint.get("relabelings", ())]
    return {
        "job_name": "serviceMonitor/scoregate/scoregate/0",
        "scrape_interval": INTERVAL,
        "metrics_path": endpoint["path"],
        "honor_labels": endpoint.get("honorLabels", False),
        "static_configs": [{"targets": [address]}],
        "relabel_configs": theirs + own,
    }


@needs_prometheus
async def test_the_label_endpoint_is_that_of_scoregate(tmp_path: Path) -> None:
    monitor = one(rendered("--set=serviceMonitor.enabled=true"), "ServiceMonitor")["spec"]
    model = Model()
    model.answer = OURS.encode()
    async with served(model) as port:
        config = tmp_path / "prometheus.yaml"
        config.write_text(yaml.safe_dump({"scrape_configs": [as_the_operator_writes_it(monitor, f"127.0.0.1:{port}")]}))
        async with watching(config) as prometheus, asyncio.timeout(ANSWERS_WITHIN_S):
            while not (found := await prometheus.numbers("scoregate_queued")):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.1)
    ((labels, value),) = found
    assert (labels["endpoint"], labels["deployment"], value) == ("iris", "blue", 3)
    assert (labels["namespace"], labels["pod"]) == ("scoregate", "router-1")
    assert "exported_endpoint" not in labels
