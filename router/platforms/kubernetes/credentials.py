"""With which credentials does one speak to the API server?

I/O: a kubeconfig, or the ServiceAccount folder of a Pod; a kubeconfig may name a program to run. Reading them is the
client library's work; here its errors become one that says what to do, and holds no token.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException, load_kube_config
from kubernetes_asyncio.config.incluster_config import InClusterConfigLoader

from router.platforms import PlatformError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
HOME_KUBECONFIG = "~/.kube/config"
LOAD_S = 30.0
"""How long the program that a kubeconfig names may take."""


class Credentials(NamedTuple):
    configuration: Configuration
    namespace: str
    """Where this process is at home, as far as its credentials say."""


async def load_credentials() -> Credentials:
    """From $KUBECONFIG, else from the Pod that this process runs in, else from ~/.kube/config; else PlatformError."""
    if named := os.environ.get("KUBECONFIG"):
        if not any(map(_is_there, named.split(":"))):
            raise PlatformError(f"there is no kubeconfig {named}: KUBECONFIG must name a file that exists")
        return await _from_kubeconfig(named)
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return _from_pod(SERVICE_ACCOUNT)
    if _is_there(HOME_KUBECONFIG):
        return await _from_kubeconfig(HOME_KUBECONFIG)
    raise PlatformError(
        "there is no way to the API server: KUBECONFIG is not set, this process runs in no Pod, and there is no "
        f"{HOME_KUBECONFIG}"
    )


def _is_there(path: str) -> bool:
    return bool(path) and Path(path).expanduser().exists()


def _from_pod(folder: Path) -> Credentials:
    configuration = _configuration()
    try:
        loader: Any = InClusterConfigLoader(str(folder / "token"), str(folder / "ca.crt"))
        loader.load_and_set(configuration)
        namespace = (folder / "namespace").read_text().strip()
    except (ConfigException, OSError) as error:
        raise PlatformError(
            f"{folder} gives this Pod no access to the API server: {_told(error)}; the Pod needs a ServiceAccount "
            "and automountServiceAccountToken"
        ) from None
    return Credentials(configuration, namespace)


async def _from_kubeconfig(paths: str) -> Credentials:
    """`paths`: one or more, separated by a colon."""
    configuration = _configuration()
    try:
        async with asyncio.timeout(LOAD_S):
            # What the library would write back after a login is not worth that it can't.
            loader: Any = await load_kube_config(paths, client_configuration=configuration, persist_config=False)
        namespace = loader.current_context["context"].get("namespace") or "default"
    except Exception as error:  # the library lets out whatever it stumbles over
        raise PlatformError(
            f"kubeconfig {paths} can't be used: {_told(error)}; `kubectl --kubeconfig {paths} config view` shows it"
        ) from None
    return Credentials(configuration, namespace)


def _configuration() -> Configuration:
    configuration = Configuration()
    configuration.connection_pool_maxsize = 0  # no limit: each watch keeps a connection of its own
    return configuration


def _told(error: Exception) -> str:
    """Why, without what the file holds: a parser's message quotes it, and the library's may print a whole user."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1} is not YAML"
    if isinstance(error, TimeoutError):
        return f"the program that it names for credentials did not end within {LOAD_S:g} s"
    if isinstance(error, ConfigException):
        return str(error).partition("{")[0].strip()
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"it is not what a kubeconfig should be ({type(error).__name__})"
