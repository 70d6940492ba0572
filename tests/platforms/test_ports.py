"""ports.py: a port is given to one only, and nobody takes it before that one listens."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.platforms.local import ports as module
from router.platforms.local.ports import Ports

HOST = "127.0.0.1"
NewPorts = Callable[[], Ports]


@pytest.fixture
def new_ports() -> Iterator[NewPorts]:
    """What they have taken comes back after the test."""
    made: list[Ports] = []

    def new() -> Ports:
        made.append(Ports(HOST))
        return made[-1]

    yield new
    for ports in made:
        ports.give_all_back()


@pytest.fixture
def few(new_ports: NewPorts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> range:
    """All that there are, for the kernel's own begin after them."""
    ports = new_ports()
    first = next(port for port in iter(ports.take, None) if ports._mark(port + 1) and ports._mark(port + 2))
    ports.give_all_back()
    monkeypatch.setattr(module, "_FIRST", first)
    monkeypatch.setattr(module, "_FEWEST", 3)
    monkeypatch.setattr(module, "_RANGE", tmp_path / "range")
    (tmp_path / "range").write_text(f"{first + 3}\t60999\n")
    return range(first, first + 3)


def test_they_are_below_those_that_the_kernel_gives_by_itself(new_ports: NewPorts) -> None:
    kernels = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = new_ports()
    assert all(10_000 <= ports.take() < kernels for _ in range(50))


def test_where_the_kernel_takes_nearly_all_they_are_of_its_own(
    new_ports: NewPorts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_RANGE", tmp_path / "range")
    (tmp_path / "range").write_text("10999\t11500\n")
    ports = new_ports()
    taken = [ports.take() for _ in range(600)]
    assert min(taken) < 10_999 <= max(taken) <= 11_500


def test_none_is_given_out_twice_until_it_comes_back(new_ports: NewPorts, few: range) -> None:
    one, another = new_ports(), new_ports()
    assert {one.take(), another.take(), one.take()} == set(few)
    with pytest.raises(OSError, match=f"no free port from {few[0]} on at 127.0.0.1"):
        one.take()
    given = max(one._marks)
    another.give_back(given)  # it never had it
    with pytest.raises(OSError, match="no free port"):
        another.take()
    one.give_back(given)
    assert another.take() == given


def test_nor_by_another_process_while_this_one_lives(new_ports: NewPorts) -> None:
    taken = new_ports().take()
    code = f"from router.platforms.local.ports import Ports; print(Ports('{HOST}')._mark({taken}))"
    ask = [sys.executable, "-c", code]
    assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout == "False\n"


def test_one_on_which_somebody_listens_is_passed_over(new_ports: NewPorts, few: range) -> None:
    ports = new_ports()
    with socket.create_server((HOST, few[1])):
        assert {ports.take(), ports.take()} == {few[0], few[2]}
        with pytest.raises(OSError, match="no free port"):
            ports.take()
    assert ports.take() == few[1], "no mark of it was left"


def test_a_host_that_this_machine_has_not_is_an_error() -> None:
    with pytest.raises(OSError, match="assign requested address"):
        Ports("192.0.2.1").take()
