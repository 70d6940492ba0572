"""How is each proxy told to do the same thing: pass all requests to one replica, kept alive?

Pure. Texts of configuration files: one worker each, nothing logged, no pool that would limit at 64
connections. What is not about that is left as the proxy ships it.
"""

from __future__ import annotations

import json
from typing import Any

ENDPOINT = "bench"

HAPROXY = """\
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen bench
    bind 127.0.0.1:{port}
    http-reuse always
    server replica 127.0.0.1:{replica_port}
"""

NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    upstream replica {{
        server 127.0.0.1:{replica_port};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://replica;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""

SCOREGATE = """\
apiVersion: scoregate.io/v1
kind: InferenceEndpoint
metadata: {{name: {endpoint}}}
spec:
  auth: {{mode: key}}
  traffic: {{blue: 100}}
  deployments:
  - name: blue
    addresses: ["127.0.0.1:{replica_port}"]
    requestSettings: {{maxConcurrentRequestsPerInstance: 100}}
"""


def haproxy(port: int, replica_port: int) -> str:
    return HAPROXY.format(port=port, replica_port=replica_port)


def nginx(port: int, replica_port: int, folder: str) -> str:
    """`folder` holds its pid, temporary and error files, so that it runs as any user."""
    return NGINX.format(port=port, replica_port=replica_port, folder=folder)


def scoregate(replica_port: int) -> str:
    return SCOREGATE.format(endpoint=ENDPOINT, replica_port=replica_port)


def envoy(port: int, replica_port: int) -> str:
    plenty = {"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096}
    cluster = {
        "name": "replica",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [plenty]},
        "load_assignment": {
            "cluster_name": "replica",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(replica_port)}}]}],
        },
    }
    listener = {
        "name": "bench",
        "address": _address(port),
        "filter_chains": [{"filters": [_envoy_http()]}],
    }
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}, indent=2)


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _envoy_http() -> dict[str, Any]:
    extensions = "type.googleapis.com/envoy.extensions.filters"
    route = {"match": {"prefix": "/"}, "route": {"cluster": "replica", "timeout": "60s"}}
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{extensions}.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "bench",
            "codec_type": "HTTP1",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{extensions}.http.router.v3.Router"},
                }
            ],
        },
    }
