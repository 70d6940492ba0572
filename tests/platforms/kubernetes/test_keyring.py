"""keyring.py: what opens an endpoint while Secrets come, go wrong, and go."""

from __future__ import annotations

from typing import Any

from router.core.auth import hashed
from router.core.model import AuthMode, Endpoint
from router.platforms.kubernetes.picture.keyring import Keyring, secret_of
from tests.platforms.kubernetes.nouns import PRIMARY, SECONDARY, a_secret

HASHES = hashed(PRIMARY, SECONDARY)


def an_endpoint(name: str = "iris", auth_mode: AuthMode = "key", **more: Any) -> Endpoint:
    return Endpoint(name=name, auth_mode=auth_mode, deployments=(), **more)


def test_the_secret_has_the_name_that_was_given_or_one_after_the_endpoint() -> None:
    assert secret_of(an_endpoint()) == "iris-keys"
    assert secret_of(an_endpoint("Iris")) == "iris-keys", "names of objects have no upper case"
    assert secret_of(an_endpoint(keys_secret="mine")) == "mine"
    assert secret_of(an_endpoint(auth_mode="none", keys_secret="mine")) == ""


def test_the_secret_of_the_endpoints_own_namespace_opens_it() -> None:
    keyring = Keyring()
    keyring.put("models/iris-keys", a_secret("iris-keys"))
    held = keyring.held("models", an_endpoint())
    assert (held.state, held.hashes, held.problem) == ("ready", HASHES, "")
    assert keyring.held("others", an_endpoint()).state == "missing"
    assert keyring.held("models", an_endpoint("rose")).state == "missing"
    assert keyring.held("models", an_endpoint(auth_mode="none")).state == "unused"


def test_an_endpoint_that_takes_keys_beside_tokens_has_some() -> None:
    keyring = Keyring()
    keyring.put("models/iris-keys", a_secret("iris-keys"))
    both = an_endpoint(auth_mode="token", also_accepts=("key",))
    assert (secret_of(both), keyring.held("models", both).state) == ("iris-keys", "ready")
    alone = an_endpoint(auth_mode="token")
    assert (secret_of(alone), keyring.held("models", alone).state) == ("", "unused")


def test_a_bad_named_key_leaves_all_of_the_last_keys_in_force() -> None:
    keyring = Keyring()
    keyring.put("models/iris-keys", a_secret("iris-keys", more={"named.team-a": b'{"key": "0123456789abcdef"}'}))
    before = keyring.held("models", an_endpoint()).hashes
    assert before is not None
    assert [each.name for each in before.named] == ["team-a"]
    keyring.put("models/iris-keys", a_secret("iris-keys", "another-key-of-the-tests", more={"named.team-a": b"?"}))
    held = keyring.held("models", an_endpoint())
    assert (held.state, held.hashes) == ("bad", before)
    assert "named.team-a" in held.problem


def test_a_rotated_key_opens_at_once() -> None:
    keyring = Keyring()
    keyring.put("models/iris-keys", a_secret("iris-keys"))
    keyring.put("models/iris-keys", a_secret("iris-keys", "another-key-of-the-tests"))
    assert keyring.held("models", an_endpoint()).hashes == hashed("another-key-of-the-tests", SECONDARY)


def test_one_that_says_nothing_usable_leaves_the_last_keys_in_force() -> None:
    keyring = Keyring()
    keyring.put("models/iris-keys", a_secret("iris-keys", "short"))
    assert keyring.held("models", an_endpoint()).hashes is None
    keyring.put("models/iris-keys", a_secret("iris-keys"))
    for _ in range(2):
        keyring.put("models/iris-keys", a_secret("iris-keys", "short"))
        held = keyring.held("models", an_endpoint())
        assert (held.state, held.hashes) == ("bad", HASHES)
        assert "iris-keys in namespace models has a primaryKey of 5 bytes" in held.problem


def test_one_that_is_gone_opens_nothing_and_is_not_remembered() -> None:
    keyring = Keyring()
    keyring.put("models/iris-keys", None)
    keyring.put("models/iris-keys", a_secret("iris-keys"))
    keyring.put("models/iris-keys", None)
    held = keyring.held("models", an_endpoint())
    assert (held.state, held.hashes) == ("missing", None)
    keyring.put("models/iris-keys", a_secret("iris-keys", "short"))
    assert keyring.held("models", an_endpoint()).hashes is None


def test_no_key_can_be_found_in_it() -> None:
    keyring = Keyring()
    keyring.put("models/iris-keys", a_secret("iris-keys"))
    keyring.put("models/rose-keys", a_secret("rose-keys", "a-short-key"))
    shown = repr(vars(keyring))
    assert not any(key in shown for key in (PRIMARY, SECONDARY, "a-short-key"))
