"""place.py: a router is found with its key, and the key is sent nowhere that others could read it on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from router.administrator.calls import AdministrationError
from router.administrator.place import Place, find, scoring_url
from router.platforms.local.state import StateDirectory, own_id
from tests.places import a_place, an_ended_place

KEY, OTHER = "key-in-the-state-directory", "another-key-of-the-tests"
HERE = "http://127.0.0.1:9001"


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    placed(tmp_path, HERE)
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "admin-key").write_text(f"{KEY}\n")
    return tmp_path


def placed(folder: Path, admin: str, public: str = "http://127.0.0.1:8080", **more: Any) -> None:
    StateDirectory(folder).write_router(a_place(admin, public, **more))


def refusal(*given: Path, **settings: object) -> str:
    with pytest.raises(AdministrationError) as caught:
        find(*given, **settings)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.status) == ("NoAccess", None)
    return caught.value.message


def test_a_state_directory_says_where_and_holds_the_key(state_dir: Path) -> None:
    assert find(state_dir) == Place(HERE, KEY)


def test_nobody_gets_the_key_where_a_router_was_that_has_ended(state_dir: Path) -> None:
    StateDirectory(state_dir).remove_router(own_id())
    StateDirectory(state_dir).write_router(an_ended_place(HERE))
    for given in ({}, {"key": OTHER}):
        assert refusal(state_dir, **given).startswith(f"No router runs in {state_dir}: start one")
    with pytest.raises(AdministrationError, match="No router runs"):
        scoring_url(state_dir)
    assert find(state_dir, url=HERE, key=OTHER) == Place(HERE, OTHER)


def test_of_several_the_first_that_lives_is_asked(state_dir: Path) -> None:
    state = StateDirectory(state_dir)
    placed(state_dir, HERE, id="another", index=1)
    state.write_router(a_place("http://127.0.0.1:9005", index=2))
    assert find(state_dir).url == HERE
    state.remove_router("another")
    assert find(state_dir).url == "http://127.0.0.1:9005"


def test_another_key_may_be_given_and_the_key_itself_is_stronger_than_its_file(state_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(OTHER)
    assert find(state_dir, key_file=file).key == OTHER
    assert find(state_dir, key=KEY[::-1], key_file=file).key == KEY[::-1]
    assert find(state_dir, url="http://[::1]:1/", key=OTHER) == Place("http://[::1]:1", OTHER)


def test_the_key_of_a_state_directory_is_sent_to_no_other_url(state_dir: Path) -> None:
    message = refusal(state_dir, url="http://127.0.0.1:7777")
    assert "needs its key: SCOREGATE_ADMIN_KEY or --admin-key-file" in message
    assert "kubectl get secret" in message


@pytest.mark.parametrize(
    ("listens", "reached"),
    [
        ("http://0.0.0.0:9001", HERE),
        ("http://[::]:9001", "http://[::1]:9001"),
        ("https://0.0.0.0:9001", "https://127.0.0.1:9001"),
        ("https://10.0.0.5:9001", "https://10.0.0.5:9001"),
    ],
)
def test_who_listens_everywhere_is_reached_on_loopback(state_dir: Path, listens: str, reached: str) -> None:
    placed(state_dir, listens, public=listens)
    assert find(state_dir).url == scoring_url(state_dir) == reached


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.5:9001",
        "http://scoregate.example:9001",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "http://[2001:db8::1]:9001",
        "HTTP://10.0.0.5",
        "http://0.0.0.0:1",
    ],
)
def test_over_plain_http_the_key_goes_to_this_machine_only(state_dir: Path, url: str) -> None:
    assert "over plain HTTP, anybody on the way could read it" in refusal(state_dir, url=url, key=KEY)


def test_the_rule_counts_for_a_router_that_says_where_it_is_too(state_dir: Path) -> None:
    placed(state_dir, "http://10.0.0.5:9001")
    assert "over plain HTTP" in refusal(state_dir)


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://127.8.8.8", "http://[::1]:9001", "https://router.example"]
)
def test_where_nobody_is_on_the_way_or_can_read_it(state_dir: Path, url: str) -> None:
    assert find(state_dir, url=url, key=KEY).url == url


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:9001",
        "ftp://127.0.0.1",
        "http://",
        "http://a:x",
        "http://[::1",
        "http://u:p@localhost",
        "http://localhost/?a",
    ],
)
def test_what_is_no_url(state_dir: Path, url: str) -> None:
    assert f"The internal port is {url!r}, but it must be a URL" in refusal(state_dir, url=url, key=KEY)


def test_without_a_router_the_message_says_what_to_do(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    assert message.startswith(f"No router runs in {tmp_path}: start one with `scoregate up FILE`.")
    assert "kubectl port-forward" in message
    with pytest.raises(AdministrationError, match="No router runs"):
        scoring_url(tmp_path)
    (tmp_path / "routers").mkdir()
    (tmp_path / "routers" / "1-1.json").write_text("{")
    assert refusal(tmp_path) == message


def test_a_key_that_can_not_be_read_names_the_file(state_dir: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert f"{missing}: No such file" in refusal(state_dir, key_file=missing)
    (state_dir / "vault" / "admin-key").unlink()
    assert f"{state_dir / 'vault' / 'admin-key'}: No such file" in refusal(state_dir)


@pytest.mark.parametrize(
    "text", ["", "short", "a key with spaces in it", "k" * 257, "schlüssel-aus-versehen", "k" * 5_000]
)
def test_what_is_no_key_is_not_sent_and_not_quoted(state_dir: Path, text: str) -> None:
    (state_dir / "vault" / "admin-key").write_text(text)
    for message in (refusal(state_dir), refusal(state_dir, key=text or "x")):
        assert "16 to 256 printable ASCII characters" in message
        assert not text or text not in message


def test_the_key_is_not_in_a_repr(state_dir: Path) -> None:
    assert KEY not in repr(find(state_dir))
