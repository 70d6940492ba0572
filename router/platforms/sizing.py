"""How many router processes are there to be, and how does that number change?

I/O: none, but for `workers.json` in a state directory. A router's size is a number of Pods, and of worker processes in
each. On one machine there are no Pods: the routers' parent process follows the file, within the bounds it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple, Protocol

import msgspec
from msgspec import Meta, Struct

from router.platforms import PlatformError
from router.platforms.private_files import write_whole


class RouterSize(Struct, frozen=True, kw_only=True, rename="camel"):
    workers: Annotated[int, Meta(ge=1)] = 1
    """In each Pod, or on this machine."""
    pods: Annotated[int, Meta(ge=0)] = 1

    @property
    def processes(self) -> int:
        return self.workers * self.pods


class RouterStand(NamedTuple):
    """What a platform says of the routers' size."""

    size: RouterSize
    """That it works towards."""
    has_pods: bool = False
    """Pods can be added and taken away; a number of workers is for all of them. Else the routers' parent process has
    workers alone, within bounds of its own."""
    is_settled: bool = True
    """Nothing of the last change is under way."""
    no_room: str = ""
    """Why Pods of it can't be placed."""
    conflict: str = ""
    """What else scales it: then it is left alone."""


class RouterSizing(Protocol):
    """Both raise PlatformError where it can't be done, or can't be known."""

    async def stand(self) -> RouterStand: ...

    async def resize(self, size: RouterSize) -> None:
        """Returns once the wish is recorded. Only who leads may."""


class _Wish(Struct, frozen=True):
    workers: Annotated[int, Meta(ge=1)]


class FileSizing:
    """`workers.json` of a state directory. `routers`: how many live there now: so many are wished for while no file
    says otherwise."""

    def __init__(self, state_dir: Path, routers: Callable[[], int]) -> None:
        self._file = state_dir / "workers.json"
        self._routers = routers

    async def stand(self) -> RouterStand:
        return RouterStand(RouterSize(workers=self._wished() or max(1, self._routers())))

    async def resize(self, size: RouterSize) -> None:
        if size.pods != 1:
            raise PlatformError(f"there can't be {size.pods} Pods of the router: this is one machine")
        write_whole(self._file, msgspec.json.encode(_Wish(size.workers)))

    def _wished(self) -> int | None:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Wish).workers
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PlatformError(f"{self._file} can't be read: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PlatformError(f"{self._file} can't be read: {error}. Remove it.") from error
