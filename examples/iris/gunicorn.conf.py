"""Azure ML's server runs in gunicorn and always asks for all interfaces. Here only the router should reach it."""

import os

control_socket_disable = True  # it would be one file in the home directory for all replicas


def on_starting(server):
    host = os.environ.get("HOST", "127.0.0.1")
    server.cfg.set("bind", f"{host}:{os.environ['PORT']}")
