"""How does one of several workers run?

I/O: a process of its own, started by its parent (parent.py) as `python -m router.workers.worker LINE`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from dataclasses import replace

import click
import uvloop

from router import post
from router.config import ConfigError, RouterConfig
from router.platforms import ClusterSettings, PlatformError, open_platform
from router.post import Post
from router.server import RouterServer
from router.workers.line import Order, keep, receive_order


def log_to_stderr() -> None:
    """As every process of a router does."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("httpx", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


async def serve(config: RouterConfig, cluster: ClusterSettings, place: Post, line: socket.socket | None = None) -> None:
    """One router process, until it is told to stop. `line`: to its parent, where it has one. Raises ConfigError,
    PlatformError."""
    platform = open_platform(
        config.platform, file=config.file, state_dir=config.state_dir, cluster=cluster, worker=place.index
    )
    async with platform:
        server = RouterServer(config, platform, place)
        if line is None:
            await server.run()
            return
        keeping = asyncio.create_task(keep(line, lambda: server.snapshot is not None, server.leave, server.stop))
        try:
            await server.run()
        finally:
            keeping.cancel()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the server hears it: a worker that starts has nothing to say
    line = socket.socket(fileno=int(sys.argv[1]))
    log_to_stderr()
    try:
        order = receive_order(line)
        config = _config(order)
        place = post.worker(order.index, config.state_dir, order.descriptors, order.parent)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(config, order.cluster, place, line))
    except (ConfigError, PlatformError, OSError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


def _config(order: Order) -> RouterConfig:
    """With a port between instances of its own."""
    config = order.config
    return replace(config, peer_port=config.peer_port + order.index) if config.peer_port else config


if __name__ == "__main__":
    main()
