"""post.py: a router that is the only one shares nothing; a worker has its ledger beside the others'."""

from __future__ import annotations

import os
from pathlib import Path

from router import post
from router.config import RouterConfig
from router.core.tally import Memory
from router.listening.sockets import bound_sockets


def config(folder: Path) -> RouterConfig:
    return RouterConfig(platform="local", state_dir=folder, port=0, admin_port=0)


def test_the_only_router_binds_its_sockets_and_counts_in_memory(tmp_path: Path) -> None:
    only = post.only()
    assert only.shared is None
    assert only.index == 0
    assert isinstance(only.ledger, Memory)
    with only.sockets(config(tmp_path)) as sockets:
        assert sockets.plain.getsockname()[1] > 0
    assert list(tmp_path.iterdir()) == []


def test_workers_read_each_others_ledgers_and_take_what_they_inherit(tmp_path: Path) -> None:
    with bound_sockets(config(tmp_path)) as sockets:
        copies = [sockets.descriptors._make(os.dup(each) if each else None for each in sockets.descriptors)] * 2
        one, other = (post.worker(index, tmp_path, copies[index], 7) for index in (0, 1))
        one.ledger.open(("kind",), 1)[0][0] = 1
        other.ledger.open(("kind",), 1)[0][0] = 2
        assert one.shared is not None
        assert one.shared.totals.read("kind") == {(): [3.0]}
        assert one.shared.processes() == [os.getpid()]
        assert one.shared.parent == 7
        assert one.shared.access_log_lock == tmp_path / "access-log.lock"
        assert (tmp_path / "ledgers").stat().st_mode & 0o777 == 0o700
        with other.sockets(config(tmp_path)) as inherited:
            assert inherited.plain.getsockname() == sockets.plain.getsockname()
