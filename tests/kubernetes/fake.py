"""What does a router see of a Kubernetes API server, when a test plays the cluster?

I/O: a loopback socket, plain HTTP. An API server in this process: `put`, `patch`, `delete`, `make_ready` and `finish`
are what users, controllers and kubelets do; `answer_with`, `slow`, `pause`, `cut_watches`, `compact` and `stop` are
what goes wrong. tests/contract/test_kubernetes_api.py holds it against a real one. Nothing happens by itself:
Deployments make no Pods, and a Pod that is deleted stays, leaving, until `finish`.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import msgspec
import yaml
from aiohttp import web

from tests.kubernetes.kinds import BUILT_IN, INFERENCE_ENDPOINT, Kind
from tests.kubernetes.refusals import (
    REASONS,
    PageNotFound,
    Refusal,
    expired,
    forbidden,
    method_not_allowed,
    not_found,
    not_in_the_fake,
    unauthorized,
    unsupported_media_type,
)
from tests.kubernetes.registry import Registry, merged
from tests.kubernetes.store import Change, Object, Store
from tests.kubernetes.watching import Watch
from tests.kubernetes.wire import Place, decoded, page, place, revision_of, wanted
from tests.ports import held

MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
UNSUPPORTED = ("application/json-patch+json", "application/apply-patch+yaml")
VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.2"}

Only = Callable[[str, str], bool]
"""Of method and path, the path with its query as it was asked: whether a fault is meant for this request."""


class Asked(NamedTuple):
    """One request as it came. `query` has the last value of each name; names of `headers` are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class _Answer(NamedTuple):
    """A fault: this instead of the real answer."""

    refusal: Refusal
    only: Only | None
    times: list[int] | None


class FakeApiServer:
    """`async with FakeApiServer() as server`. With a `token` it wants that one (401 for another, 403 for none). The
    custom resource InferenceEndpoint is there unless `installed` is false."""

    def __init__(self, *, token: str | None = None, installed: bool = True) -> None:
        self.token = token
        self.requests: list[Asked] = []
        self.url = ""
        self.store = Store()
        self.registry = Registry(self.store, lambda: datetime.now(UTC))  # noqa: TID251 - what a cluster's clock is
        self._kinds = {kind.plural: kind for kind in BUILT_IN}
        if installed:
            self.install(INFERENCE_ENDPOINT)
        self.create_namespace("default")
        self._folder = tempfile.TemporaryDirectory(prefix="fake-api-server-")
        self._port = 0
        self._held: socket.socket | None = None
        """The port, while it is stopped."""
        self._runner: web.ServerRunner | None = None
        self._server: web.Server | None = None
        self._watches: set[Watch] = set()
        self._answers: list[_Answer] = []
        self._slow: tuple[float, Only | None] = (0.0, None)
        self._running = asyncio.Event()
        self._running.set()
        self._failures: list[Exception] = []
        self.store.listeners.append(self._tell)

    async def __aenter__(self) -> FakeApiServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        self._give_back()
        self._folder.cleanup()
        if self._failures and error is None:
            raise self._failures[0]

    @property
    def kubeconfig(self) -> str:
        """Path of a file that leads here."""
        return str(Path(self._folder.name) / "kubeconfig")

    async def start(self) -> None:
        """After `stop`: on the same port, with what was stored."""
        self._server = web.Server(self._answered, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(self._server)
        await self._runner.setup()
        self._give_back()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"
        user = {} if self.token is None else {"token": self.token}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "test", "namespace": "default"}}],
        }
        await asyncio.to_thread(Path(self.kubeconfig).write_text, yaml.safe_dump(config))

    async def stop(self) -> None:
        """As `kill -9`: connections are reset, new ones refused."""
        runner, server, self._runner, self._server = self._runner, self._server, None, None
        if runner is not None and server is not None:
            for connection in server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
            await runner.cleanup()
            self._held = held(self._port)

    def _give_back(self) -> None:
        if self._held is not None:
            self._held.close()

    # What users, controllers and kubelets do

    def install(self, kind: Kind) -> None:
        """As a CustomResourceDefinition does."""
        self._kinds[kind.plural] = kind

    def uninstall(self, plural: str) -> None:
        """Its objects go, its watches end, its path is not found."""
        for key in self.store.items(plural):
            self.store.write(plural, key, None)
        del self._kinds[plural]
        for watch in self._watches:
            if watch.kind.plural == plural:
                watch.end()

    def create_namespace(self, name: str) -> None:
        if self.store.get("namespaces", ("", name)) is None:
            self.registry.create(self._kinds["namespaces"], "", {"metadata": {"name": name}})

    def put(self, plural: str, object: Object, namespace: str = "default") -> Object:
        """Creates it, or replaces it whole, status too; its metadata's namespace goes before `namespace`. That exists
        from now on."""
        kind = self._kinds[plural]
        where = object["metadata"].get("namespace", namespace) if kind.namespaced else ""
        if where:
            self.create_namespace(where)
        return self.registry.put(kind, where, object)

    def get(self, plural: str, name: str, namespace: str = "default") -> Object | None:
        return self.store.get(plural, (namespace if self._kinds[plural].namespaced else "", name))

    def items(self, plural: str, namespace: str | None = None) -> list[Object]:
        return [each for key, each in self.store.items(plural).items() if namespace in (None, key[0])]

    def patch(self, plural: str, name: str, patch: Object, namespace: str = "default") -> Object:
        """A merge patch of all of it, status too."""
        before = self.get(plural, name, namespace)
        assert before is not None, f"no {plural} {namespace}/{name}"
        return self.put(plural, merged(before, patch), namespace)

    def delete(self, plural: str, name: str, namespace: str = "default", grace_s: int | None = None) -> None:
        """As through the API: a Pod that was bound or runs stays, leaving, until `finish`."""
        options = {} if grace_s is None else {"gracePeriodSeconds": grace_s}
        self.registry.delete(self._kinds[plural], (namespace, name), options)

    def finish(self, name: str, namespace: str = "default") -> None:
        """The Pod's processes have ended."""
        self.delete("pods", name, namespace, grace_s=0)

    def make_ready(self, name: str, namespace: str = "default", ip: str = "127.0.0.1", ready: bool = True) -> Object:
        """Scheduled, running at `ip`, and Ready or not."""
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [condition]}
        return self.patch("pods", name, {"spec": {"nodeName": "node-1"}, "status": status}, namespace)

    # What goes wrong

    def answer_with(
        self, status: int, retry_after_s: float | None = None, only: Only | None = None, times: int | None = None
    ) -> None:
        """From now on, or for the next `times` requests. Watches that are open go on."""
        message = f"{REASONS.get(status, 'Error')} for this test"
        refusal = unauthorized() if status == 401 else Refusal(status, message, retry_after_s=retry_after_s)
        self._answers.append(_Answer(refusal, only, None if times is None else [times]))

    def slow(self, seconds: float, only: Only | None = None) -> None:
        """Every answer comes so much later."""
        self._slow = (seconds, only)

    def recover(self) -> None:
        """Ends `answer_with`, `slow` and `pause`."""
        self._answers.clear()
        self._slow = (0.0, None)
        self.resume()

    def pause(self) -> None:
        """As SIGSTOP: connections are accepted, nothing is answered, watches are silent."""
        self._running.clear()

    def resume(self) -> None:
        self._running.set()

    def cut_watches(self, *, mid_line: bool = False) -> None:
        """The connections of all watches end with no last chunk; `mid_line`: after half a line, of the last event
        that they have not sent yet if there is one."""
        for watch in self._watches:
            watch.cut(mid_line=mid_line)

    def end_watches(self) -> None:
        """As their timeout does: properly."""
        for watch in self._watches:
            watch.end()

    def expire_watches(self) -> None:
        """All open ones are told 410, and end."""
        for watch in self._watches:
            watch.end(expired(watch.revision, self.store.revision))

    def bookmark(self) -> None:
        """To all watches that allow it, now; else one comes before a watch's timeout ends it."""
        for watch in self._watches:
            watch.bookmark()

    def compact(self) -> None:
        """What is older than now is forgotten: a watch from there or a continue token of then is told 410."""
        self.store.compact()

    # HTTP

    def _tell(self, change: Change) -> None:
        for watch in self._watches:
            watch.take(change)

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        query, headers = dict(request.query), {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(request.method, request.path, query, headers, await request.read())
        self.requests.append(asked)
        try:
            await self._suffers(request.method, request.path_qs)
            return await self._normal(request, asked)
        except PageNotFound:
            return web.Response(status=404, text="404 page not found\n")
        except Refusal as refusal:
            return _json(refusal.status, refusal.code, refusal.retry_after_s)
        except Exception as error:
            if not isinstance(error, ConnectionError):  # a client may leave
                self._failures.append(error)
            raise

    async def _suffers(self, method: str, path: str) -> None:
        """The faults of the moment."""
        await self._running.wait()
        seconds, only = self._slow
        if seconds and (only is None or only(method, path)):
            await asyncio.sleep(seconds)
            await self._running.wait()
        for answer in reversed(self._answers):
            if (answer.only is None or answer.only(method, path)) and answer.times != [0]:
                if answer.times is not None:
                    answer.times[0] -= 1
                raise answer.refusal

    async def _normal(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        if asked.path in ("/readyz", "/livez", "/healthz"):
            return web.Response(text="ok")
        if asked.path == "/version":
            return _json(VERSION)
        at = place(asked.path, self._kinds)
        self._lets_in(asked, at)
        for unknown in ("dryRun", "resourceVersionMatch", "sendInitialEvents"):
            if asked.query.get(unknown):
                raise not_in_the_fake(unknown)
        if asked.method == "GET" and not at.name and asked.query.get("watch") in ("1", "true"):
            return await self._watched(request, at, asked.query)
        verbs = {"GET": self._get, "POST": self._post, "PUT": self._put, "PATCH": self._patch, "DELETE": self._delete}
        verb = verbs.get(asked.method)
        if verb is None or (asked.method in ("PUT", "PATCH") and not at.name) or (asked.method == "POST" and at.name):
            raise method_not_allowed()
        return verb(at, asked)

    def _lets_in(self, asked: Asked, at: Place) -> None:
        said = asked.headers.get("authorization", "")
        if self.token is not None and said != f"Bearer {self.token}":
            if said:
                raise unauthorized()
            raise forbidden("list" if asked.method == "GET" else "change", at.kind.plural, at.kind.group, at.namespace)

    def _get(self, at: Place, asked: Asked) -> web.Response:
        if not at.name:
            return _json(page(self.store, at, asked.query))
        if at.part == "scale":
            return _json(self.registry.scale(at.kind, at.key))
        return _json(self.registry.read(at.kind, at.key))

    def _post(self, at: Place, asked: Asked) -> web.Response:
        object = decoded(asked.body)
        if at.kind.namespaced and self.store.get("namespaces", ("", at.namespace)) is None:
            raise not_found("namespaces", "", at.namespace)
        return _json(self.registry.create(at.kind, at.namespace, object), 201)

    def _put(self, at: Place, asked: Asked) -> web.Response:
        object = decoded(asked.body)
        if at.part == "scale":
            return _json(self.registry.rescale(at.kind, at.key, object, is_patch=False))
        new, created = self.registry.replace(at.kind, at.key, object, at.part)
        return _json(new, 201 if created else 200)

    def _patch(self, at: Place, asked: Asked) -> web.Response:
        form = asked.headers.get("content-type", "").partition(";")[0].strip()
        accepted = (MERGE,) if at.kind.custom else (MERGE, STRATEGIC)
        if form in UNSUPPORTED:
            raise not_in_the_fake(form)
        if form not in accepted:
            raise unsupported_media_type(form == STRATEGIC, (*UNSUPPORTED, *accepted))
        patch = decoded(asked.body)
        if form == STRATEGIC and set(patch) - {"metadata"}:
            raise not_in_the_fake("strategic merge patches of more than metadata")
        if at.part == "scale":
            return _json(self.registry.rescale(at.kind, at.key, patch, is_patch=True))
        return _json(self.registry.patch(at.kind, at.key, patch, at.part))

    def _delete(self, at: Place, asked: Asked) -> web.Response:
        if not at.name:
            raise not_in_the_fake("the deletion of a collection")
        options = decoded(asked.body)
        if grace := asked.query.get("gracePeriodSeconds"):
            options.setdefault("gracePeriodSeconds", int(grace))
        last, gone = self.registry.delete(at.kind, at.key, options)
        if not gone or at.kind.plural == "pods":
            return _json(last)
        whose = {"name": at.name, **({"group": at.kind.group} if at.kind.group else {}), "kind": at.kind.plural}
        details = {**whose, "uid": last["metadata"]["uid"]}
        return _json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})

    async def _watched(self, request: web.BaseRequest, at: Place, query: dict[str, str]) -> web.StreamResponse:
        watch = Watch(self.store, at, wanted(at, query), revision_of(query), query)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        self._watches.add(watch)
        try:
            while not watch.over:
                for line in await watch.lines():
                    await self._running.wait()
                    await response.write(line)
        finally:
            self._watches.discard(watch)
        if watch.was_cut and request.transport is not None:
            request.transport.close()
        return response


def _json(body: Any, status: int = 200, retry_after_s: float | None = None) -> web.Response:
    headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json", headers=headers)
