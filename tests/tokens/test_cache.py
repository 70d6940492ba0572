"""cache.py: what is known of tokens, and how much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.core.auth import Caller, digest
from router.core.claims import Verified
from router.core.tally import Memory
from router.tokens.cache import MOST, Known, KnownTokens
from tests.gates import Verifier

TOKEN = Caller(Memory(), "iris", "token")


def known(expires_at_s: float = 100.0) -> Known:
    return Known(TOKEN, Verified("sub", "id", 0.0, expires_at_s), "grounds", Verifier(), 1, 1)


def test_a_token_is_known_at_its_own_endpoint_only() -> None:
    tokens, one = KnownTokens(), known()
    tokens.keep("iris", digest(b"a"), one)
    assert tokens.get("iris", digest(b"a")) is one
    assert tokens.get("rose", digest(b"a")) is None
    assert tokens.get("iris", digest(b"b")) is None
    assert len(tokens) == 1


def test_what_is_kept_again_takes_the_others_place() -> None:
    tokens, newer = KnownTokens(), known(200.0)
    tokens.keep("iris", digest(b"a"), known())
    tokens.keep("iris", digest(b"a"), newer)
    assert tokens.get("iris", digest(b"a")) is newer
    assert len(tokens) == 1


def test_what_is_dropped_is_gone_and_what_is_not_there_may_be_dropped() -> None:
    tokens = KnownTokens()
    tokens.keep("iris", digest(b"a"), known())
    tokens.drop("rose", digest(b"a"))
    assert len(tokens) == 1
    tokens.drop("iris", digest(b"a"))
    assert tokens.get("iris", digest(b"a")) is None
    assert len(tokens) == 0


def test_the_one_that_was_not_used_longest_goes_first() -> None:
    tokens = KnownTokens(most=3)
    for name in (b"a", b"b", b"c"):
        tokens.keep("iris", digest(name), known())
    tokens.get("iris", digest(b"a"))
    tokens.keep("iris", digest(b"b"), known())
    tokens.keep("iris", digest(b"d"), known())
    assert [name for name in (b"a", b"b", b"c", b"d") if tokens.get("iris", digest(name))] == [b"a", b"b", b"d"]


@given(st.lists(st.tuples(st.sampled_from(["keep", "get", "drop"]), st.integers(0, 9)), max_size=80))
def test_it_is_a_least_recently_used_cache(steps: list[tuple[str, int]]) -> None:
    tokens, most = KnownTokens(most=4), 4
    model: list[int] = []
    for step, number in steps:
        name = digest(bytes([number]))
        if step == "get":
            assert (tokens.get("iris", name) is not None) == (number in model)
        if step == "drop":
            tokens.drop("iris", name)
        if step == "keep":
            tokens.keep("iris", name, known())
        if number in model:
            model.remove(number)
            if step != "drop":
                model.append(number)
        elif step == "keep":
            model.append(number)
        model = model[-most:]
        assert len(tokens) == len(model)


def test_it_is_bounded_by_itself() -> None:
    tokens = KnownTokens()
    for number in range(MOST + 10):
        tokens.keep("iris", number.to_bytes(32), known())
    assert len(tokens) == MOST
