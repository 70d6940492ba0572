"""listening/__init__.py: a port that is taken is a message; an address is a URL; an idle listener hardly wakes."""

from __future__ import annotations

import asyncio
import socket

import pytest

from router.config import ConfigError
from router.listening import Listener, bound, listener, url_of
from tests.virtual_time import armed, now, on_virtual_time, settle


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


@on_virtual_time
async def test_listeners_look_at_the_clock_once_a_second_together_and_end_when_they_are_told() -> None:
    listeners = [listener(lambda: None, "h11", 1) for _ in range(3)]
    looks = []

    async def look(counter: int) -> bool:
        looks.append(now())
        return await Listener.on_tick(listeners[0], counter)

    for one in listeners:
        one.config.load()
        one.on_tick = look  # type: ignore[method-assign]
    running = [asyncio.create_task(one.main_loop()) for one in listeners]
    await asyncio.sleep(0.5)
    assert len(armed()) == 1, "one timer for all three"
    await asyncio.sleep(2.1)
    assert looks == [0.0] * 3 + [1.0] * 3 + [2.0] * 3
    assert dict(listeners[0].server_state.default_headers)[b"date"].endswith(b" GMT")
    assert not any(one.should_exit for one in listeners)
    for one in listeners:
        one.should_exit = True
    await settle()
    assert all(task.done() for task in running)
    await asyncio.gather(*running)
    assert now() == 2.6
