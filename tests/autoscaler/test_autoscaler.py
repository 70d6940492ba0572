"""The package: whoever imports it loads no server."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import sys
import autoscaler.cli
print(*sorted(name for name in sys.modules if name.split(".")[0] in ("uvicorn", "starlette", "uvloop", "matplotlib")))
print(*sorted(name for name in sys.modules if name.startswith("router.") and name.split(".")[1] != "core"))
"""


def test_importing_the_autoscaler_loads_neither_a_server_nor_the_router_nor_what_draws() -> None:
    run = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    servers, ours = run.stdout.splitlines()
    assert servers == ""
    assert {name.split(".")[1] for name in ours.split()} == {"options", "platforms", "pulse", "tables", "tls"}
