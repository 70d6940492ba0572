"""Which X-Forwarded-* and Forwarded lines does a request get?

I/O: none. A peer's own lines are believed only if it is one of `trusted_proxies`. The lines of a client and host are
made once and kept.
"""

from __future__ import annotations

import ipaddress

from router.config import Network
from router.core import hygiene
from router.request import Request

_MAX_KEPT = 4_096


class Forwarding:
    def __init__(self, trusted_proxies: tuple[Network, ...]) -> None:
        self._trusted = trusted_proxies
        self._kept: dict[tuple[str, str, bytes], bytes] = {}

    def lines(self, request: Request) -> bytes:
        scope = request.scope
        client: str = (scope.get("client") or ("unknown", 0))[0]
        host = request.fields.get(b"host", b"")
        if self._trusted and self._is_trusted(client):
            return hygiene.forwarded(client.encode(), scope["scheme"].encode(), host, request.fields)
        key = (client, scope["scheme"], host)
        lines = self._kept.get(key)
        if lines is None:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            lines = hygiene.forwarded(client.encode(), scope["scheme"].encode(), host, None)
            self._kept[key] = lines
        return lines

    def _is_trusted(self, client: str) -> bool:
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)
