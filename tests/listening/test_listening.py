"""listening/__init__.py: a port that is taken is a message; an address is a URL."""

from __future__ import annotations

import asyncio
import socket

import pytest

from router.config import ConfigError
from router.listening import bound, listener, url_of


def test_a_socket_is_bound_and_goes_again() -> None:
    with bound("127.0.0.1", 0, "--port") as sock:
        port = sock.getsockname()[1]
        assert url_of(sock) == f"http://127.0.0.1:{port}"
        assert url_of(sock, "https") == f"https://127.0.0.1:{port}"
    with bound("127.0.0.1", port, "--port"):
        pass


def test_an_address_of_ipv6_is_in_brackets() -> None:
    with bound("::1", 0, "--port") as sock:
        assert url_of(sock) == f"http://[::1]:{sock.getsockname()[1]}"


def test_a_port_in_use_is_a_message_that_names_the_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = rf"Can't listen on 127\.0\.0\.1:{port}: Address already in use\. Choose another --tls-port\."
        with pytest.raises(ConfigError, match=words), bound("127.0.0.1", port, "--tls-port"):
            pass


async def test_a_listener_that_can_not_start_says_so() -> None:
    one = listener(lambda: None, "no.such:Protocol", 1)
    with pytest.raises(ModuleNotFoundError):
        await one.until_started(asyncio.create_task(one.serve([])))


def test_an_address_that_can_not_be_is_a_message_that_names_the_other_option() -> None:
    words = r"Can't listen on 192\.0\.2\.1:0: .*\. Choose another --admin-host\."
    with pytest.raises(ConfigError, match=words), bound("192.0.2.1", 0, "--admin-port"):
        pass
