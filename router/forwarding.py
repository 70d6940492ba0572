"""Where does a request come from, and which X-Forwarded-* and Forwarded lines does it get?

I/O: none. A peer's own lines are believed only if it is one of `trusted_proxies`, which must then set, or drop, both
kinds of them. The lines of a client and host are made once and kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from router.config import Network, is_within
from router.core import hygiene
from router.request import Request

_MAX_KEPT = 4_096
_MOST_HOPS = 50
_NODE = re.compile(r'(?:^|;)\s*for=(?:"([^"]*)"|([^;"\s]*))', re.IGNORECASE)
"""RFC 7239 section 4: of one element."""
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]+)\](?::[0-9]+)?|(?P<v4>[0-9.]+):[0-9]+")


class Forwarding:
    def __init__(self, trusted_proxies: tuple[Network, ...]) -> None:
        self._trusted = trusted_proxies
        self._kept: dict[tuple[str, str, bytes], bytes] = {}

    def lines(self, request: Request) -> bytes:
        scope = request.scope
        client: str = (scope.get("client") or ("unknown", 0))[0]
        host = request.fields.get(b"host", b"")
        if self._trusted and is_within(client, self._trusted):
            return hygiene.forwarded(client.encode(), scope["scheme"].encode(), host, request.fields)
        key = (client, scope["scheme"], host)
        lines = self._kept.get(key)
        if lines is None:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            lines = hygiene.forwarded(client.encode(), scope["scheme"].encode(), host, None)
            self._kept[key] = lines
        return lines

    def client(self, request: Request) -> str:
        """The address of who asks: the nearest that is no trusted proxy, by the word of trusted proxies alone."""
        address: str = (request.scope.get("client") or ("", 0))[0]
        if not self._trusted or not is_within(address, self._trusted):
            return address
        for hop in _hops(request.fields):
            if not hop:
                break
            address = hop
            if not is_within(hop, self._trusted):
                break
        return address


def _hops(fields: dict[bytes, bytes]) -> Iterator[str]:
    """The addresses that proxies added, the latest first; "" for one that is none."""
    listed = fields.get(b"x-forwarded-for")
    if listed is not None:
        nodes = listed.decode("latin-1").split(",")
    else:
        elements = fields.get(b"forwarded", b"").decode("latin-1").split(",")
        nodes = [(found[1] or found[2]) if (found := _NODE.search(each)) else "" for each in elements]
    for node in reversed(nodes[-_MOST_HOPS:]):
        text = node.strip()
        found = _WITH_PORT.fullmatch(text)
        address = (found["v6"] or found["v4"]) if found is not None else text
        yield address if hygiene.is_address(address) else ""
