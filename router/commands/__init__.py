"""Which commands administer a router?

I/O: none itself. Each asks the router's internal port, wherever endpoints come from: a file, a machine, a cluster.
"""

from __future__ import annotations

import click

from router.commands.keys import key
from router.commands.overview import decisions, endpoints, log_level, replicas
from router.commands.scaling import drain, scale, traffic
from router.commands.tokens import revoke, signing_keys, token

COMMANDS: tuple[click.Command, ...] = (
    endpoints,
    replicas,
    decisions,
    key,
    token,
    revoke,
    signing_keys,
    traffic,
    scale,
    drain,
    log_level,
)
