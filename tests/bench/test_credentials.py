"""`python -m bench.credentials` in small: each credential is let in as what it is, and every figure is shown."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner
from jwt import PyJWKClient

from bench import credentials, wrk
from bench.measure import Cores, Course, Plan
from bench.proxies import PeerError
from bench.report import Spread

TITLES = list(credentials.ENDPOINTS)


@pytest.mark.skipif(not wrk.installed(), reason="wrk is not installed")
def test_a_small_run_prints_every_credential_and_writes_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "COLD", 40)
    words = [
        "--rounds",
        "1",
        "--seconds",
        "1",
        "--connections",
        "2",
        "--checks",
        "20",
        "--json",
        f"{tmp_path}/all.json",
    ]
    ended = CliRunner().invoke(credentials.main, words)
    assert ended.exit_code == 0, ended.output
    rows = json.loads((tmp_path / "all.json").read_text())
    assert [row["credential"] for row in rows] == TITLES
    for row in rows:
        assert row["credential"] in ended.output
        assert row["gate_us"]["median"] > 0
        assert row["router_us"]["median"] > 0
        assert row["failed"] == 0, "each was let in"


def test_where_no_load_can_be_made_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrk, "installed", lambda: False)
    ended = CliRunner().invoke(credentials.main, [])
    assert ended.exit_code == 1
    assert "apt-get install wrk" in ended.output


def test_the_issuer_is_one_that_others_believe_too() -> None:
    issuer = credentials.Issuer()
    with issuer.serving():
        for algorithm in ("ES256", "RS256"):
            first, second = issuer.tokens(algorithm, 2)
            assert first != second
            key = PyJWKClient(f"{issuer.url}/jwks").get_signing_key_from_jwt(first.decode())
            claims = jwt.decode(first, key, [algorithm], audience=credentials.AUDIENCE, issuer=issuer.url)
            assert claims["jti"] == "0"


def test_a_cold_token_that_was_known_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "COLD", 2)
    issuer = credentials.Issuer()
    with issuer.serving(), pytest.raises(RuntimeError, match="cold tokens came"):
        asyncio.run(credentials.gate_alone(issuer, credentials.headers_of(issuer), 1, 100))


def test_a_router_that_breaks_down_is_told() -> None:
    course = Course([], Plan((1,), 1, 1), Cores(0, 0))
    course.broken["key"] = "it ended"
    with pytest.raises(PeerError, match="key: it ended"):
        credentials.rows_of({"key": Spread(1, 1, 1)}, course)
