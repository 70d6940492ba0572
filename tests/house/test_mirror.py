"""Has every file that ships its own test file, where the source says that it is?"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
PACKAGES = ("router", "autoscaler")

ELSEWHERE = {
    "router/__init__.py": ("tests/test_cli.py", "only the version, which `scoregate --version` prints"),
    "router/__main__.py": ("tests/test_server.py", "each of its routers is started as `python -m router`"),
    "router/core/__init__.py": ("tests/house/test_house.py", "empty: its rule is the purity of its files"),
    "router/platforms/__init__.py": ("tests/contract/test_platforms.py", "a protocol: one suite for all that keep it"),
    "router/cancelling.py": ("tests/test_app_under_servers.py", "what the app needs under any server but ours"),
    "router/listening/proxied.py": ("tests/wire/test_proxied.py", "all of it is what goes over a connection"),
    "router/replica_tls.py": ("tests/wire/test_replicas_over_tls.py", "what it gives is seen in a handshake"),
    "router/platforms/local/declared.py": ("tests/platforms/test_supervisor.py", "the supervisor's view of its file"),
    "router/platforms/local/group.py": ("tests/platforms/test_replica.py", "a replica is a group of processes"),
    "router/platforms/local/guard.py": ("tests/test_up.py", "seen only when its parent is killed: nothing survives"),
    "router/platforms/local/race.py": ("tests/platforms/test_keeper.py", "the keeper's one way to wait"),
    "router/platforms/kubernetes/leading/__init__.py": (
        "tests/platforms/kubernetes",
        "says what is in the folder",
    ),
    "router/platforms/kubernetes/picture/__init__.py": (
        "tests/platforms/kubernetes",
        "says what is in the folder",
    ),
    "router/workers/__init__.py": ("tests/workers", "says what is in the folder"),
    "router/clients.py": ("tests/wire", "what all connections share: limits, idle ones, the end of a drain"),
    "router/protocol.py": ("tests/wire", "what bytes mean is shown on raw sockets"),
    "router/exchange.py": ("tests/wire", "one request of a connection: shown on raw sockets with it"),
    "router/upstream.py": ("tests/wire", "what a replica's bytes do is shown on raw sockets"),
}
"""Files without a test file of their own: where they are tested, and why there."""


def sources() -> list[PurePosixPath]:
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return sorted(PurePosixPath(file.relative_to(ROOT).as_posix()) for file in files)


def mirrors(source: PurePosixPath) -> list[Path]:
    """Where its tests may lie: in the same folder below tests/, or in one above it but for the topmost. The router's
    are not a folder deeper; the autoscaler's are in tests/autoscaler/."""
    package = source.parts[1:-1] if source.parts[0] == "router" else source.parts[:-1]
    stem = package[-1] if source.stem == "__init__" and package else source.stem
    depths = range(1, len(package) + 1) if package else [0]
    folders = [ROOT.joinpath("tests", *package[:depth]) for depth in depths]
    return [folder / f"test_{stem}.py" for folder in folders]


def has_tests(path: Path) -> bool:
    return path.is_file() or any(path.glob("**/test_*.py"))


def test_every_source_has_a_test_file_that_mirrors_it() -> None:
    orphans = [str(source) for source in sources() if not any(mirror.is_file() for mirror in mirrors(source))]
    assert sorted(set(orphans) - set(ELSEWHERE)) == []


def test_every_exception_is_of_a_file_that_exists_and_is_tested_elsewhere() -> None:
    present = set(map(str, sources()))
    assert [name for name in ELSEWHERE if name not in present] == []
    assert [name for name, (place, _) in ELSEWHERE.items() if not has_tests(ROOT / place)] == []


def test_a_nested_file_may_be_tested_one_folder_up_but_not_at_the_top() -> None:
    found = [path.relative_to(ROOT).as_posix() for path in mirrors(PurePosixPath("router/platforms/local/state.py"))]
    assert found == ["tests/platforms/test_state.py", "tests/platforms/local/test_state.py"]
