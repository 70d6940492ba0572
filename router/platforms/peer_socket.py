"""Where do instances of one machine, or of one Pod, meet?

Pure.
"""

from __future__ import annotations

from pathlib import Path

_LONGEST_PATH = 100
"""In bytes. Linux takes 107 for a unix socket's (unix(7))."""


def peer_socket(state_dir: Path, name: str) -> str:
    """Path of the unix socket of the instance with this name: in a Pod the worker's number, by which others find it;
    elsewhere its id. "" where the state directory's own path is too long."""
    path = str(state_dir.absolute() / "peers" / f"{name}.sock")
    return path if len(path.encode(errors="surrogateescape")) <= _LONGEST_PATH else ""
