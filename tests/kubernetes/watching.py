"""What does one watch still have to send?

I/O: waits on the event loop; the server writes what it gets from here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from tests.kubernetes.kinds import Kind
from tests.kubernetes.refusals import Refusal
from tests.kubernetes.selectors import Matches
from tests.kubernetes.store import Change, Store
from tests.kubernetes.wire import Place, bookmark_line, change_line, error_line, present_lines


class Watch:
    """From `revision` on; from none: what is there comes first. One from the future is silent until then."""

    def __init__(self, store: Store, at: Place, matches: Matches, revision: int, query: Mapping[str, str]) -> None:
        self.kind: Kind = at.kind
        self.revision = revision or store.revision
        """All changes up to it were told."""
        self.ended = False
        self.was_cut = False
        self._store = store
        self._matches = matches
        self._pending: list[bytes] = [] if revision else list(present_lines(store, at, matches))
        self._news = asyncio.Event()
        self._bookmarks = query.get("allowWatchBookmarks") in ("1", "true")
        timeout_s = float(query.get("timeoutSeconds") or "inf")
        self._deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            for change in store.since(at.kind.plural, self.revision):
                self.take(change)
        except Refusal as refusal:
            self.end(refusal)

    @property
    def over(self) -> bool:
        """All was returned by `lines`, and nothing is to come."""
        return self.ended and not self._pending

    def take(self, change: Change) -> None:
        if self.ended or change.plural != self.kind.plural or change.revision <= self.revision:
            return
        self.revision = change.revision
        if (line := change_line(change, self._matches)) is not None:
            self._say(line)

    def bookmark(self) -> None:
        if self._bookmarks and self.revision <= self._store.revision and not self.ended:
            self.revision = self._store.revision
            self._say(bookmark_line(self.kind, self.revision))

    def end(self, refusal: Refusal | None = None) -> None:
        if refusal is not None:
            self._say(error_line(refusal))
        self.ended = True
        self._news.set()

    def cut(self, *, mid_line: bool) -> None:
        if mid_line:
            line = self._pending.pop() if self._pending else bookmark_line(self.kind, self.revision)
            self._pending.append(line[: len(line) // 2])
        self.was_cut = True
        self.end()

    async def lines(self) -> list[bytes]:
        """What has come since the last call; waits for it. The last of a watch that was cut may be half a one."""
        try:
            async with asyncio.timeout_at(self._deadline):
                await self._news.wait()
        except TimeoutError:
            self.bookmark()
            self.end()
        self._news.clear()
        lines, self._pending = self._pending, []
        return lines

    def _say(self, line: bytes) -> None:
        self._pending.append(line)
        self._news.set()
