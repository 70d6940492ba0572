"""Keys on disk: made once, replaced one at a time, hidden from everybody else."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import stat
from datetime import UTC, datetime
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Literal

import pytest
from rich.pretty import pretty_repr

from router.core.keys import BadKey, Keys, NamedKey, NoSuchKey, regenerated, with_named, without_named
from router.core.model import Endpoint, RateLimit
from router.platforms import PlatformError
from router.platforms.keys import KeyStore, new_key
from router.platforms.private_files import locked


def regenerate(store: KeyStore, which: str, key: str | None = None) -> Keys:
    return store.change("iris", partial(regenerated, which=which, key=new_key() if key is None else key))


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "state")


def test_keys_are_made_once(store: KeyStore) -> None:
    keys, others = store.ensure("iris"), store.ensure("rose")
    assert store.ensure("iris") == keys == store.read("iris")
    assert len({keys.primary_key, keys.secondary_key, others.primary_key, others.secondary_key}) == 4
    assert min(len(keys.primary_key), len(keys.secondary_key)) == 43


def test_the_file_is_plain_json(store: KeyStore) -> None:
    keys = store.ensure("iris")
    content = json.loads((store.folder / "iris.json").read_text())
    assert content == {"primaryKey": keys.primary_key, "secondaryKey": keys.secondary_key}


def test_only_the_owner_gets_at_them(store: KeyStore) -> None:
    store.folder.mkdir(parents=True, mode=0o755)
    store.ensure("iris")
    regenerate(store, "primary")
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((store.folder / "iris.json").stat().st_mode) == 0o600


def test_hashes(store: KeyStore) -> None:
    keys, hashes = store.ensure("iris"), store.hashes("iris")
    assert hashes.primary == hashlib.sha256(keys.primary_key.encode()).digest()
    assert hashes.secondary == hashlib.sha256(keys.secondary_key.encode()).digest()


@pytest.mark.parametrize(("which", "other"), [("primary", "secondary"), ("secondary", "primary")])
def test_one_is_replaced_and_the_other_stays(
    store: KeyStore, which: Literal["primary", "secondary"], other: str
) -> None:
    old = store.ensure("iris")
    new = regenerate(store, which)
    assert getattr(new, f"{which}_key") != getattr(old, f"{which}_key")
    assert getattr(new, f"{other}_key") == getattr(old, f"{other}_key")
    assert store.read("iris") == new
    assert getattr(regenerate(store, which, "x" * 16), f"{which}_key") == "x" * 16


@pytest.mark.parametrize("value", ["", "x" * 15, "x" * 257, "x" * 16 + " ", "x" * 16 + "\n", "ü" * 20])
def test_a_given_key_that_is_none(store: KeyStore, value: str) -> None:
    old = store.ensure("iris")
    with pytest.raises(BadKey, match="the primary key has") as caught:
        regenerate(store, "primary", value)
    assert not value or value not in str(caught.value)
    assert store.read("iris") == old


def test_without_keys_there_is_nothing_to_read_or_replace(store: KeyStore) -> None:
    for ask in (store.read, store.hashes, lambda endpoint: store.change(endpoint, lambda keys: keys)):
        with pytest.raises(PlatformError, match=r"iris has no keys in .* yet"):
            ask("iris")


@pytest.mark.parametrize(
    "content",
    [b"", b'{"primaryKey": "0123456789abcdef"', b"[]", b'{"primaryKey": "0123456789abcdef"}', b"\xff",
     b'{"primaryKey": "", "secondaryKey": "0123456789abcdef"}',
     b'{"primaryKey": "0123456789abcdef", "secondaryKey": "\xff"}',
     b'{"primaryKey": "0123456789abcdef", "secondaryKey": "0123456789abcdef", "namedKeys": {"ann": {"key": "short"}}}',
     b'{"primaryKey": "0123456789abcdef", "secondaryKey": "0123456789abcdef", "namedKeys": {"../a": {"key": "x"}}}'],
)  # fmt: skip
def test_a_corrupt_file_is_neither_used_nor_quoted(store: KeyStore, content: bytes) -> None:
    store.ensure("iris")
    (store.folder / "iris.json").write_bytes(content)
    for ask in (store.read, store.ensure):
        with pytest.raises(PlatformError, match=r"iris\.json does not hold the keys of an endpoint") as caught:
            ask("iris")
        assert "0123456789abcdef" not in str(caught.value)
        assert caught.value.__cause__ is None
    assert (store.folder / "iris.json").read_bytes() == content


def test_keys_that_are_there_are_read_whoever_changes_others(store: KeyStore) -> None:
    keys = store.ensure("iris")
    store.folder.chmod(0o755)
    with locked(store.folder / ".lock"):
        assert store.ensure("iris") == store.read("iris") == keys
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_nothing_else_stays_in_the_folder(store: KeyStore) -> None:
    store.ensure("iris")
    regenerate(store, "secondary")
    assert sorted(file.name for file in store.folder.iterdir()) == [".lock", "iris.json"]


@pytest.mark.parametrize("endpoint", ["../iris", "/etc/passwd", "iris/../..", "", ".lock", "iris\0"])
def test_a_name_does_not_lead_elsewhere(store: KeyStore, endpoint: str) -> None:
    for ask in (store.ensure, store.read):
        with pytest.raises(PlatformError, match="is not the name of an endpoint"):
            ask(endpoint)


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file is in the way")
    with pytest.raises(PlatformError, match=r"state can't be made: File exists"):
        KeyStore(tmp_path / "state").ensure("iris")


def test_keys_are_not_shown(store: KeyStore) -> None:
    keys = store.ensure("iris")
    for shown in (repr(keys), str(keys), f"{keys}", pretty_repr(keys)):
        assert keys.primary_key not in shown
        assert keys.secondary_key not in shown


CONSUMER = NamedKey(
    key="the-key-of-one-consumer",
    expires_at=datetime(2027, 1, 31, tzinfo=UTC),
    rate_limit=RateLimit(requests_per_second=2.5, burst=10),
)


def test_named_keys_come_back_as_they_were(store: KeyStore) -> None:
    old = store.ensure("iris")
    new = store.change("iris", partial(with_named, name="ann", named=CONSUMER))
    assert new == Keys(old.primary_key, old.secondary_key, {"ann": CONSUMER}) == store.read("iris")
    assert store.hashes("iris").named[0].expires_at_s == CONSUMER.expires_at.timestamp()
    assert json.loads((store.folder / "iris.json").read_text())["namedKeys"] == {
        "ann": {
            "key": "the-key-of-one-consumer",
            "expiresAt": "2027-01-31T00:00:00Z",
            "rateLimit": {"requestsPerSecond": 2.5, "burst": 10},
        }
    }
    assert regenerate(store, "primary").named_keys == {"ann": CONSUMER}
    assert store.change("iris", partial(without_named, name="ann")).named_keys == {}


def test_a_file_of_two_keys_is_read_and_grows(store: KeyStore) -> None:
    store.ensure("iris")
    text = b'{"primaryKey":"0123456789abcdef","secondaryKey":"fedcba9876543210"}\n'
    (store.folder / "iris.json").write_bytes(text)
    assert store.read("iris") == Keys("0123456789abcdef", "fedcba9876543210")
    assert store.change("iris", lambda keys: keys).version == store.read("iris").version
    assert (store.folder / "iris.json").read_bytes() == text


@pytest.mark.parametrize("error", [BadKey, NoSuchKey, RuntimeError])
def test_a_change_that_fails_changes_nothing_and_bars_nobody(store: KeyStore, error: type[Exception]) -> None:
    old = store.ensure("iris")

    def change(_: Keys) -> Keys:
        raise error

    with pytest.raises(error):
        store.change("iris", change)
    with pytest.raises(BadKey, match="secondary key"):
        store.change("iris", lambda keys: Keys(keys.primary_key, "short"))
    assert store.ensure("iris") == old


@pytest.mark.parametrize(
    ("mode", "also_accepts", "has_keys"),
    [
        ("key", (), True),
        ("token", ("key",), True),
        ("token", (), False),
        ("jwt", ("token",), False),
        ("none", (), False),
    ],
)
def test_who_takes_keys_gets_some(store: KeyStore, mode: Any, also_accepts: Any, has_keys: bool) -> None:
    endpoint = Endpoint(name="iris", auth_mode=mode, also_accepts=also_accepts, deployments=())
    assert (store.keyed(endpoint).keys is not None) == has_keys == store.folder.exists()
    assert store.keyed(endpoint).keys == (store.hashes("iris") if has_keys else None)


def test_a_full_disk_leaves_the_keys_that_there_are(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    old = store.ensure("iris")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(PlatformError, match="No space left on device"):
            regenerate(store, "primary")
    assert store.read("iris") == old
    assert sorted(path.name for path in store.folder.iterdir()) == [".lock", "iris.json"]


def replace_often(state_dir: Path, which: Literal["primary", "secondary"], start: Barrier) -> None:
    """Nobody else replaces this key, so it must be there still when its turn comes again."""
    store = KeyStore(state_dir)
    mine = getattr(store.read("iris"), f"{which}_key")
    start.wait()
    for number in range(200):
        assert getattr(store.read("iris"), f"{which}_key") == mine
        mine = f"{which}-key-number-{number}"
        regenerate(store, which, mine)


def test_two_processes_lose_no_update(tmp_path: Path) -> None:
    """Without the lock, one writes back what the other has just replaced."""
    KeyStore(tmp_path).ensure("iris")
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(2)
    processes = [
        spawn.Process(target=replace_often, args=(tmp_path, which, start)) for which in ("primary", "secondary")
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
        process.close()
    keys = KeyStore(tmp_path).read("iris")
    assert (keys.primary_key, keys.secondary_key) == ("primary-key-number-199", "secondary-key-number-199")
