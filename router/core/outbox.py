"""What is to be said to whom, in which order?

Pure. Messages lie here from the moment they are posted until whoever has the wire takes them, all at once.
"""

from __future__ import annotations

from collections.abc import Callable

from router.core.frames import Message


class Outbox:
    """Of one direction: by the name of the instance at the other end. Where there is no wire, nothing is kept."""

    def __init__(self, posted: Callable[[], None]) -> None:
        """`posted`: something was."""
        self._posted = posted
        self._waiting: dict[str, list[Message]] = {}
        self._posted_to: dict[str, None] = {}

    def open(self, name: str) -> None:
        """There is a wire, a new one."""
        self._waiting[name] = []

    def close(self, name: str) -> None:
        self._waiting.pop(name, None)

    def post(self, name: str, message: Message) -> None:
        if (waiting := self._waiting.get(name)) is not None:
            waiting.append(message)
            self._posted_to[name] = None
            self._posted()

    def post_all(self, message: Message) -> None:
        for name in self._waiting:
            self.post(name, message)

    def take_all(self) -> list[tuple[str, list[Message]]]:
        """All that waits, by who shall get it, each in the order in which it was posted."""
        taken = []
        for name in self._posted_to:
            if waiting := self._waiting.get(name):
                taken.append((name, waiting))
                self._waiting[name] = []
        self._posted_to = {}
        return taken
