"""How does a connection to a replica become TLS, where its deployment says so?

I/O: reads the system's certificate authorities, once. Who opens connections to replicas, be it for requests or to probe
them, asks here, and gets the same.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import NamedTuple

from router.core.model import ReplicaTls
from router.tls import client_context

_BUNDLES_KEPT = 256


class Secured(NamedTuple):
    context: ssl.SSLContext
    server_name: str | None
    """The name in the certificate; None: it is the replica's address."""


def secured(tls: ReplicaTls) -> Secured:
    """The same for the same settings: connections that one setting opened serve no other. Raises TlsError."""
    return Secured(_context_of(tls.ca_bundle), tls.server_name)


def shortcoming(error: ssl.SSLError) -> str:
    """Why TLS came to nothing, in words for a client or an operator: nothing of the replica's own but what its
    certificate lacks."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    return f"no TLS: {(error.reason or 'handshake failed').replace('_', ' ').lower()}"


@lru_cache(_BUNDLES_KEPT)
def _context_of(ca_bundle: str | None) -> ssl.SSLContext:
    """Deployments with the same authorities share it: the system's take milliseconds to read."""
    return client_context(ca_bundle)
