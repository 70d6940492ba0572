"""gate.py: who may pass, by which credential, and how often tokens are verified."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from router.core.auth import Caller, digest
from router.core.claims import Verified
from router.core.errors import Forbidden, NotFound, TooManyRequests, Unauthorized, Unavailable
from router.core.model import AuthMode, Endpoint, JwtSettings, KeyHashes, NamedHash, RateLimit
from tests.core.nouns import PRIMARY, SECONDARY, an_endpoint
from tests.gates import NOW_S, Gated, unsigned

ISSUER = "https://issuer.example"
JWT = JwtSettings(issuer=ISSUER, audiences=("iris",))
OURS, THEIRS = unsigned("scoregate"), unsigned(ISSUER)


def opening(mode: AuthMode, *others: AuthMode, named: tuple[NamedHash, ...] = (), **settings: Any) -> Endpoint:
    """The endpoint `iris`, with the keys of the tests where it takes keys."""
    plain = an_endpoint(auth_mode=mode, has_keys="key" in (mode, *others))
    if plain.keys is not None:
        settings = {"keys": KeyHashes(plain.keys.primary, plain.keys.secondary, named)} | settings
    if "jwt" in (mode, *others):
        settings = {"jwt": JWT} | settings
    return replace(plain, also_accepts=others, **settings)


def batch(**settings: Any) -> NamedHash:
    return NamedHash(name="batch", digest=digest(b"key-of-batch"), **settings)


def bearer(credential: str | bytes) -> bytes:
    return b"Bearer " + (credential.encode() if isinstance(credential, str) else credential)


def enter(gated: Gated, credential: str | bytes, name: str = "iris") -> Caller:
    """Whoever comes with the credential, now and without waiting."""
    caller = gated.gate.check(Endpoint(name=name, deployments=()), bearer(credential))
    assert caller is not None
    return caller


def refused(gated: Gated, credential: str | bytes) -> str:
    with pytest.raises(Unauthorized) as failure:
        enter(gated, credential)
    return failure.value.message


# -- keys ----------------------------------------------------------------------------------------------------


def test_each_key_is_a_consumer_of_its_own() -> None:
    gated = Gated(opening("key", named=(batch(),)))
    assert [enter(gated, key).consumer for key in (PRIMARY, SECONDARY, "key-of-batch")] == [
        "primary",
        "secondary",
        "batch",
    ]
    assert refused(gated, "wrong") == "The key is not one of endpoint iris's."
    assert enter(gated, PRIMARY) is enter(gated, PRIMARY)


@pytest.mark.parametrize("authorization", [None, b"", b"Bearer wrong", b"Basic eDp5", b"\xff", b"Bearer " + THEIRS])
def test_mode_none_wants_nothing_and_minds_nothing(authorization: bytes | None) -> None:
    gated = Gated(opening("none"))
    caller = gated.gate.check(opening("none"), authorization)
    assert caller is not None
    assert caller.consumer == ""


def test_an_expired_key_is_refused_and_told_so() -> None:
    gated = Gated(opening("key", named=(batch(expires_at_s=NOW_S),)))
    gated.now_s = NOW_S - 0.001
    assert enter(gated, "key-of-batch").consumer == "batch"
    gated.now_s = NOW_S
    assert refused(gated, "key-of-batch") == "Key batch of endpoint iris has expired."
    assert enter(gated, PRIMARY).consumer == "primary"


def test_keys_of_one_endpoint_do_not_open_another() -> None:
    other = replace(opening("key"), name="rose", keys=KeyHashes(digest(b"one"), digest(b"two")))
    gated = Gated(opening("key"), other)
    assert enter(gated, "one", "rose").consumer == "primary"
    assert refused(gated, "one") == "The key is not one of endpoint iris's."


def test_keys_do_not_open_where_only_tokens_are_taken() -> None:
    keys = opening("key").keys
    gated = Gated(opening("token", keys=keys))
    assert refused(gated, PRIMARY) == "Endpoint iris wants a token."
    assert gated.own.asked == 0


def test_a_key_that_was_replaced_is_refused_from_that_snapshot_on() -> None:
    gated = Gated(opening("key"))
    gated.gate.follow((opening("key", keys=KeyHashes(digest(b"fresh"), digest(SECONDARY.encode()))),))
    assert [enter(gated, key).consumer for key in ("fresh", SECONDARY)] == ["primary", "secondary"]
    assert refused(gated, PRIMARY) == "The key is not one of endpoint iris's."


# -- consumers: counts and limits ------------------------------------------------------------------------------


def test_a_consumer_keeps_its_count_while_its_key_changes_and_is_forgotten_with_it() -> None:
    gated = Gated(opening("key", named=(batch(),)))
    enter(gated, PRIMARY).count(200)
    enter(gated, "key-of-batch").count(404)
    fresh = KeyHashes(digest(b"fresh"), digest(b"other"), (batch(),))
    gated.gate.follow((opening("key", keys=fresh),))
    counted = {caller.consumer: caller.requests for name, caller in gated.gate.callers() if name == "iris"}
    assert counted == {"primary": {200: 1}, "secondary": {}, "batch": {404: 1}}
    gated.gate.follow((opening("key"),))
    assert {caller.consumer for _, caller in gated.gate.callers()} == {"primary", "secondary"}
    gated.gate.follow(())
    assert list(gated.gate.callers()) == []


def limited(rate: float, burst: int | None = None) -> Endpoint:
    return opening("key", named=(batch(rate_limit=RateLimit(requests_per_second=rate, burst=burst)),))


def test_a_bucket_stays_as_it_is_while_its_limit_is_the_same() -> None:
    gated = Gated(limited(1.0))
    enter(gated, "key-of-batch").admit("iris", 0.0)
    gated.gate.follow((replace(limited(1.0), max_payload_bytes=5),))
    with pytest.raises(TooManyRequests):
        enter(gated, "key-of-batch").admit("iris", 0.5)
    gated.gate.follow((limited(1.0, 2),))
    enter(gated, "key-of-batch").admit("iris", 0.5)
    enter(gated, "key-of-batch").admit("iris", 0.5)
    gated.gate.follow((opening("key", named=(batch(),)),))
    assert enter(gated, "key-of-batch").bucket is None


# -- tokens ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "token", "judge"),
    [
        (opening("token"), OURS, "own"),
        (opening("token"), THEIRS, "own"),
        (opening("jwt"), THEIRS, "issuers"),
        (opening("jwt"), OURS, "issuers"),
        (opening("jwt", "token"), OURS, "own"),
        (opening("token", "jwt"), THEIRS, "issuers"),
        (opening("key", "jwt", "token"), THEIRS, "issuers"),
        (opening("key", "token"), OURS, "own"),
    ],
)
def test_a_token_goes_to_whom_it_concerns(endpoint: Endpoint, token: bytes, judge: str) -> None:
    gated = Gated(endpoint)
    verifier = {"own": gated.own, "issuers": gated.issuers}[judge]
    verifier.take(token)
    assert enter(gated, token).consumer == {"own": "token", "issuers": "jwt"}[judge]
    assert (gated.own.asked, gated.issuers.asked) == ((1, 0) if judge == "own" else (0, 1))


def test_where_only_keys_are_taken_a_token_is_not_even_looked_at() -> None:
    gated = Gated(opening("key"))
    gated.own.take(OURS)
    gated.issuers.take(THEIRS)
    assert refused(gated, OURS) == refused(gated, THEIRS) == "Endpoint iris wants a key, not a token."
    assert gated.own.asked == gated.issuers.asked == 0


def test_keys_and_tokens_open_an_endpoint_together() -> None:
    gated = Gated(opening("key", "token", named=(batch(),)))
    gated.own.take(OURS)
    assert [enter(gated, each).consumer for each in (PRIMARY, OURS, "key-of-batch")] == ["primary", "token", "batch"]
    assert refused(gated, "wrong") == "The credential is neither a key of endpoint iris nor a token."


def test_a_token_with_odd_parts_is_refused_where_it_is_not_clear_whose_it_is() -> None:
    gated = Gated(opening("jwt", "token"))
    for token in (b"..", b"a.b.c", b"\xff.\xff.\xff", OURS[:-1] + b"\n", b"e30.e30.e30"):
        assert refused(gated, token).startswith("The token is refused")
    assert gated.gate.known_tokens == 0


def test_a_token_is_verified_once_until_it_expires() -> None:
    gated = Gated(opening("token"))
    gated.own.take(OURS, expires_at_s=NOW_S + 60)
    for _ in range(5):
        enter(gated, OURS)
    assert gated.own.asked == 1
    assert gated.gate.verifications == {"cached": 4, "verified": 1, "refused": 0}
    gated.now_s = NOW_S + 59.9
    enter(gated, OURS)
    assert gated.own.asked == 1
    gated.now_s = NOW_S + 60
    del gated.own.good[OURS]
    refused(gated, OURS)
    assert gated.own.asked == 2
    assert gated.gate.known_tokens == 0
    assert gated.gate.verifications == {"cached": 5, "verified": 1, "refused": 1}


def test_a_token_that_passes_by_the_clock_skew_alone_is_not_kept() -> None:
    gated = Gated(opening("jwt"))
    gated.issuers.take(THEIRS, expires_at_s=NOW_S)
    enter(gated, THEIRS)
    enter(gated, THEIRS)
    assert (gated.issuers.asked, gated.gate.known_tokens) == (2, 0)


def test_a_token_that_is_known_at_one_endpoint_is_a_new_one_at_another() -> None:
    gated = Gated(opening("token"), replace(opening("token"), name="rose"))
    gated.own.take(OURS)
    enter(gated, OURS)
    gated.own.bad[OURS] = Forbidden("The token is good, but for iris.")
    with pytest.raises(Forbidden):
        enter(gated, OURS, "rose")
    assert gated.gate.verifications["refused"] == 1
    assert enter(gated, OURS).consumer == "token"


def test_bad_tokens_are_not_kept() -> None:
    gated = Gated(opening("token"))
    for number in range(100):
        refused(gated, unsigned("scoregate", jti=str(number)))
    assert gated.gate.known_tokens == 0
    assert gated.gate.verifications["refused"] == 100


@pytest.mark.parametrize(
    "changed",
    [
        opening("jwt", jwt=replace(JWT, audiences=("rose",))),
        opening("jwt", jwt=replace(JWT, required_scopes=("score",))),
        opening("jwt", jwt=replace(JWT, required_claims={"roles": ("scorer",)})),
        opening("jwt", jwt=replace(JWT, issuer="https://other.example")),
        opening("jwt", jwt=replace(JWT, algorithms=("ES256",))),
        opening("jwt", "token"),
    ],
)
def test_a_token_is_verified_anew_once_the_endpoint_asks_something_else(changed: Endpoint) -> None:
    gated = Gated(opening("jwt"))
    gated.issuers.take(THEIRS)
    enter(gated, THEIRS)
    gated.gate.follow((changed,))
    gated.issuers.bad[THEIRS] = Forbidden("The token is good, but lacks something.")
    with pytest.raises(Forbidden):
        enter(gated, THEIRS)
    gated.gate.follow((opening("jwt"),))
    with pytest.raises(Forbidden):
        enter(gated, THEIRS)


def test_a_token_stays_known_while_something_else_changes() -> None:
    gated = Gated(opening("key", "jwt"))
    gated.issuers.take(THEIRS)
    enter(gated, THEIRS)
    fresh = KeyHashes(digest(b"fresh"), digest(b"other"))
    gated.gate.follow((opening("key", "jwt", keys=fresh, max_payload_bytes=9, jwt=replace(JWT)),))
    enter(gated, THEIRS)
    assert gated.issuers.asked == 1


def test_an_endpoint_that_takes_no_tokens_any_more_takes_none_that_was_known() -> None:
    gated = Gated(opening("key", "token"))
    gated.own.take(OURS)
    enter(gated, OURS)
    gated.gate.follow((opening("key"),))
    assert refused(gated, OURS) == "Endpoint iris wants a key, not a token."
    gated.gate.follow(())
    gated.gate.follow((opening("key", "token"),))
    enter(gated, OURS)
    assert gated.own.asked == 2


@pytest.mark.parametrize("whose", ["own", "issuers"])
def test_a_token_is_verified_anew_once_a_key_is_gone(whose: str) -> None:
    gated = Gated(opening("jwt", "token"))
    verifier, token = (gated.own, OURS) if whose == "own" else (gated.issuers, THEIRS)
    verifier.take(token)
    enter(gated, token)
    for other in (gated.own, gated.issuers):
        other.generation += other is not verifier
    enter(gated, token)
    assert verifier.asked == 1, "nobody else's"
    verifier.generation += 1
    enter(gated, token)
    enter(gated, token)
    assert verifier.asked == 2
    verifier.generation += 1
    del verifier.good[token]
    refused(gated, token)


def test_a_token_that_was_revoked_is_refused_from_then_on_and_costs_no_arithmetic() -> None:
    gated = Gated(opening("token"))
    token, other = unsigned("scoregate", jti="1"), unsigned("scoregate", jti="2")
    gated.own.take(token, token_id="1")
    gated.own.take(other, token_id="2")
    enter(gated, token)
    enter(gated, other)
    gated.revocations.revoke("1")
    for _ in range(3):
        assert refused(gated, token) == "The token has been revoked."
        assert enter(gated, other).consumer == "token"
    assert gated.own.asked == 2, "revocations are looked at, signatures are not"
    assert gated.revocations.asked == 2 + 3 + 1, "a good one is looked for once after a change"


def test_a_token_that_was_revoked_before_it_came_is_refused() -> None:
    gated = Gated(opening("jwt"))
    gated.issuers.take(THEIRS, token_id="1")
    gated.revocations.revoke("1")
    assert refused(gated, THEIRS) == refused(gated, THEIRS) == "The token has been revoked."
    assert gated.gate.known_tokens == 0


# -- keys that have to be fetched ------------------------------------------------------------------------------


def hide(gated: Gated, token: bytes) -> None:
    verifier = gated.own if token == OURS else gated.issuers
    verifier.hidden[token] = Verified("somebody", "", NOW_S, NOW_S + 60)


@pytest.mark.parametrize("token", [OURS, THEIRS])
@pytest.mark.parametrize("late", [0, 1])
async def test_who_brings_a_token_of_an_unknown_key_waits_for_the_keys(token: bytes, late: int) -> None:
    endpoint = opening("jwt", "token")
    gated = Gated(endpoint)
    hide(gated, token)
    verifier, other = (gated.own, gated.issuers) if token == OURS else (gated.issuers, gated.own)
    verifier.late = late
    assert gated.gate.check(endpoint, bearer(token)) is None
    caller = await gated.gate.verify(endpoint, bearer(token))
    assert caller is enter(gated, token)
    assert (verifier.fetched, other.fetched) == (1 + late, 0)
    assert gated.gate.verifications == {"cached": 1, "verified": 1, "refused": 0}


async def test_a_key_that_does_not_come_is_not_waited_for_for_ever() -> None:
    endpoint = opening("jwt")
    gated = Gated(endpoint)
    hide(gated, THEIRS)
    gated.issuers.late = 99
    with pytest.raises(Unauthorized):
        await gated.gate.verify(endpoint, bearer(THEIRS))
    assert gated.issuers.fetched == 2
    assert gated.gate.verifications["refused"] == 1


async def test_an_issuer_whose_keys_were_never_had_is_503() -> None:
    endpoint = opening("jwt")
    gated = Gated(endpoint)
    hide(gated, THEIRS)

    def fail() -> None:
        raise Unavailable("The keys are not known yet.")

    gated.issuers.meanwhile = fail
    with pytest.raises(Unavailable):
        await gated.gate.verify(endpoint, bearer(THEIRS))


async def test_an_endpoint_that_goes_while_keys_are_fetched_is_not_found() -> None:
    endpoint = opening("jwt")
    gated = Gated(endpoint)
    hide(gated, THEIRS)
    gated.issuers.meanwhile = lambda: gated.gate.follow(())
    with pytest.raises(NotFound):
        await gated.gate.verify(endpoint, bearer(THEIRS))


async def test_what_an_endpoint_asks_by_then_counts() -> None:
    endpoint = opening("jwt")
    gated = Gated(endpoint)
    hide(gated, THEIRS)
    gated.issuers.meanwhile = lambda: gated.gate.follow((opening("key"),))
    with pytest.raises(Unauthorized, match="wants a key"):
        await gated.gate.verify(endpoint, bearer(THEIRS))


def test_verifiers_are_told_which_endpoints_there_are_when_these_change() -> None:
    gated = Gated(opening("jwt"))
    gated.gate.follow((opening("jwt"),))
    gated.gate.follow((opening("key"),))
    assert gated.own.followed == gated.issuers.followed == [(opening("jwt"),), (opening("key"),)]


def test_what_can_not_be_followed_changes_nothing_and_is_tried_again() -> None:
    gated = Gated(opening("key"))
    for _ in range(2):
        with pytest.raises(OverflowError):
            gated.gate.follow((limited(float("inf")),))
        assert enter(gated, PRIMARY).consumer == "primary"
    gated.gate.follow((limited(1.0),))
    assert enter(gated, "key-of-batch").consumer == "batch"
