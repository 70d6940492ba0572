"""keys.py: keys are shown, replaced, added, changed and removed; each stands alone where a script wants it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from router.core.keys import NamedKey, with_named
from router.core.model import RateLimit
from tests.administered import KEYS, Administered

LIMITED = NamedKey(
    key="key-of-the-mobile-app",
    expires_at=datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC),
    rate_limit=RateLimit(requests_per_second=10, burst=20),
)


def kept(router: Administered, name: str) -> NamedKey:
    return router.administration.kept["iris"].named_keys[name]


@pytest.fixture
def limited(router: Administered) -> None:
    router.administration.kept["iris"] = with_named(KEYS, "mobile", LIMITED)


@pytest.mark.usefixtures("limited")
async def test_show_prints_all_keys_for_people(router: Administered) -> None:
    lines = [line.split() for line in (await router.printed("key", "show", "iris")).splitlines()]
    assert lines == [
        ["Name", "Key", "Expires", "Limit"],
        ["primary", KEYS.primary_key],
        ["secondary", KEYS.secondary_key],
        ["mobile", LIMITED.key, "2031-01-02", "03:04:05", "UTC", "10", "requests/s,", "20", "at", "once"],
    ]


@pytest.mark.usefixtures("limited")
async def test_show_as_json_is_what_the_api_says(router: Administered) -> None:
    shown = json.loads(await router.printed("key", "show", "iris", "--json"))
    assert shown == {
        "primaryKey": KEYS.primary_key,
        "secondaryKey": KEYS.secondary_key,
        "namedKeys": {
            "mobile": {
                "key": LIMITED.key,
                "expiresAt": "2031-01-02T03:04:05Z",
                "rateLimit": {"requestsPerSecond": 10.0, "burst": 20},
            }
        },
        "version": router.administration.kept["iris"].version,
    }


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    ("name", "key"), [("primary", KEYS.primary_key), ("secondary", KEYS.secondary_key), ("mobile", LIMITED.key)]
)
async def test_show_of_one_key_prints_it_alone(router: Administered, name: str, key: str) -> None:
    assert await router.printed("key", "show", "iris", name) == f"{key}\n"


async def test_show_of_a_key_that_is_not_there_says_which_are(router: Administered) -> None:
    assert await router.failed("key", "show", "iris", "mobil") == (
        "iris has no key 'mobil': known are primary, secondary.\n"
    )


async def test_keys_of_an_endpoint_that_is_not_there_say_which_are(router: Administered) -> None:
    for words in (
        ("show", "rose"),
        ("regenerate", "rose"),
        ("add", "rose", "mobile"),
        ("remove", "rose", "m", "--yes"),
    ):
        assert "'rose': known are iris" in await router.failed("key", *words)


@pytest.mark.parametrize(
    ("words", "changed"), [((), "primary_key"), (("primary",), "primary_key"), (("secondary",), "secondary_key")]
)
async def test_regenerate_replaces_one_key_and_prints_it(
    router: Administered, words: tuple[str, ...], changed: str
) -> None:
    printed = (await router.printed("key", "regenerate", "iris", *words)).strip()
    after = router.administration.kept["iris"]
    assert getattr(after, changed) == printed != getattr(KEYS, changed)
    both = {after.primary_key, after.secondary_key}
    assert len(both & {KEYS.primary_key, KEYS.secondary_key}) == 1


@pytest.mark.usefixtures("limited")
async def test_regenerate_of_a_named_key_keeps_its_settings_and_says_them(router: Administered) -> None:
    result = await router.run("key", "regenerate", "iris", "mobile", "--key-value", "another-key-of-the-app")
    assert result.stdout == "another-key-of-the-app\n"
    assert result.stderr == "iris: mobile is valid until 2031-01-02 03:04:05 UTC, 10 requests/s, 20 at once.\n"
    assert kept(router, "mobile").expires_at == LIMITED.expires_at


@pytest.mark.parametrize("way", ["flag", "environment", "input"])
async def test_a_key_may_be_given_in_several_ways(
    router: Administered, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = "a-key-of-my-own-choice"
    words = {"flag": ("--key-value", given), "environment": (), "input": ("--key-value", "-")}[way]
    env = {"SCOREGATE_KEY_VALUE": given} if way == "environment" else {}
    result = await router.run("key", "regenerate", "iris", *words, input_=f"{given}\nmore\n", **env)
    assert (result.exit_code, result.stdout) == (0, f"{given}\n")


async def test_a_given_key_that_can_not_be_is_refused_and_not_quoted(router: Administered) -> None:
    for words in (("regenerate", "iris"), ("add", "iris", "mobile")):
        message = await router.failed("key", *words, "--key-value", "tooshort")
        assert "16 to 256" in message
        assert "tooshort" not in message
    assert router.administration.kept["iris"] == KEYS


async def test_add_prints_the_new_key_alone_and_says_what_it_may(router: Administered) -> None:
    result = await router.run("key", "add", "iris", "mobile", "--rate", "2.5")
    assert result.exit_code == 0, result.output
    named = kept(router, "mobile")
    assert result.stdout == f"{named.key}\n"
    assert result.stderr == "iris: mobile is valid until it is removed, 2.5 requests/s.\n"
    assert (named.rate_limit, named.expires_at) == (RateLimit(requests_per_second=2.5), None)


async def test_add_for_a_while(router: Administered) -> None:
    before = datetime.now(UTC)  # noqa: TID251 - keys end by the calendar
    await router.printed("key", "add", "iris", "mobile", "--expires-in", "30d")
    expires_at = kept(router, "mobile").expires_at
    assert expires_at is not None
    assert timedelta(days=30, seconds=-1) <= expires_at - before <= timedelta(days=30, seconds=60)
    await router.printed("key", "add", "iris", "batch", "--expires-at", "2031-01-02T03:04:05+02:00")
    assert kept(router, "batch").expires_at == datetime(2031, 1, 2, 1, 4, 5, tzinfo=UTC)


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("name", ["mobile", "primary"])
async def test_add_replaces_no_key_that_is_there(router: Administered, name: str) -> None:
    before = router.administration.kept["iris"]
    assert await router.failed("key", "add", "iris", name) == (
        f"iris has a key {name}: `key change` or `key regenerate` is for that.\n"
    )
    assert router.administration.kept["iris"] == before


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    ("words", "expires_at", "rate_limit"),
    [
        (("--no-expiry",), None, LIMITED.rate_limit),
        (("--no-rate",), LIMITED.expires_at, None),
        (("--no-rate", "--no-expiry"), None, None),
        (("--rate", "5"), LIMITED.expires_at, RateLimit(requests_per_second=5, burst=20)),
        (("--burst", "7"), LIMITED.expires_at, RateLimit(requests_per_second=10, burst=7)),
        (("--expires-at", "2040-01-01T00:00:00Z"), datetime(2040, 1, 1, tzinfo=UTC), LIMITED.rate_limit),
    ],
)
async def test_change_touches_only_what_it_is_told(
    router: Administered, words: tuple[str, ...], expires_at: datetime | None, rate_limit: RateLimit | None
) -> None:
    text = await router.printed("key", "change", "iris", "mobile", *words)
    assert kept(router, "mobile") == NamedKey(key=LIMITED.key, expires_at=expires_at, rate_limit=rate_limit)
    assert text.startswith("iris: mobile is valid until ")
    assert LIMITED.key not in text


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("change", (), "Nothing is given"),
        ("change", ("--no-expiry", "--expires-in", "1d"), "--no-expiry"),
        ("change", ("--no-rate", "--burst", "1"), "--no-rate"),
        ("change", ("--expires-at", "2040-01-01T00:00:00Z", "--expires-in", "1d"), "--expires-in and --expires-at"),
        ("add", ("--burst", "1"), "--burst goes with --rate"),
        ("add", ("--expires-in", "soon"), "'soon'"),
        ("add", ("--expires-at", "2040-01-01"), "'2040-01-01'"),
    ],
)
async def test_options_that_do_not_go_together_are_a_usage_error(
    router: Administered, command: str, words: tuple[str, ...], message: str
) -> None:
    before = router.administration.kept["iris"]
    result = await router.run("key", command, "iris", "mobile" if command == "change" else "batch", *words)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert router.administration.kept["iris"] == before


async def test_change_of_a_key_that_is_not_there_makes_none(router: Administered) -> None:
    assert "iris has no key 'mobile'" in await router.failed("key", "change", "iris", "mobile", "--rate", "1")
    assert router.administration.kept["iris"] == KEYS


@pytest.mark.usefixtures("limited")
async def test_remove_needs_a_yes_where_nobody_can_be_asked(router: Administered) -> None:
    result = await router.run("key", "remove", "iris", "mobile")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert kept(router, "mobile") == LIMITED
    assert await router.printed("key", "remove", "iris", "mobile", "--yes") == "iris: mobile is removed.\n"
    assert router.administration.kept["iris"] == KEYS


async def test_primary_and_secondary_stay(router: Administered) -> None:
    assert "primary" in await router.failed("key", "remove", "iris", "primary", "--yes")
    assert router.administration.kept["iris"] == KEYS


async def test_every_change_as_json_is_all_keys(router: Administered) -> None:
    for words in (
        ("regenerate", "iris", "secondary"),
        ("add", "iris", "mobile"),
        ("change", "iris", "mobile", "--rate", "1"),
        ("remove", "iris", "mobile", "--yes"),
    ):
        said = json.loads(await router.printed("key", *words, "--json"))
        assert said["version"] == router.administration.kept["iris"].version
        assert said["primaryKey"] == KEYS.primary_key


async def test_a_key_whose_end_is_over_is_not_added_and_is_said_to_open_nothing(router: Administered) -> None:
    over = "2020-01-02T03:04:05Z"
    result = await router.run("key", "add", "iris", "mobile", "--expires-at", over)
    assert (result.exit_code, "2020-01-02 03:04:05 UTC is over: the key would open nothing." in result.stderr) == (
        2,
        True,
    )
    await router.printed("key", "add", "iris", "mobile", "--rate", "1")
    said = await router.printed("key", "change", "iris", "mobile", "--expires-at", over)
    assert said == "iris: mobile opens nothing since 2020-01-02 03:04:05 UTC.\n"
    assert "2020-01-02 03:04:05 UTC, over" in await router.printed("key", "show", "iris")


@pytest.mark.parametrize("name", ["primary", "secondary"])
async def test_the_two_have_no_settings_to_change(router: Administered, name: str) -> None:
    said = await router.failed("key", "change", "iris", name, "--rate", "1")
    assert said.startswith(f"The {name} key has neither an end nor a limit: `key regenerate` replaces it")
