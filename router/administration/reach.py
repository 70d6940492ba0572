"""May a request for administration come from there, whatever key it brings?

Pure. The key crosses no network in the clear, and no page in a browser gets in: a browser says where a page is from
(Origin), and a name that was bent to point at this machine (DNS rebinding) shows in Host.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from router.administration.refusals import Refusal


class Asked(NamedTuple):
    """What is known of a request before anything is done for it."""

    client: str
    """The peer's address; "" where it has none."""
    scheme: str
    host: str
    """The Host header."""
    origin: str | None
    authorization: str | None

    def __repr__(self) -> str:
        return f"Asked({self.client!r}, {self.scheme!r}, …)"


def check_reach(asked: Asked) -> None:
    """Raises Refusal."""
    if asked.scheme != "https":
        if not is_loopback(asked.client):
            raise Refusal(
                403,
                "HttpsRequired",
                "Over plain HTTP, administration is for this machine alone: forward the port to where you are, as "
                "`kubectl port-forward` does.",
            )
        if not _is_this_machine(asked.host):
            raise Refusal(
                403,
                "HostRefused",
                f"The Host is {asked.host[:100]!r}; without HTTPS it must be localhost or an address.",
            )
    if asked.origin is not None and asked.origin.lower() != f"{asked.scheme}://{asked.host}".lower():
        raise Refusal(403, "OriginRefused", f"Pages of {asked.origin[:100]!r} have no access to administration.")


def is_loopback(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return (mapped or parsed).is_loopback


def _is_this_machine(host: str) -> bool:
    """An address, whichever: it can't be bent. A port may follow."""
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        port = port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return False
    if name.lower() in ("", "localhost"):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
