"""peer_socket.py: a path that the kernel takes, or none."""

import socket
from pathlib import Path

import pytest

from router.platforms.peer_socket import peer_socket


def test_it_is_in_the_state_directory_whoever_asks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert peer_socket(Path("/s"), 3) == "/s/peers/3.sock"
    assert peer_socket(Path("s"), 0) == f"{tmp_path}/s/peers/0.sock"


@pytest.mark.parametrize("name", ["a" * 85, "é" * 42 + "a"])
def test_one_that_is_too_long_is_none(name):
    longest = Path("/" + name)
    assert len(peer_socket(longest, 10).encode()) == 100
    assert peer_socket(longest, 100) == peer_socket(Path(f"{longest}a"), 10) == ""
    with socket.socket(socket.AF_UNIX) as one, pytest.raises(FileNotFoundError):
        one.connect(peer_socket(longest, 10))  # the kernel takes the path: there is only nobody
