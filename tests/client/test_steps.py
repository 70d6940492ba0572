"""steps.py: which credential is sent, when the next is fetched, and what happens while none can be had."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from router.administrator.calls import AdministrationError, Call
from router.administrator.shapes import EndpointView, KeysView, TokenV1
from router.client.scoring import Replied, ScoringError, Send
from router.client.steps import AGAIN_S, Credential, Renew, Steps, WebserviceSteps
from router.core.model import AuthMode

OK = Replied(200, {}, b'"scored"')
REFUSED = Replied(401, {"www-authenticate": "Bearer"}, b'{"error": {"code": "Unauthorized", "message": "no"}}')


class World:
    """Does the steps: a router, its administration and the time. `done` is what was asked, in short."""

    def __init__(self, mode: AuthMode = "key", *also: AuthMode, **given: Any) -> None:
        self.now_s = 1_000.0
        self.view = EndpointView(
            name="iris",
            auth_mode=mode,
            also_accepts=list(also),
            traffic={},
            traffic_version="1",
            deployments=[],
            scoring_path="/",
        )
        self.key = "key-1"
        self.token = 1
        self.accepted: set[str] | None = None
        """None: any."""
        self.refusal = REFUSED
        self.is_away = False
        self.done: list[str] = []
        settings = {"key": None, "token": None, "may_ask": True, **given}
        self.steps = WebserviceSteps("iris", clock=lambda: self.now_s, **settings)

    def score(self) -> Any:
        return self.run(self.steps.score({}, None))

    def run(self, steps: Steps[Any]) -> Any:
        try:
            step = next(steps)
            while True:
                try:
                    done = self.do(step)
                except AdministrationError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(done)
        except StopIteration as end:
            return end.value

    def do(self, step: Send | Call[Any] | Renew) -> Any:
        if isinstance(step, Send):
            credential = step.headers.get("authorization", "").removeprefix("Bearer ")
            self.done.append(f"send {credential}".strip())
            return OK if self.accepted is None or credential in self.accepted else self.refusal
        if isinstance(step, Renew):
            return self.run(self.steps.renewal(step.stale))
        self.done.append(f"{step.method} {step.path.rpartition('/')[2]}")
        if self.is_away:
            raise AdministrationError("away", code="Unreachable")
        if step.kind is EndpointView:
            return self.view
        if step.kind is KeysView:
            return KeysView(primary_key=self.key, secondary_key="key-2", version="1")
        return TokenV1(
            access_token=f"token-{self.token}",
            token_type="Bearer",
            refresh_after=int(self.now_s) + 100,
            expiry_on=int(self.now_s) + 200,
        )

    def taken(self) -> list[str]:
        done, self.done = self.done, []
        return done


@pytest.mark.parametrize("given", ["key", "token"])
def test_what_is_given_is_sent_and_nothing_is_fetched(given: str) -> None:
    world = World(**{given: "given"})
    assert world.score() == "scored"
    world.accepted = set()
    with pytest.raises(ScoringError, match="no"):
        world.score()
    assert world.taken() == ["send given"] * 2


def test_without_access_to_the_administration_nothing_is_sent_but_the_request() -> None:
    world = World(may_ask=False)
    assert world.score() == "scored"
    assert world.taken() == ["send"]


@pytest.mark.parametrize(
    ("modes", "fetched", "sent"),
    [
        (("key",), ["GET iris", "GET keys"], "send key-1"),
        (("key", "token"), ["GET iris", "GET keys"], "send key-1"),
        (("token", "key"), ["GET iris", "POST token?api=v1"], "send token-1"),
        (("jwt", "key"), ["GET iris", "GET keys"], "send key-1"),
        (("jwt", "key", "token"), ["GET iris", "POST token?api=v1"], "send token-1"),
        (("none",), ["GET iris"], "send"),
    ],
)
def test_what_the_endpoint_takes_is_fetched_once(modes: tuple[AuthMode, ...], fetched: list[str], sent: str) -> None:
    world = World(*modes)
    assert [world.score(), world.score()] == ["scored"] * 2
    assert world.taken() == [*fetched, sent, sent]


def test_a_token_of_somebody_elses_has_to_be_given() -> None:
    world = World("jwt")
    with pytest.raises(AdministrationError, match="tokens of its issuer") as caught:
        world.score()
    assert caught.value.code == "NoCredential"


def test_the_next_token_is_fetched_when_it_is_due() -> None:
    world = World("token")
    world.score()
    world.taken()
    world.now_s += 99
    world.score()
    assert world.taken() == ["send token-1"]
    world.now_s, world.token = world.now_s + 1, 2
    world.score()
    assert world.taken() == ["GET iris", "POST token?api=v1", "send token-2"]


def test_while_the_next_token_can_not_be_had_the_present_one_is_sent_until_its_end() -> None:
    world = World("token")
    world.score()
    world.is_away = True
    world.now_s += 100
    world.taken()
    world.score()
    world.score()
    assert world.taken() == ["GET iris", "send token-1", "send token-1"]
    world.now_s += AGAIN_S
    world.score()
    assert world.taken() == ["GET iris", "send token-1"]
    world.now_s = 1_200
    with pytest.raises(AdministrationError, match="away"):
        world.score()
    world.is_away, world.token = False, 2
    world.score()
    assert world.taken()[-1] == "send token-2"


def test_a_first_credential_that_can_not_be_had_is_an_error_and_asked_for_again() -> None:
    world = World()
    world.is_away = True
    for _ in range(2):
        with pytest.raises(AdministrationError, match="away"):
            world.score()
    world.is_away = False
    assert world.score() == "scored"


def test_a_key_that_was_regenerated_is_fetched_and_the_request_sent_again() -> None:
    world = World()
    world.score()
    world.key, world.accepted = "key-3", {"key-3"}
    world.taken()
    assert world.score() == "scored"
    assert world.taken() == ["send key-1", "GET iris", "GET keys", "send key-3"]
    world.score()
    assert world.taken() == ["send key-3"]


def test_a_refusal_of_the_key_that_counts_stands() -> None:
    world = World()
    world.accepted = set()
    with pytest.raises(ScoringError) as caught:
        world.score()
    assert caught.value.status == 401
    assert world.taken() == ["GET iris", "GET keys", "send key-1", "GET iris", "GET keys", "send key-2"]


def test_the_secondary_key_is_sent_while_the_router_has_not_heard_of_the_new_primary() -> None:
    world = World()
    world.score()
    world.taken()
    world.key, world.accepted = "key-3", {"key-2"}
    assert world.score() == "scored"
    assert world.taken() == ["send key-1", "GET iris", "GET keys", "send key-3", "send key-2"]
    assert world.score() == "scored"
    assert world.taken() == ["send key-2"], "what was good last comes first"
    world.accepted = {"key-3"}
    assert world.score() == "scored"
    assert world.taken() == ["send key-2", "GET iris", "GET keys", "send key-3"]


def test_a_refusal_of_the_models_own_is_its_answer_and_the_request_is_not_sent_again() -> None:
    world = World()
    world.refusal = Replied(401, {"www-authenticate": "Basic"}, b"log in")
    world.accepted = set()
    with pytest.raises(ScoringError, match="log in"):
        world.score()
    assert world.taken() == ["GET iris", "GET keys", "send key-1"]


def test_a_token_that_is_refused_again_and_again_is_fetched_once_for_each_request() -> None:
    world = World("token")
    world.accepted = set()
    with pytest.raises(ScoringError, match="no"):
        world.score()
    assert world.taken().count("POST token?api=v1") == 2


def test_a_refusal_while_the_administration_is_away_stands() -> None:
    world = World()
    world.score()
    world.is_away, world.accepted = True, set()
    with pytest.raises(ScoringError, match="no"):
        world.score()


def test_who_comes_second_takes_what_the_first_has_fetched() -> None:
    world = World()
    world.score()
    held = world.steps._held
    world.key = "key-3"
    world.run(world.steps.renewal(held))
    world.taken()
    world.run(world.steps.renewal(held))
    assert world.taken() == []


def test_keys_and_tokens_for_who_asks() -> None:
    world = World()
    assert world.run(world.steps.get_keys()) == ("key-1", "key-2")
    assert world.run(world.steps.get_token()) == ("token-1", datetime.fromtimestamp(1_100, UTC))
    assert world.run(world.steps.get_swagger()) == "scored"


@pytest.mark.parametrize("key", ["Primary", "primary", "Secondary", "SECONDARY"])
def test_keys_are_regenerated_by_azure_mls_names(key: Any) -> None:
    [call] = list(World().steps.regen_key(key, "a-key-of-my-choice"))
    assert isinstance(call, Call)
    assert call.path == f"/admin/v1/endpoints/iris/keys/{key.lower()}/regenerate"
    assert call.body == b'{"keyValue":"a-key-of-my-choice"}'


def test_another_key_is_an_error() -> None:
    with pytest.raises(ValueError, match="the key is 'Third', but it must be Primary or Secondary"):
        World().run(World().steps.regen_key("Third", None))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a/b", "..", "x", "iris?", "1ris"])
def test_what_is_no_name_of_an_endpoint(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of an endpoint"):
        WebserviceSteps(name, key=None, token=None, may_ask=False, clock=lambda: 0.0)


def test_one_credential_is_sent_and_it_can_be() -> None:
    with pytest.raises(ValueError, match="a key and a token are given"):
        World(key="a", token="b")
    for text in ("", "with\nsecret", "secret ", "sécret"):
        for name in ("key", "token"):
            with pytest.raises(ValueError, match=f"the {name} is empty, or has") as caught:
                World(**{name: text})
            assert "cret" not in str(caught.value)


def test_a_credential_is_not_in_a_repr() -> None:
    assert "secret" not in repr(Credential("secret")) + repr(Renew(Credential("secret")))
