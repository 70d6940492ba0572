"""With which certificate are connections encrypted now?

I/O: reads a folder, and the file of client CAs, from time to time; reads the wall clock, for a certificate's time is
the calendar's. A pair that is fit replaces the present one for every new connection; one that is not is told, and the
present one stays. Those that are open go on with what they began with.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from pathlib import Path
from typing import NamedTuple

from router.config import ConfigError
from router.tls import Pair, TlsError, paired, server_context

NAMES = (("cert.pem", "key.pem"), ("tls.crt", "tls.key"))
"""Of azureml-fe, and of Kubernetes."""
LOOK_S = 0.75
"""A change is followed at the second look that sees it: whoever replaces two files does it one after the other."""
WARN_BEFORE_S = 14 * 86_400.0
_WARN_EACH_S = 86_400.0

_log = logging.getLogger("scoregate.router")


class Files(NamedTuple):
    """What was read, and from where."""

    name: str
    certificate: bytes
    key_name: str
    key: bytes
    client_ca: bytes | None


class Certificate:
    """`context` is for the next connection. Raises ConfigError where there is no pair that is fit."""

    def __init__(self, folder: Path, client_ca: Path | None) -> None:
        self._folder = folder
        self._client_ca = client_ca
        self._warned_s = float("-inf")
        self._told = ""
        try:
            self._files = self._seen = self._read()
            self._pair, self.context = _made(self._files, _now_s())
        except TlsError as error:
            raise ConfigError(f"HTTPS can't be served with --tls-dir {folder}: {error}") from None
        self._tell_flaws()

    @property
    def expires_at_s(self) -> float:
        """Seconds since the epoch."""
        return self._pair.expires_at_s

    def current(self) -> ssl.SSLContext:
        return self.context

    async def follow(self) -> None:
        """Until it is cancelled."""
        while True:
            self.warn_in_time(_now_s())
            await asyncio.sleep(LOOK_S)
            try:
                await asyncio.to_thread(self.look, _now_s())
            except Exception:  # the present pair stays, whatever it was
                _log.exception("can't follow the certificate in %s; trying again", self._folder)

    def look(self, now_s: float) -> None:
        """Once. A pair that is not fit is looked at again each time: it may only be too early for it."""
        try:
            seen, self._seen = self._seen, self._read()
            if self._seen == self._files or self._seen != seen:
                return
            pair, context = _made(self._seen, now_s)
        except TlsError as error:
            if str(error) != self._told:
                self._told = str(error)
                _log.error("the new certificate is not taken, the old one stays: %s", error)
            return
        self._files, self._pair, self.context = self._seen, pair, context
        self._told, self._warned_s = "", float("-inf")
        _log.info("new connections get the new certificate of %s", self._folder / self._files.name)
        self._tell_flaws()

    def warn_in_time(self, now_s: float) -> None:
        """Once a day, from 14 days before it expires."""
        left_s = self.expires_at_s - now_s
        if left_s < WARN_BEFORE_S and now_s - self._warned_s >= _WARN_EACH_S:
            self._warned_s = now_s
            where = self._folder / self._files.name
            if left_s > 0:
                _log.warning("the certificate in %s expires in %.1f days", where, left_s / 86_400)
            else:
                _log.error("the certificate in %s has expired: clients will refuse it", where)

    def _tell_flaws(self) -> None:
        for flaw in self._pair.flaws:
            _log.warning("clients may refuse the certificate: %s", flaw)

    def _read(self) -> Files:
        """Raises TlsError."""
        found = [names for names in NAMES if any((self._folder / name).exists() for name in names)]
        if not found:
            raise TlsError(f"{self._folder} holds neither {' and '.join(NAMES[0])} nor {' and '.join(NAMES[1])}.")
        read = [[_content(self._folder / name) for name in names] for names in found]
        if any(pair != read[0] for pair in read):
            raise TlsError(
                f"{self._folder} holds {NAMES[0][0]} and {NAMES[1][0]}, and they differ; leave one pair out."
            )
        ca = None if self._client_ca is None else _content(self._client_ca)
        (name, key_name), (certificate, key) = found[0], read[0]
        return Files(name, certificate, key_name, key, ca)


def _made(files: Files, now_s: float) -> tuple[Pair, ssl.SSLContext]:
    pair = paired(files.certificate, files.key, now_s, name=files.name, key_name=files.key_name)
    ca = None if files.client_ca is None else files.client_ca.decode("utf-8", "replace")
    return pair, server_context(pair, ca)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsError(f"{path} can't be read: {error.strerror}.") from None


def _now_s() -> float:
    return time.time()  # noqa: TID251 - a certificate's time is the calendar's
