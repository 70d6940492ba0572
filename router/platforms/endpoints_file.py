"""Which endpoints does this file declare?

I/O: reads and watches one YAML file.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from router.core.declare import DeclarationError, declared_endpoints
from router.core.model import Endpoint
from router.core.rules import API_VERSION, KIND
from router.platforms.yaml_file import BadText, FileError, read_text, yaml_documents

_GROUP = API_VERSION.partition("/")[0]


class Manifest(NamedTuple):
    """A file as one applies it to a cluster."""

    endpoints: tuple[Endpoint, ...]
    others: tuple[str, ...]
    """What else is in it, as `Deployment iris-blue (apps/v1)`."""


def load_endpoints(path: Path) -> tuple[Endpoint, ...]:
    """The endpoints of a UTF-8 YAML file, one for each document; empty documents are passed over.

    Raises FileError with all that is wrong.
    """
    return _declared(path, _documents(path))


def load_manifest(path: Path) -> Manifest:
    """The same, but objects of Kubernetes or of others stand beside the endpoints, and any of them in a List.

    Raises FileError with all that is wrong with the endpoints.
    """
    ours: list[object] = []
    others: list[str] = []
    for document in (each for listed in _documents(path) for each in _items(listed)):
        other = _other(document)
        if other:
            others.append(other)
        else:
            ours.append(document)
    return Manifest(_declared(path, ours), tuple(others))


def _documents(path: Path) -> list[object]:
    text = read_text(path)
    try:
        return yaml_documents(text)
    except BadText as error:
        raise FileError(path, error.problems) from error


def _declared(path: Path, documents: list[object]) -> tuple[Endpoint, ...]:
    try:
        return declared_endpoints(documents)
    except DeclarationError as error:
        raise FileError(path, error.problems) from error


def _items(document: object) -> list[object]:
    match document:
        case {"apiVersion": "v1", "kind": "List", "items": list(items)}:
            return items
    return [document]


def _other(document: object) -> str:
    """What it is, if it is for somebody else; "" where its group or its kind say that it is an endpoint, and where
    nothing does: a word misspelt is told, not passed over."""
    match document:
        case {"apiVersion": str(version), "kind": str(kind)} if version.partition("/")[0] != _GROUP and kind != KIND:
            match document:
                case {"metadata": {"name": str(name)}}:
                    return f"{kind} {name} ({version})"
            return f"{kind} ({version})"
    return ""


class WatchedFile:
    """Tells when a file was written, replaced, removed or came back. Also of a folder: when its list of files was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = self._state()
        self._unsettled = True

    def changed(self) -> bool:
        """Whether anything happened since the last call; the first time, since this watch began."""
        before, self._last = self._last, self._state()
        return self._last != before

    def settled(self) -> bool:
        """Whether it changed since this was last true, and has rested since the last call: it is not half written.

        True once at first: a file may have changed twice within the clock tick in which it was last read.
        """
        if self.changed():
            self._unsettled = True
            return False
        settled, self._unsettled = self._unsettled, False
        return settled

    def _state(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
