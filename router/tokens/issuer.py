"""Which keys does one issuer sign with now, and when is it asked again?

I/O: one task that asks (router.tokens.discovery), one question at a time.

Theory of operation. The task asks at once, then when what it got may not be kept any longer, then sooner where a
request needs a key that is not among them. Invariants:

1. What was had last is used until there is better: no failure and no empty set takes a key away.
2. A request makes it ask at most once in UNKNOWN_KEY_GAP_S once there are keys, and never while there are none: then
   the pauses between failures count, 1 s to 30 s.
3. Who waits for an answer waits for one that somebody else asked for just as well.
4. A key is said to be none of the issuer's only where an answer that was asked for afterwards does not have it. Else
   nobody can tell: so that a stranger who makes it ask in vain, right before the issuer changes its keys, delays
   tokens of the new key, but has none of them called wrong.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable

from router.core.errors import CannotVerify
from router.tokens import discovery
from router.tokens.discovery import PATIENCE_S, Source, Useless
from router.tokens.jwks import VerifyingKey

UNKNOWN_KEY_GAP_S = 30.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
MOST_LACKING = 1_000
"""Names of keys that it was asked for in vain: those that strangers make up are among them."""
MAX_FAULT_LENGTH = 300
"""Characters of what an issuer does wrong, in the log."""

log = logging.getLogger("scoregate.tokens")


class Issuer:
    """`keys` is empty until the first are had. `changed` is called whenever they are others."""

    def __init__(self, source: Source, changed: Callable[[], None]) -> None:
        self.keys: tuple[VerifyingKey, ...] = ()
        self._source = source
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[None] | None = None
        """Of the question that is asked now, or at once."""
        self._wake = asyncio.Event()
        self._next_s = self._loop.time()
        self._asked_s = -math.inf
        self._sought: dict[str | None, None] = {}
        """Names of keys that somebody wants, which the next question tells of; None for one without a name."""
        self._lacking: dict[str | None, None] = {}
        """Those that no answer had, the latest last."""
        self._fault = ""
        self._task = self._loop.create_task(self._run(), name=f"keys of {source.issuer}")
        self._expect_answer()

    def may_ask(self) -> bool:
        """Whether a key that is not there may be asked for: there is none yet, it was long ago, or it is being done."""
        return not self.keys or self._answer is not None or self._may_wake()

    def seek(self, key_id: str | None) -> None:
        """The next question is for this key, too."""
        if len(self._sought) < MOST_LACKING:
            self._sought[key_id] = None

    def check_lacks(self, key_id: str | None) -> None:
        """Returns where it was asked for this key, and has none. Raises CannotVerify where that is not known."""
        if key_id not in self._lacking:
            now_s = self._loop.time()
            wait_s = max(0.0, min(self._next_s, self._asked_s + UNKNOWN_KEY_GAP_S) - now_s)
            raise CannotVerify(
                f"The issuer {self._source.issuer} can't be asked for the key of the token just now.", wait_s
            )

    async def ask(self) -> None:
        """Returns once there was an answer, whatever it was. Raises CannotVerify while there were never any keys."""
        if self._answer is None and self.keys and self._may_wake():
            self._asked_s = self._loop.time()
            self._expect_answer()
            self._wake.set()
        if self._answer is not None:
            await asyncio.wait((self._answer,), timeout=PATIENCE_S)
        if not self.keys:
            wait_s = max(0.0, self._next_s - self._loop.time())
            raise CannotVerify(f"The keys of the issuer {self._source.issuer} are not known yet.", wait_s)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))
        self._settle()

    def _may_wake(self) -> bool:
        return self._loop.time() - self._asked_s >= UNKNOWN_KEY_GAP_S

    def _expect_answer(self) -> None:
        self._answer = self._loop.create_future()

    def _settle(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(None)

    async def _run(self) -> None:
        """Until it is cancelled."""
        failures = 0
        while True:
            self._wake.clear()
            if self._answer is None:
                self._expect_answer()
            try:
                pause_s = await self._learn()
                failures = 0
            except Exception as error:  # whatever it is: the keys that are known are good still
                failures += 1
                pause_s = _pause_s(failures)
                self._say(error)
            self._next_s = self._loop.time() + pause_s
            self._settle()
            await self._rest(pause_s)

    async def _rest(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _learn(self) -> float:
        """Seconds until it has to be asked again."""
        sought, self._sought = self._sought, {}
        found = await discovery.fetch(self._source)
        self._note_lacking([*sought, *(key.key_id for key in self.keys)], found.keys)
        if self._fault:
            log.info("the keys of the issuer %s can be had again", self._source.issuer)
            self._fault = ""
        if found.keys != self.keys:
            self.keys = found.keys
            self._changed()
        return found.kept_s * random.uniform(0.9, 1.0)

    def _note_lacking(self, asked_for: list[str | None], keys: tuple[VerifyingKey, ...]) -> None:
        named = {key.key_id for key in keys}
        latest = dict.fromkeys(each for each in asked_for if each is None or each not in named)
        earlier = [each for each in self._lacking if each not in latest and each not in named]
        self._lacking = dict.fromkeys([*earlier, *latest][-MOST_LACKING:])

    def _say(self, error: Exception) -> None:
        """What is wrong, once, and again when it changes."""
        fault = (str(error) if isinstance(error, Useless) else f"{type(error).__name__}: {error}")[:MAX_FAULT_LENGTH]
        if fault != self._fault:
            kept = f"its {len(self.keys)} known keys are used on" if self.keys else "its tokens can't be checked"
            log.warning("the keys of the issuer %s can't be had, %s: %s", self._source.issuer, kept, fault)
        self._fault = fault


def _pause_s(failures: int) -> float:
    whole_s: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16))
    return whole_s * random.uniform(0.5, 1.0)
