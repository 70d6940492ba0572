"""certificate.py: a new pair is taken when it is fit, and the present one stays when it is not."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from router.config import ConfigError
from router.listening import certificate as module
from router.listening.certificate import Certificate
from tests.certificates import Authority, Certified, new_key, now, pem_of
from tests.models import until

CA = Authority()
DAY_S = 86_400.0


def now_s() -> float:
    return now().timestamp()


def looked(one: Certificate, times: int = 2) -> None:
    for _ in range(times):
        one.look(now_s())


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


@pytest.mark.parametrize("names", [("cert.pem", "key.pem"), ("tls.crt", "tls.key")])
def test_both_names_of_the_files_are_known(tmp_path: Path, names: tuple[str, str]) -> None:
    CA.certify(ends=now() + timedelta(days=30)).write(tmp_path, *names)
    one = Certificate(tmp_path, None)
    assert abs(one.expires_at_s - now_s() - 30 * DAY_S) < 60
    assert one.current() is one.context


def test_the_same_pair_may_be_there_under_both_names_but_not_two(tmp_path: Path) -> None:
    pair = CA.certify()
    pair.write(tmp_path)
    pair.write(tmp_path, "tls.crt", "tls.key")
    Certificate(tmp_path, None)
    CA.certify().write(tmp_path, "tls.crt", "tls.key")
    with pytest.raises(ConfigError, match=r"holds cert.pem and tls.crt, and they differ; leave one pair out\."):
        Certificate(tmp_path, None)


def test_what_cannot_be_served_with_is_a_message_at_the_start(tmp_path: Path) -> None:
    def said(client_ca: Path | None = None) -> str:
        with pytest.raises(ConfigError) as error:
            Certificate(tmp_path, client_ca)
        assert str(error.value).startswith(f"HTTPS can't be served with --tls-dir {tmp_path}: ")
        return str(error.value).partition(": ")[2]

    assert said() == f"{tmp_path} holds neither cert.pem and key.pem nor tls.crt and tls.key."
    good = CA.certify()
    (tmp_path / "cert.pem").write_bytes(good.certificate)
    assert said() == f"{tmp_path / 'key.pem'} can't be read: No such file or directory."
    Certified(good.certificate, CA.certify().key).write(tmp_path)
    assert said().startswith("key.pem is not the key of the certificate in cert.pem")
    good.write(tmp_path)
    assert said(tmp_path / "ca.pem") == f"{tmp_path / 'ca.pem'} can't be read: No such file or directory."
    (tmp_path / "ca.pem").write_text("hello")
    assert said(tmp_path / "ca.pem").startswith("the certificates of client CAs holds no certificate that can be read")
    (tmp_path / "ca.pem").write_bytes(CA.pem)
    Certificate(tmp_path, tmp_path / "ca.pem")


def test_a_key_that_can_not_be_read_is_a_message(tmp_path: Path) -> None:
    CA.certify().write(tmp_path)
    (tmp_path / "key.pem").unlink()
    (tmp_path / "key.pem").mkdir()
    with pytest.raises(ConfigError, match=r"key\.pem can't be read: Is a directory\."):
        Certificate(tmp_path, None)


def test_a_new_pair_is_taken_when_it_is_seen_the_second_time(tmp_path: Path) -> None:
    CA.certify().write(tmp_path)
    one = Certificate(tmp_path, None)
    first = one.current()
    looked(one)
    assert one.current() is first
    CA.certify(ends=now() + timedelta(days=5), key=new_key("rsa")).write(tmp_path)
    looked(one, 1)
    assert one.current() is first
    looked(one, 1)
    assert one.current() is not first
    assert abs(one.expires_at_s - now_s() - 5 * DAY_S) < 60
    second = one.current()
    looked(one)
    assert one.current() is second


def test_a_pair_that_is_replaced_file_by_file_is_never_told_to_be_wrong(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    CA.certify().write(tmp_path)
    one = Certificate(tmp_path, None)
    new = CA.certify(ends=now() + timedelta(days=5))
    (tmp_path / "cert.pem").write_bytes(new.certificate)
    looked(one, 1)
    (tmp_path / "key.pem").write_bytes(new.key)
    looked(one, 2)
    assert errors(caplog) == []
    assert abs(one.expires_at_s - now_s() - 5 * DAY_S) < 60


def test_a_secret_that_kubernetes_mounts_is_followed_through_its_links(tmp_path: Path) -> None:
    """The files are links into ..data, which is itself a link, and replaced in one step."""

    def mounted(name: str, pair: Certified) -> None:
        pair.write(tmp_path / name, "tls.crt", "tls.key")
        (tmp_path / "..data_tmp").symlink_to(name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    mounted("..1", CA.certify())
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(Path("..data") / name)
    one = Certificate(tmp_path, None)
    mounted("..2", CA.certify(ends=now() + timedelta(days=5)))
    looked(one)
    assert abs(one.expires_at_s - now_s() - 5 * DAY_S) < 60


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (Certified(CA.certify().certificate, CA.certify().key), "key.pem is not the key of the certificate"),
        (CA.certify(ends=now() - timedelta(hours=1)), "has expired, on"),
        (Certified(b"hello", CA.certify().key), "cert.pem holds no certificate that can be read"),
    ],
    ids=["mismatched", "expired", "broken"],
)
def test_a_bad_pair_is_told_once_and_the_old_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, bad: Certified, words: str
) -> None:
    CA.certify().write(tmp_path)
    one = Certificate(tmp_path, None)
    before, expires_at_s = one.current(), one.expires_at_s
    bad.write(tmp_path)
    looked(one, 5)
    (said,) = errors(caplog)
    assert said.startswith("the new certificate is not taken, the old one stays: ")
    assert words in said
    assert "PRIVATE" not in caplog.text
    assert (one.current(), one.expires_at_s) == (before, expires_at_s)
    CA.certify(ends=now() + timedelta(days=5)).write(tmp_path)
    looked(one)
    assert one.current() is not before
    bad.write(tmp_path)
    looked(one, 3)
    assert len(errors(caplog)) == 2, "told again"


def test_files_that_are_gone_are_told_once_and_the_pair_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pair = CA.certify()
    pair.write(tmp_path)
    one = Certificate(tmp_path, None)
    before = one.current()
    (tmp_path / "key.pem").unlink()
    looked(one, 3)
    assert len(errors(caplog)) == 1
    pair.write(tmp_path)
    looked(one, 3)
    assert one.current() is before


def test_a_pair_of_tomorrow_is_taken_tomorrow(tmp_path: Path) -> None:
    CA.certify().write(tmp_path)
    one = Certificate(tmp_path, None)
    before = one.current()
    CA.certify(begins=now() + timedelta(days=1), ends=now() + timedelta(days=9)).write(tmp_path)
    looked(one, 3)
    assert one.current() is before
    one.look(now_s() + 1.5 * DAY_S)
    assert one.current() is not before


def test_new_client_cas_are_followed_too(tmp_path: Path) -> None:
    CA.certify().write(tmp_path)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(CA.pem)
    one = Certificate(tmp_path, ca)
    before = one.current()
    other = Authority("Other clients")
    ca.write_bytes(other.pem)
    looked(one)
    assert one.current() is not before
    assert [subject[0][0][1] for subject in (each["subject"] for each in one.current().get_ca_certs())] == [
        "Other clients"
    ]


def test_an_end_that_is_near_is_told_once_a_day(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    CA.certify(ends=now() + timedelta(days=20)).write(tmp_path)
    one = Certificate(tmp_path, None)
    start_s = now_s()
    for day in range(23):
        for hour in (0, 12, 23):
            one.warn_in_time(start_s + day * DAY_S + hour * 3_600)
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    where = tmp_path / "cert.pem"
    assert told[0] == f"the certificate in {where} expires in 14.0 days"
    assert len(told) == 17
    assert told[-1] == f"the certificate in {where} has expired: clients will refuse it"


def test_what_clients_may_stumble_over_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pair = CA.certify()
    Certified(pair.certificate + Authority("Stranger").pem, pair.key).write(tmp_path)
    Certificate(tmp_path, None)
    assert "clients may refuse the certificate: in cert.pem, CN=Stranger follows" in caplog.text


async def test_it_looks_by_itself_and_goes_on_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    CA.certify(ends=now() + timedelta(days=5)).write(tmp_path)
    one = Certificate(tmp_path, None)
    look, fails = one.look, [RuntimeError("a fault")]

    def faulty(now_s: float) -> None:
        if fails:
            raise fails.pop()
        look(now_s)

    monkeypatch.setattr(one, "look", faulty)
    before = one.current()
    following = asyncio.create_task(one.follow())
    CA.certify().write(tmp_path)
    await until(lambda: one.current() is not before)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    assert "can't follow the certificate" in caplog.text
    assert "expires in" in caplog.text


def test_a_key_in_the_old_spelling_is_read(tmp_path: Path) -> None:
    """As openssl writes it: with the curve in front."""
    key = new_key()
    pair = CA.certify(key=key)
    Certified(pair.certificate, b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
              + pem_of(key)).write(tmp_path)  # fmt: skip
    Certificate(tmp_path, None)
