"""Which tokens are taken back, by time and by id, and for how long is that remembered?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core import revoked
from router.core.claims import Verified
from router.core.revoked import (
    KEPT_S,
    MOST_BYTES,
    MOST_IDS,
    STEP_S,
    Revoked,
    Table,
    TooMany,
    all_revoked,
    decoded,
    encoded,
    is_revoked,
    issued_at_s,
    one_revoked,
)
from router.core.signing import CLOCK_SKEW_S

NOW_S = 1_800_000_000.25
DAY_S = 86_400.0


def a_token(issued_at_s: float = NOW_S, token_id: str = "one", expires_at_s: float = NOW_S + DAY_S) -> Verified:
    return Verified("somebody", token_id, issued_at_s, expires_at_s)


def test_without_a_word_nothing_is_revoked() -> None:
    assert not is_revoked({}, "iris", a_token())
    assert not is_revoked({"iris": Revoked()}, "iris", a_token(issued_at_s=0.0))


def test_all_that_was_issued_is_revoked_of_this_endpoint_alone() -> None:
    table = all_revoked({}, "iris", NOW_S)
    assert is_revoked(table, "iris", a_token(NOW_S))
    assert is_revoked(table, "iris", a_token(NOW_S - DAY_S))
    assert not is_revoked(table, "other", a_token(NOW_S))


def test_a_token_that_does_not_say_when_it_was_issued_counts_as_issued_before() -> None:
    assert is_revoked(all_revoked({}, "iris", NOW_S), "iris", a_token(issued_at_s=0.0))


def test_a_token_of_a_clock_that_is_ahead_is_revoked_too() -> None:
    assert is_revoked(all_revoked({}, "iris", NOW_S), "iris", a_token(NOW_S + CLOCK_SKEW_S))
    assert not is_revoked(all_revoked({}, "iris", NOW_S), "iris", a_token(NOW_S + CLOCK_SKEW_S + STEP_S))


def test_a_token_of_our_own_says_when_it_is_issued_to_the_millisecond() -> None:
    assert issued_at_s({}, "iris", NOW_S + 0.0001) == NOW_S
    assert issued_at_s({"iris": Revoked(NOW_S - DAY_S)}, "iris", NOW_S) == NOW_S


clocks = st.floats(-CLOCK_SKEW_S / 2, CLOCK_SKEW_S / 2)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 2), clocks), max_size=30))
def test_revoking_all_hits_exactly_the_tokens_that_were_issued_before(story: list[tuple[bool, float, float]]) -> None:
    """However soon after each other, and by whichever clock each is done."""
    table: Table = {}
    now_s = NOW_S
    dead: list[Verified] = []
    alive: list[Verified] = []
    for revokes, pause_s, clock_s in story:
        now_s += pause_s
        if revokes:
            table = decoded(encoded(all_revoked(table, "iris", now_s + clock_s)))
            dead, alive = dead + alive, []
        else:
            alive.append(a_token(issued_at_s(table, "iris", now_s + clock_s)))
        assert all(is_revoked(table, "iris", token) for token in dead)
        assert not any(is_revoked(table, "iris", token) for token in alive)


def test_one_token_is_revoked_alone() -> None:
    table = one_revoked({}, "iris", "one", NOW_S + DAY_S, NOW_S)
    assert is_revoked(table, "iris", a_token(token_id="one"))
    assert not is_revoked(table, "iris", a_token(token_id="two"))
    assert not is_revoked(table, "other", a_token(token_id="one"))


def test_a_token_without_an_id_is_not_the_one() -> None:
    assert not is_revoked(one_revoked({}, "iris", "one", NOW_S + DAY_S, NOW_S), "iris", a_token(token_id=""))


def test_an_id_is_forgotten_once_its_token_is_over_for_whoever_takes_it() -> None:
    table = one_revoked({}, "iris", "one", NOW_S + DAY_S, NOW_S)
    over_s = NOW_S + DAY_S + KEPT_S
    assert "one" in one_revoked(table, "iris", "two", over_s, over_s - 1)["iris"].ids
    assert "one" not in one_revoked(table, "iris", "two", over_s, over_s)["iris"].ids
    assert "iris" not in one_revoked(table, "other", "two", over_s, over_s)
    assert all_revoked(table, "iris", over_s)["iris"].ids == {}
    assert "iris" not in all_revoked(table, "other", over_s)


def test_revoked_again_it_stays_revoked_for_the_longer_time() -> None:
    table = one_revoked({}, "iris", "one", NOW_S + DAY_S, NOW_S)
    assert one_revoked(table, "iris", "one", NOW_S, NOW_S)["iris"].ids == {"one": NOW_S + DAY_S}


def test_the_two_ways_leave_each_other_alone() -> None:
    table = one_revoked(all_revoked({}, "iris", NOW_S), "iris", "one", NOW_S + DAY_S, NOW_S)
    table = all_revoked(all_revoked(table, "iris", NOW_S + 60), "other", NOW_S)
    assert table["iris"] == Revoked(NOW_S + 60 + CLOCK_SKEW_S, {"one": NOW_S + DAY_S})


def test_a_table_is_never_changed_in_place() -> None:
    table = one_revoked({}, "iris", "one", NOW_S + DAY_S, NOW_S)
    before = encoded(table)
    one_revoked(table, "iris", "two", NOW_S + DAY_S, NOW_S)
    all_revoked(table, "iris", NOW_S)
    assert encoded(table) == before


@pytest.mark.parametrize("token_id", ["", "x" * 256, "a\nb", "\0"])
def test_what_is_no_id_is_refused(token_id: str) -> None:
    with pytest.raises(ValueError, match="1 to 255 printable characters"):
        one_revoked({}, "iris", token_id, NOW_S + DAY_S, NOW_S)


def test_the_number_of_ids_is_bounded_and_revoking_all_always_works() -> None:
    full: Table = {"iris": Revoked(None, {f"token-{n}": NOW_S + DAY_S for n in range(MOST_IDS)})}
    with pytest.raises(TooMany, match=r"10,000 tokens of iris .* revoke all tokens of iris instead"):
        one_revoked(full, "iris", "one more", NOW_S + DAY_S, NOW_S)
    assert one_revoked(full, "iris", "token-7", NOW_S + 2 * DAY_S, NOW_S)["iris"].ids["token-7"] == NOW_S + 2 * DAY_S
    assert is_revoked(all_revoked(full, "iris", NOW_S), "iris", a_token())
    later_s = NOW_S + DAY_S + KEPT_S
    assert len(one_revoked(full, "iris", "one more", later_s + DAY_S, later_s)["iris"].ids) == 1


def test_what_all_ids_take_together_is_bounded() -> None:
    long = {f"{n:255}".replace(" ", "x"): NOW_S + DAY_S for n in range(2_500)}
    full: Table = {"iris": Revoked(None, long)}
    assert len(encoded(full)) < MOST_BYTES < 1.2 * len(encoded(full))
    for n in range(2_500, 3_000):
        long[f"{n:255}".replace(" ", "x")] = NOW_S + DAY_S
    with pytest.raises(TooMany, match="700,000 bytes"):
        one_revoked({"iris": Revoked(None, long)}, "other", "one", NOW_S + DAY_S, NOW_S)


def test_what_is_kept_is_plain_json() -> None:
    table = one_revoked(all_revoked({}, "iris", NOW_S), "iris", "one", NOW_S + DAY_S, NOW_S)
    assert encoded(table) == b'{"iris":{"issuedBefore":1800000005.25,"ids":{"one":1800086400.25}}}'
    assert decoded(encoded(table)) == table


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b'{"iris":null}',
        b'{"iris":{"issuedBefore":"now"}}',
        b'{"iris":{"issuedBefore":1e999}}',
        b'{"iris":{"ids":["one"]}}',
        b'{"iris":{"ids":{"one":null}}}',
        b'{"iris":{"until":1}}',
    ],
)
def test_what_is_no_table_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decoded(content)


def test_every_truncation_is_refused() -> None:
    content = encoded(one_revoked(all_revoked({}, "iris", NOW_S), "iris", "one", NOW_S + DAY_S, NOW_S))
    for length in range(len(content)):
        with pytest.raises(ValueError, match=r"."):
            revoked.decoded(content[:length])
