"""replica.py, group.py and guard.py: a process starts as declared, and nothing of it is left behind."""

import asyncio
import os
import signal
import sys

import pytest

from router.core.model import Deployment, Process
from router.platforms.local.group import ProcessGroup
from router.platforms.local.replica import ReplicaProcess, substitute
from router.platforms.local.state import StateDirectory

FAMILY = """
import signal, subprocess, sys, time
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "child" not in sys.argv: subprocess.Popen([sys.executable, __file__, "child", *sys.argv[1:]])
print("here", flush=True)
time.sleep(600)
"""


async def start(bench, *command: str, grace_s: float = 5.0) -> ProcessGroup:
    return await ProcessGroup.start(command, log=bench.folder / "log", grace_s=grace_s, cwd=bench.folder, env={})


async def start_family(bench, *words: str, grace_s: float = 5.0) -> ProcessGroup:
    """A guard, a parent and its child, all there."""
    (bench.folder / "family.py").write_text(FAMILY)
    group = await start(bench, sys.executable, "family.py", *words, grace_s=grace_s)
    await bench.until(lambda: (bench.folder / "log").read_text().count("here") == 2)
    assert len(bench.group(group.pid)) == 3
    return group


async def test_the_whole_group_ends_politely(bench):
    group = await start_family(bench)
    await group.end()
    await bench.until(lambda: bench.group(group.pid) == [])


async def test_who_ignores_sigterm_is_killed_after_the_grace(bench):
    group = await start_family(bench, "stubborn", grace_s=0.1)
    await group.end()
    await bench.until(lambda: bench.group(group.pid) == [])


async def test_a_killed_command_takes_its_children_along(bench):
    group = await start_family(bench)
    parent = min(set(bench.group(group.pid)) - {group.pid})
    os.kill(parent, signal.SIGKILL)
    assert await group.wait() == 128 + signal.SIGKILL
    await bench.until(lambda: bench.group(group.pid) == [])
    await group.end()


async def test_a_killed_guard_takes_the_command_along(bench):
    group = await start_family(bench)
    os.kill(group.pid, signal.SIGKILL)
    assert await group.wait() == 128 + signal.SIGKILL
    await bench.until(lambda: bench.group(group.pid) == [])
    await group.end()


async def test_kill_does_not_wait(bench):
    group = await start_family(bench, "stubborn", grace_s=600.0)
    group.kill()
    await group.end()
    await bench.until(lambda: bench.group(group.pid) == [])


async def test_the_exit_code_is_the_commands(bench):
    group = await start(bench, sys.executable, "-c", "raise SystemExit(7)")
    assert await group.wait() == 7
    await group.end()


async def test_a_command_that_is_not_there_says_so(bench):
    group = await start(bench, "no-such-command")
    assert await group.wait() == 127
    assert (bench.folder / "log").read_text() == "can't start no-such-command: No such file or directory\n"
    await group.end()


async def test_a_replica_gets_port_python_environment_and_folder(bench):
    (bench.folder / "work").mkdir()
    say = "import os, sys; print(sys.argv[1], os.environ['PORT'], os.environ['URL'], os.getcwd(), sys.executable)"
    process = Process(
        command=("$(PYTHON)", "-c", say, "--port=$(PORT)"),
        env={"URL": "http://127.0.0.1:$(PORT)/$(OTHER)"},
        working_dir="work",
    )
    deployment = Deployment(endpoint="iris", name="blue", workload=process)
    replica = await ReplicaProcess.start(deployment, process, bench.folder, 4321, bench.state)
    assert await replica.group.wait() == 0
    await replica.group.end()
    said = replica.log.read_text().split()
    assert said[:3] == ["--port=4321", "4321", "http://127.0.0.1:4321/$(OTHER)"]
    assert said[3:] == [str(bench.folder / "work"), sys.executable]
    assert replica.log.name == f"iris.blue.{replica.uid}.log"
    assert replica.last_words().endswith(sys.executable)


async def test_a_missing_working_directory_is_an_error_that_names_it(bench, tmp_path):
    process = Process(command=("$(PYTHON)",), working_dir="nowhere")
    deployment = Deployment(endpoint="iris", name="blue", workload=process)
    with pytest.raises(OSError, match="nowhere"):
        await ReplicaProcess.start(deployment, process, tmp_path, 4321, StateDirectory(tmp_path / "state"))


def test_unknown_names_stay_as_they_are():
    assert substitute("$(PORT)-$(HOME)-$PORT", {"PORT": "1"}) == "1-$(HOME)-$PORT"


async def test_a_silent_log_is_called_empty(bench):
    process = Process(command=("$(PYTHON)", "-c", ""))
    deployment = Deployment(endpoint="iris", name="blue", workload=process)
    replica = await ReplicaProcess.start(deployment, process, bench.folder, 4321, bench.state)
    await asyncio.gather(replica.group.wait(), replica.group.wait())
    assert replica.last_words() == f"its log {replica.log} is empty"
    await replica.group.end()
