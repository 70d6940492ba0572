"""sockets.py: what one process binds, others take connections from."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from router.config import ConfigError, RouterConfig
from router.listening.sockets import bound_sockets, inherited_sockets


def config(**settings: object) -> RouterConfig:
    ports = {"port": 0, "admin_port": 0, "tls_port": 0}
    return RouterConfig(platform="local", state_dir=Path("state"), **ports | settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("tls_dir", [None, Path("tls")], ids=["plain", "https"])
def test_who_inherits_them_has_the_same_sockets(tls_dir: Path | None) -> None:
    with bound_sockets(config(tls_dir=tls_dir)) as sockets:
        descriptors = sockets.descriptors
        assert (descriptors.tls is None) == (sockets.tls is None) == (tls_dir is None)
        assert len(descriptors.all()) == (2 if tls_dir is None else 3)
        copies = descriptors._make(None if each is None else os.dup(each) for each in descriptors)
        with inherited_sockets(copies) as inherited:
            assert inherited.plain.getsockname() == sockets.plain.getsockname()
            assert inherited.admin.getsockname() == sockets.admin.getsockname()
        with socket.create_connection(sockets.plain.getsockname()):
            taken, _ = sockets.plain.accept()  # the other's end has ended nothing here
            taken.close()
    assert sockets.plain.fileno() == sockets.admin.fileno() == -1


@pytest.mark.parametrize("option", ["port", "tls_port", "admin_port"])
def test_a_port_that_is_taken_is_told_by_its_option_and_nothing_stays_open(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = {option: other.getsockname()[1], "tls_dir": Path("tls")}
        refused = f"Choose another --{option.replace('_', '-')}"
        with pytest.raises(ConfigError, match=refused), bound_sockets(config(**settings)):
            pass
