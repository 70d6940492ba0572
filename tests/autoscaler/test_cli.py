"""cli.py: `explain` and `replay` over a journal, and what they say of one that is not there or not right."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from autoscaler import cli
from autoscaler.journal import Journal, journal_file, journals, older
from autoscaler.laws import LAWS
from autoscaler.records import Outcome
from autoscaler.self_observation import SelfScaling
from router.platforms import ClusterSettings, PlatformError
from router.platforms.memory import MemoryPlatform
from tests.autoscaler.nouns import KEY, decision, deployment, seen
from tests.autoscaler.self_scaled import Installation, size
from tests.command_line import failed, run


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """An idle half a minute, a busy one, an idle minute; decided live by a law that doubled for the busy time."""
    journal = Journal(journals(tmp_path))
    for at_s in range(120):
        busy = 30 <= at_s < 60
        wished = 4 if 31 <= at_s < 61 else 2
        observation = seen(float(at_s), wished, in_flight=4 + at_s % 2 if busy else 1, start_s=3.0)
        wanted = decision(4 if busy else 2, f"reason {at_s}")
        journal.append(deployment(), observation, wanted, "ask" if wanted.replicas != wished else "keep", "")
    journal.close()
    return tmp_path


@pytest.fixture
def file(state: Path) -> Path:
    return journal_file(journals(state), KEY)


def explain(state: Path, *words: object) -> Result:
    result = run("explain", *words, "--state-dir", state)
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize("name", ["blue", "iris/blue"])
def test_explain_shows_the_last_decisions_with_their_reasons(state: Path, name: str) -> None:
    text = explain(state, name).stdout
    assert KEY in text
    assert [f"reason {at_s}" in text for at_s in (99, 100, 119)] == [False, True, True]
    assert len(text.splitlines()) == 3 + 20


def test_explain_shows_as_many_as_are_wanted_with_what_changed(state: Path) -> None:
    rows = explain(state, "blue", "--last", "90").stdout.splitlines()
    assert [row.split()[-2:] for row in rows if "->" in row] == [["reason", "30"], ["reason", "60"]]
    assert "2 -> 4" in "\n".join(rows)


def test_explain_in_a_pipe_cuts_no_reason(state: Path) -> None:
    journal = Journal(journals(state))
    journal.append(deployment(), seen(500.0), decision(1, "words " * 200), "keep", "")
    journal.close()
    assert explain(state, "blue", "--last", "1").stdout.splitlines()[-1].count("words") == 200


def test_explain_prints_json(state: Path) -> None:
    told = json.loads(explain(state, "blue", "--last", "2", "--json").stdout)
    assert told["deployment"] == KEY
    assert [each["decision"]["reason"] for each in told["decisions"]] == ["reason 118", "reason 119"]
    assert told["decisions"][0]["seen"]["inFlight"] == 1


def test_explain_goes_back_into_the_older_file(state: Path, file: Path) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    older(file).write_bytes(b"".join(lines[:-2]))
    file.write_bytes(lines[0] + b"".join(lines[-2:]))
    text = explain(state, "blue", "--last", "4").stdout
    assert [f"reason {at_s}" in text for at_s in range(115, 120)] == [False, True, True, True, True]


def test_explain_leaves_out_a_bad_line_and_says_so(state: Path, file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"nonsense\n")
    result = explain(state, "blue", "--json")
    assert len(json.loads(result.stdout)["decisions"]) == 20
    assert f"Left out: {file}, line 122: " in result.stderr


def test_explain_says_which_deployments_there_are(state: Path, tmp_path: Path) -> None:
    assert "there are: iris/blue." in failed("explain", "pink", "--state-dir", state)
    assert "scoregate up FILE" in failed("explain", "blue", "--state-dir", tmp_path / "none")


def summaries(*words: object) -> dict[str, Any]:
    result = run("replay", *words, "--json")
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_replay_compares_what_was_recorded_with_a_law(file: Path) -> None:
    told = summaries(file)
    assert list(told) == ["recorded", "scoregate"]
    assert told["recorded"] == {
        "replica_hours": pytest.approx((89 * 2 + 30 * 4) / 3600),
        "changes": 2,
        "highest": 4,
        "lowest": 2,
        "short_s": 16.0,
        "total_s": 119.0,
    }
    assert told["scoregate"]["total_s"] == 119.0


def test_replay_takes_several_laws_and_other_settings(file: Path) -> None:
    laws = [word for name in LAWS for word in ("--law", name)]
    assert list(summaries(file, *laws)) == ["recorded", *LAWS]
    (law,) = summaries(file, "--min", "7", "--max", "7").keys() - {"recorded"}
    fixed = summaries(file, "--min", "7", "--max", "7")[law]
    assert fixed["highest"] == 7
    assert summaries(file, "--max", "3")[law]["highest"] == 3
    assert summaries(file, "--target", "35")[law]["highest"] > summaries(file, "--target", "100")[law]["highest"]


def test_replay_starts_replicas_as_measured_or_as_it_is_told(file: Path) -> None:
    slow = summaries(file, "--cold-start", "60")["scoregate"]["short_s"]
    assert summaries(file, "--cold-start", "0")["scoregate"]["short_s"] < slow
    assert "a replica starts in 3 s, as measured" in run("replay", file).stdout
    assert "a replica starts in 60 s." in run("replay", file, "--cold-start", "60").stdout


def test_replay_says_what_it_shows(file: Path) -> None:
    text = run("replay", file, "--target", "50", "--max", "20", "--window", "90").stdout
    assert all(word in text for word in ("iris/blue", "recorded", "scoregate", "Replica-hours", "Short of need"))
    assert "Target 50 %, 1 to 20 replicas, window 90 s" in text
    assert "Open loop: the load is what was recorded" in text


@pytest.mark.parametrize("name", ["out.svg", "out.png"])
def test_replay_draws_what_it_shows(file: Path, tmp_path: Path, name: str) -> None:
    result = run("replay", file, "--chart", tmp_path / name)
    assert result.exit_code == 0, result.output
    assert (tmp_path / name).stat().st_size > 10_000
    assert f"Drawn: {tmp_path / name}" in result.stderr


def test_replay_of_a_bad_file_names_file_line_and_rule(file: Path, tmp_path: Path) -> None:
    assert "can't be read" in failed("replay", tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    assert "empty.jsonl holds no decision" in failed("replay", tmp_path / "empty.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + b"{}\n")
    assert f"{file}, line 2: " in failed("replay", file)
    file.write_bytes(lines[1])
    assert "before the first line of kind terms" in failed("replay", file)
    file.write_bytes(b"".join(lines))
    assert "can't be written" in failed("replay", file, "--chart", tmp_path / "none" / "out.svg")


@pytest.mark.parametrize(
    "words",
    [
        ("replay",),
        ("replay", "f", "--law", "none"),
        ("replay", "f", "--target", "0"),
        ("replay", "f", "--window", "0"),
        ("replay", "f", "--window", "nan"),
        ("replay", "f", "--window", "inf"),
        ("replay", "f", "--cold-start", "nan"),
        ("replay", "f", "--cold-start", "1e300"),
        ("replay", "f", "--chart", "out.gif"),
        ("explain",),
        ("explain", "blue", "--last", "0"),
        ("autoscaler", "run", "--platform", "static"),
    ],
)
def test_wrong_usage_is_told_as_such(words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")


def test_bounds_that_contradict_each_other_are_wrong_usage(file: Path) -> None:
    result = run("replay", file, "--min", "11")
    assert result.exit_code == 2
    assert "minInstances would be 11; it must be at most maxInstances, which is 10" in result.stderr


def test_a_window_shorter_than_a_look_is_wrong_usage(file: Path) -> None:
    result = run("replay", file, "--window", "0.5")
    assert result.exit_code == 2
    assert "scaleDownWindow would be 0.5; it must be at least pollingInterval, which is 1" in result.stderr


@pytest.mark.parametrize(
    ("said", "instead", "rule"),
    [
        (b'"targetUtilizationPercentage":70', b'"targetUtilizationPercentage":0', "0, but it must be 1 to 100"),
        (b'"pollingInterval":1', b'"pollingInterval":0', "0, but it must be greater than 0"),
        (b'"scaleDownWindow":60.0', b'"scaleDownWindow":0.0', "0.0, but it must be greater than 0"),
    ],
)
def test_recorded_settings_that_no_file_may_have_are_refused(
    file: Path, said: bytes, instead: bytes, rule: str
) -> None:
    content = file.read_bytes()
    assert said in content
    file.write_bytes(content.replace(said, instead))
    field = said.split(b'"')[1].decode()
    assert f"{file}: settings.{field}: {rule}" in failed("replay", file)


def test_explain_counts_the_lines_that_it_leaves_out(state: Path, file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"nonsense\n" * 5_000)
    told = explain(state, "blue").stderr.splitlines()
    assert len(told) == 1
    assert told[0].endswith("(and 4999 more)")


def test_explain_cuts_no_figure_on_a_narrow_terminal(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "30")
    text = explain(state, "blue", "--last", "60").stdout
    assert "…" not in text
    assert "2 -> 4" in text or "4 -> 2" in text


def test_an_autoscaler_that_can_not_be_says_why(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    assert "state" in failed("autoscaler", "run", "--state-dir", tmp_path / "state" / "x")


def test_the_platform_is_opened_to_scale_what_is_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[tuple[str, dict[str, object]]] = []

    def note(name: str, **given: object) -> None:
        opened.append((name, given))
        raise PlatformError("no cluster here")

    monkeypatch.setattr(cli, "open_platform", note)
    words = ("autoscaler", "run", "--platform", "kubernetes", "--namespaces", "a,b", "--namespace", "home")
    assert failed(*words, "--state-dir", tmp_path) == "no cluster here\n"
    ((name, given),) = opened
    assert (name, given["scaling"]) == ("kubernetes", True)
    assert given["cluster"] == ClusterSettings(namespaces=("a", "b"), home="home")


# -- the router's own size --------------------------------------------------------------------------------------------


def test_the_routers_that_are_resized_are_those_that_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[ClusterSettings, SelfScaling | None]] = []

    async def note(_: str, __: Path, cluster: ClusterSettings, own_size: SelfScaling | None) -> None:
        asked.append((cluster, own_size))

    monkeypatch.setattr(cli, "_scale_until_stopped", note)
    words = ("autoscaler", "run", "--platform", "kubernetes", "--state-dir", tmp_path, "--router-deployment", "mine")
    assert run(*words, "--min-routers", "3").exit_code == 0
    assert run(*words, "--self-scaling", "off").exit_code == 0
    named = ClusterSettings(router_deployment="mine")
    assert asked == [(named, SelfScaling(min_pods=3)), (named, None)]


@pytest.mark.parametrize("own_size", [SelfScaling(max_workers=2), None])
def test_the_size_of_the_router_is_looked_at_unless_that_is_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_size: SelfScaling | None
) -> None:
    began: list[tuple[bool, SelfScaling]] = []

    class Looking:
        def __init__(self, _: object, leads: Callable[[], bool], __: object, ___: object, given: SelfScaling) -> None:
            began.append((leads(), given))

        async def run(self) -> None:
            await asyncio.Event().wait()

    async def stopped(_: asyncio.Event) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(cli, "open_platform", lambda *_, **__: MemoryPlatform())
    monkeypatch.setattr(cli, "SelfScaler", Looking)
    monkeypatch.setattr(cli, "_until", stopped)
    asyncio.run(cli._scale_until_stopped("local", tmp_path, ClusterSettings(), own_size))
    assert began == ([] if own_size is None else [(False, own_size)])


@pytest.fixture
def own_size(state: Path) -> Path:
    """A minute in which one worker was too few."""
    journal = Journal(journals(state))
    installation = Installation(size(1, 3), SelfScaling(max_workers=2))
    installation.run(30, lambda look: 2.7)
    for seen_then, decided in installation.story:
        outcome: Outcome = "keep" if decided.step == "stay" else "ask"
        journal.append_size(SelfScaling(max_workers=2), seen_then, decided, outcome, "")
    journal.close()
    return journal_file(journals(state), "router")


def test_explain_tells_why_the_router_has_its_size(state: Path, own_size: Path) -> None:
    rows = explain(state, "router", "--last", "100").stdout.splitlines()
    (step,) = (row for row in rows if " up " in row)
    assert "over 3 ms or p99 15 ms" in step
    assert len(rows) >= 30
    told = json.loads(explain(state, "router", "--last", "30", "--json").stdout)
    assert told["deployment"] == "router"
    assert [each["decision"]["step"] for each in told["decisions"]].count("up") == 1


def test_replay_decides_again_on_the_router(own_size: Path) -> None:
    assert summaries(own_size)["recorded"]["up"] == 1
    assert summaries(own_size)["replayed"] == summaries(own_size)["recorded"]
    assert summaries(own_size, "--mean-ms", "500", "--p99-ms", "900")["replayed"]["up"] == 0
    text = run("replay", own_size).stdout
    assert all(word in text for word in ("router", "recorded", "replayed", "Open loop"))


@pytest.mark.parametrize("words", [("--target", "50"), ("--chart", "x.svg"), ("--cold-start", "3")])
def test_what_is_for_deployments_is_not_for_the_router(own_size: Path, words: tuple[str, ...]) -> None:
    result = run("replay", own_size, *words)
    assert result.exit_code == 2
    assert "is of the router itself" in result.stderr


def test_nor_the_other_way_round(file: Path) -> None:
    result = run("replay", file, "--mean-ms", "2")
    assert result.exit_code == 2
    assert "is of a deployment" in result.stderr


def test_a_broken_story_of_the_router_is_told(own_size: Path, file: Path) -> None:
    lines = own_size.read_bytes().splitlines(keepends=True)
    own_size.write_bytes(lines[0] + file.read_bytes())
    assert "it holds decisions on a deployment" in failed("replay", own_size)
    own_size.write_bytes(lines[0] + b"{}\n")
    assert f"{own_size}, line 2: " in failed("replay", own_size)
