"""What do the paths, lists and watch lines of the API look like?

Pure.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from tests.kubernetes.kinds import Kind
from tests.kubernetes.refusals import (
    PageNotFound,
    Refusal,
    bad_request,
    no_such_resource,
    token_expired,
    too_large,
)
from tests.kubernetes.selectors import Matches, field_selector, label_selector
from tests.kubernetes.store import Change, Key, Object, Store


class Place(NamedTuple):
    """What a path means. `name` "": the collection."""

    kind: Kind
    namespace: str
    name: str
    part: str

    @property
    def key(self) -> Key:
        return self.namespace, self.name


def place(path: str, kinds: Mapping[str, Kind]) -> Place:
    """Raises `Refusal` 404 and `PageNotFound`."""
    parts = path.strip("/").split("/")
    depth = {"api": 2, "apis": 3}.get(parts[0], 0)
    root, rest = "/" + "/".join(parts[:depth]), parts[depth:]
    if not rest or not any(kind.root == root for kind in kinds.values()):
        raise PageNotFound
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    kind = kinds.get(rest[0])
    if kind is None or kind.root != root or len(rest) > 3 or (namespace and not kind.namespaced):
        raise no_such_resource()
    name, part = (*rest[1:], "", "")[:2]
    known = part in ("", *(["status"] if kind.status else []), *(["scale"] if kind.scale else []))
    if not known or (name and kind.namespaced and not namespace):
        raise no_such_resource()
    return Place(kind, namespace, name, part)


def decoded(body: bytes) -> Object:
    """Raises `Refusal` 400."""
    try:
        object = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from error
    if not isinstance(object, dict):
        raise bad_request("the object provided is unrecognized: not a JSON object")
    return object


def wanted(at: Place, query: Mapping[str, str]) -> Matches:
    """Raises `Refusal` 400."""
    labels = label_selector(query.get("labelSelector", ""))
    fields = field_selector(query.get("fieldSelector", ""), at.kind.fields)

    def matches(object: Mapping[str, Any]) -> bool:
        inside = not at.namespace or object["metadata"].get("namespace") == at.namespace
        return inside and labels(object) and fields(object)

    return matches


def revision_of(query: Mapping[str, str]) -> int:
    """0: any. Raises `Refusal` 500, as the server does."""
    text = query.get("resourceVersion") or "0"
    if not text.isdecimal():
        raise Refusal(500, f'resourceVersion: Invalid value: "{text}": invalid syntax', reason="")
    return int(text)


def page(store: Store, at: Place, query: Mapping[str, str]) -> Object:
    """One page of a list. Raises `Refusal` 400, 410 and 504. A real server thinks for 3 s before the 504."""
    if (asked := revision_of(query)) > store.revision:
        raise too_large(asked, store.revision)
    limit_text = query.get("limit") or "0"
    if not limit_text.isdecimal():
        raise bad_request(f'strconv.ParseInt: parsing "{limit_text}": invalid syntax')
    limit, matches = int(limit_text), wanted(at, query)
    revision, start = store.revision, ("", "")
    if token := query.get("continue", ""):
        revision, start = _read_token(token)
        if 0 <= revision < store.compacted:
            raise token_expired(_token(-1, start))
        revision = store.revision if revision < 0 else revision
    items = [
        (key, object)
        for key, object in store.items(at.kind.plural, revision).items()
        if key >= start and matches(object)
    ]
    shown = items[:limit] if limit else items
    metadata: dict[str, Any] = {"resourceVersion": str(revision), **({"continue": ""} if at.kind.custom else {})}
    if len(shown) < len(items):
        metadata["continue"] = _token(revision, items[len(shown)][0])
        if not query.get("labelSelector") and not query.get("fieldSelector"):
            metadata["remainingItemCount"] = len(items) - len(shown)
    head = {"kind": f"{at.kind.name}List", "apiVersion": at.kind.api_version, "metadata": metadata}
    return {**head, "items": [object if at.kind.custom else _plain(object) for _, object in shown]}


def _plain(object: Object) -> Object:
    """Items of a list of a built-in kind do not say what they are."""
    return {field: value for field, value in object.items() if field not in ("kind", "apiVersion")}


def _token(revision: int, start: Key) -> str:
    said = {"v": "meta.k8s.io/v1", "rv": revision, "start": "/".join(start)}
    return base64.urlsafe_b64encode(msgspec.json.encode(said)).rstrip(b"=").decode()


def _read_token(token: str) -> tuple[int, Key]:
    try:
        said = msgspec.json.decode(base64.urlsafe_b64decode(token + "=="))
        namespace, _, name = said["start"].partition("/")
        return said["rv"], (namespace, name)
    except (ValueError, TypeError, KeyError) as error:
        raise bad_request("invalid continue token: continue key is not valid") from error


def line(type: str, object: Object) -> bytes:
    return msgspec.json.encode({"type": type, "object": object}) + b"\n"


def error_line(refusal: Refusal) -> bytes:
    return line("ERROR", refusal.status)


def bookmark_line(kind: Kind, revision: int) -> bytes:
    """What v1.20 fills in for the kind is there, too: an object with no name."""
    metadata: dict[str, Any] = {"resourceVersion": str(revision)}
    if kind.custom:
        return line("BOOKMARK", {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata})
    metadata["creationTimestamp"] = None
    empty = {"spec": {"containers": None}, "status": {}} if kind.name == "Pod" else {}
    return line("BOOKMARK", {"kind": kind.name, "apiVersion": kind.api_version, "metadata": metadata, **empty})


def present_lines(store: Store, at: Place, matches: Matches) -> Iterator[bytes]:
    """What is there already, for a watch that names no resourceVersion."""
    for object in store.items(at.kind.plural).values():
        if matches(object):
            yield line("ADDED", object)


def change_line(change: Change, matches: Matches) -> bytes | None:
    """As a watch with a selector sees it: what begins to match is added, what ends to is deleted. What is deleted is
    shown as it last was, with the revision of that moment."""
    was = change.before is not None and matches(change.before)
    now = change.after is not None and matches(change.after)
    if now:
        assert change.after is not None
        return line("MODIFIED" if was else "ADDED", change.after)
    if was:
        assert change.before is not None
        metadata = {**change.before["metadata"], "resourceVersion": str(change.revision)}
        return line("DELETED", {**change.before, "metadata": metadata})
    return None
