"""terminal.py: what a newcomer reads works when pasted, and a failure is shown with its log."""

import asyncio
import io
import json
import shlex
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from router.core.keys import Keys
from router.core.model import Addresses, Deployment, Endpoint, JwtSettings, ScaleSettings
from router.platforms.local.keeper import ReplicaStatus
from router.terminal import sample_body, show_start, summary

IRIS = Endpoint(
    name="iris",
    weights=(("blue", 90), ("green", 10)),
    deployments=(Deployment(endpoint="iris", name="blue", workload=Addresses(addresses=())),),
)
OPEN = Endpoint(name="open", auth_mode="none", deployments=())


def status(phase: str, log=None, fault: str = "", restarts: int = 0) -> ReplicaStatus:
    return ReplicaStatus(
        deployment="iris/blue",
        uid="blue-1",
        phase=phase,
        pid=7,
        restarts=restarts,
        log=log,
        failed_log=log,
        fault=fault,
    )


class Progress:
    """Stands for a supervisor: at each look the next of these, the last for ever."""

    def __init__(self, wished: int, *looks: list[ReplicaStatus]) -> None:
        self.wished = {"iris/blue": wished}
        self._looks = list(looks)

    def replicas(self) -> list[ReplicaStatus]:
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]


async def shown(progress: Progress, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=40)
    async with asyncio.timeout(20):
        await show_start(progress, console)
    return console.file.getvalue()


async def test_without_a_terminal_each_change_is_a_line():
    text = await shown(
        Progress(2, [status("starting")] * 2, [status("starting")] * 2, [status("ready")] * 2), terminal=False
    )
    assert [line.rpartition(",")[0] for line in text.splitlines()] == [
        "iris/blue: 0 of 2 ready (2 starting)",
        "iris/blue: 2 of 2 ready",
    ]


async def test_on_a_terminal_there_is_a_table():
    text = await shown(Progress(1, [status("starting")], [status("ready")]), terminal=True)
    assert "deployment" in text
    assert "0 of 1 ready (1 starting)" in text


async def test_nothing_wished_is_ready_at_once():
    assert "0 of 0 ready" in await shown(Progress(0, []), terminal=False)


@pytest.mark.parametrize("terminal", [True, False])
async def test_a_failing_replica_shows_the_end_of_its_log_once(tmp_path, terminal):
    log = tmp_path / "replica.log"
    log.write_text("\n".join(f"line [{number}]" for number in range(40)))
    failed = status("waiting", log=log, fault="it ended", restarts=1)
    text = await shown(Progress(1, [failed], [failed, failed], [status("ready", log, "it ended", 1)]), terminal)
    assert text.count("A replica of iris/blue failed") == 1
    assert str(log) in text
    assert "line [14]" not in text
    assert text.index("line [15]") < text.index("line [39]")


def test_the_curl_line_is_one_line_and_quotes_what_a_shell_would_eat(tmp_path):
    keys = {"iris": Keys(primary_key="k1", secondary_key="k2")}
    sample = '{"text":"it\'s $HOME"}'
    text = summary([IRIS, OPEN], keys, "http://127.0.0.1:8080", "http://127.0.0.1:9001", sample, tmp_path)
    first, second = (line.partition("curl ")[2] for line in text.splitlines() if "curl " in line)
    url = "http://127.0.0.1:8080/api/v1/endpoint/iris/score"
    json_type = "Content-Type: application/json"
    assert shlex.split(first) == [url, "-H", "Authorization: Bearer k1", "-H", json_type, "-d", sample]
    assert shlex.split(second) == [url.replace("iris", "open"), "-H", json_type, "-d", sample]
    assert "k2" not in text
    assert "blue 90 %, green 10 %" in text
    assert "http://127.0.0.1:9001/metrics" in text
    assert str(tmp_path) in text


def test_who_needs_a_token_is_told_where_to_get_one(tmp_path):
    def lines(endpoint: Endpoint, state_dir: Path, keys: Keys | None = None) -> list[str]:
        given = {} if keys is None else {"iris": keys}
        return summary([endpoint], given, "http://h:1", "http://h:2", "{}", state_dir / "logs").splitlines()

    ours = replace(IRIS, auth_mode="token")
    default = lines(ours, Path(".scoregate").absolute())
    assert "token     `scoregate token iris` prints a new one" in default
    assert any('-H "Authorization: Bearer $(scoregate token iris)" -H' in line for line in default)
    odd = tmp_path / "a b"
    elsewhere = lines(ours, odd)
    assert f"token     `scoregate token iris --state-dir '{odd}'` prints a new one" in elsewhere
    assert any(f"Bearer $(scoregate token iris --state-dir '{odd}')" in line for line in elsewhere)
    jwt = JwtSettings(issuer="https://issuer.example", audiences=("a",))
    theirs = lines(replace(IRIS, auth_mode="jwt", jwt=jwt), odd)
    assert "token     from https://issuer.example" in theirs
    assert any('"Authorization: Bearer $TOKEN"' in line for line in theirs)
    both = lines(replace(ours, also_accepts=("key",)), odd, Keys(primary_key="$k`1", secondary_key="k2"))
    assert any("'Authorization: Bearer $k`1'" in line for line in both)
    assert sum(line.startswith(("token ", "key ")) for line in both) == 2


def test_the_sample_lies_beside_the_endpoints_file(tmp_path):
    file = tmp_path / "endpoints.yaml"
    assert sample_body(file) == "{}"
    (tmp_path / "sample-request.json").write_text('{"data": [\n  1,\n  2]}\n')
    assert sample_body(file) == '{"data":[1,2]}'
    assert json.loads(sample_body(file)) == {"data": [1, 2]}
    (tmp_path / "sample-request.json").write_text("{")
    assert sample_body(file) == "{}"


def test_who_has_deployments_that_scale_is_told_how_to_ask_why() -> None:
    scaled = Deployment(endpoint="iris", name="blue", workload=Addresses(addresses=()), scale=ScaleSettings())
    fixed = Deployment(endpoint="iris", name="green", workload=Addresses(addresses=()))
    both = Endpoint(name="iris", auth_mode="none", deployments=(fixed, scaled))
    text = summary([both], {}, "http://h:1", "http://h:2", "{}", Path("/state/logs"))
    assert "scaling   iris/blue: why so many? `scoregate explain iris/blue --state-dir /state`" in text
    assert "scaling" not in summary([OPEN], {}, "http://h:1", "http://h:2", "{}", Path("/logs"))
