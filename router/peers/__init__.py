"""How does this instance work together with the others?

I/O: a connection to each other instance and one from each (calling.py, answering.py), and a beat. What is said, and
what follows from it, is decided by `core.sharing`; what it wants said goes out once in each turn of the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from router.core.circle import BEAT_S, Peer
from router.core.frames import VERSION, Hello, Message, Welcome
from router.core.model import Instance
from router.core.sharing import Sharing
from router.peers.answering import Answer
from router.peers.calling import Address, Call
from router.pulse import pulse

TELL_AFTER_S = 1.0
_LAST_WORDS_S = 0.05
_UNLISTED_S = 0.25
"""In which others of a machine have seen that this instance is listed no more."""
GIVE_UP_S = 5.0
"""A connection on which nothing has come for so long is cut; who made it makes another."""

_log = logging.getLogger("scoregate.peers")


class Peers:
    """`follow` what the platform says, `run` while it lasts. Needs a running event loop."""

    def __init__(self, identify: Callable[[], Awaitable[ssl.SSLContext]]) -> None:
        """`identify`: how this process shows who it is. It may raise PlatformError."""
        self.name = secrets.token_hex(8)
        self.sharing = Sharing(self.name, self._posted)
        self.frames_total = 0
        """Sent, ever."""
        self._loop = asyncio.get_running_loop()
        self._identify = identify
        self._own = Address("")
        self._calls: dict[Address, tuple[Call, asyncio.Task[None]]] = {}
        self._by_name: dict[str, Call] = {}
        self._answers: dict[str, Answer] = {}
        self._is_flushing = False
        self._is_closed = False
        self._has_joined = False
        self._told = self._seen = ""
        """Who can't be reached: as it was told last, and as it is since `_seen_at`."""
        self._seen_at = 0.0

    # -- its life ------------------------------------------------------------------------------------------

    def announce(self, own: Address) -> None:
        """Where this instance is called."""
        self._own = own

    def answer(self) -> Answer:
        """To one that connects."""
        return Answer(self, self._welcome)

    def follow(self, instances: Iterable[Instance], own: str) -> None:
        """What the platform says of who is there. `own`: the id of this instance; "" where that is not known."""
        now = self._loop.time()
        others = [each for each in instances if each.id != own and (each.peer or each.socket)]
        listed = {Address(each.peer, each.socket): each.id for each in others}
        # One that does not serve may be there for long after its node is gone: nothing is left to it if it is silent.
        self.sharing.list_places([each.id for each in instances if each.serves or each.id == own], own or None, now)
        for address, place in listed.items():
            known = self._calls.get(address)
            if known is None or known[1].done():  # who was not worth a call may be another one by now
                self._call(address, place)
            elif known[0].place != place:
                known[0].place = place
                self.sharing.found_at(known[0].name, place, now)
        for address in self._calls.keys() - listed.keys():
            call = self._calls[address][0]
            call.place = None
            if call.name:
                self.sharing.found_at(call.name, None, now)  # it may still have to give things back
            else:
                self._end(address)
        self._say()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                self.sharing.tick(self._loop.time())
            except Exception:  # of ours: without a beat the others would go on without this one
                _log.exception("a beat failed")
            ends: list[Call | Answer] = [*self._by_name.values(), *self._answers.values()]
            for end in ends:
                end.beat(round(GIVE_UP_S / BEAT_S))
            self._say()
            await pulse(BEAT_S)

    def drain(self) -> None:
        """This instance stops soon."""
        self.sharing.drain(self._loop.time())

    async def close(self) -> None:
        if self.by_state()["up"] > 1:
            await asyncio.sleep(_UNLISTED_S)  # to them, one that is listed and can't be reached may still serve
        self._is_closed = True
        self._flush()
        tasks = [task for _, task in self._calls.values()]
        for task in tasks:
            task.cancel()
        answers = list(self._answers.values())
        for answer in answers:
            answer.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._calls.clear()
        await asyncio.sleep(_LAST_WORDS_S)
        for answer in answers:
            answer.abort()  # over TLS, the other end may take long to say goodbye

    @property
    def has_joined(self) -> bool:
        """Whether it has met those that it was told of at first, or waited long enough."""
        self._has_joined |= self.sharing.is_settled
        return self._has_joined

    def by_state(self) -> dict[str, int]:
        """How many instances there are, this one among those that are up."""
        up = 1 + sum(peer.is_up for peer in self.seen())
        return {"up": up, "missing": len(self.sharing.missing)}

    def owned_by(self) -> Counter[str]:
        """How many deployments each instance owns, by its name; "" is this one."""
        owned = self.sharing.owned_by()
        owned[""] = owned.pop(self.name, 0)
        return owned

    def seen(self) -> list[Peer]:
        return self.sharing.peers(self._loop.time())

    # -- those that are called -----------------------------------------------------------------------------

    def met(self, call: Call, welcome: Welcome) -> bool:
        if welcome.name == self.name:
            return False  # this one itself, by an address that it did not know for its own
        known = self._by_name.get(welcome.name)
        if known is not None and known.place is not None:
            return False  # it is listed, and this call was of one that was not known to be
        if known is not None:
            self._end(known.address)
        self._by_name[welcome.name] = call
        self.sharing.met(welcome.name, call.place, welcome.may_own, self._loop.time())
        return True

    def heard(self, call: Call, message: Message) -> None:
        if self._by_name.get(call.name) is call:
            self.sharing.from_owner(call.name, message, self._loop.time())

    def lost(self, call: Call) -> None:
        if self._by_name.get(call.name) is call:
            del self._by_name[call.name]
            self.sharing.lost(call.name, self._loop.time())
        self._call_back_no_more(call.address)

    # -- those that call -----------------------------------------------------------------------------------

    def called(self, answer: Answer, hello: Hello) -> None:
        if hello.name == self.name:
            return  # this one itself, which hangs up when it hears its own name
        before = self._answers.get(hello.name)
        self._answers[hello.name] = answer
        self.sharing.called(hello.name, self._loop.time())
        if before is not None:
            before.abort()
        answer.called_back = address = _address(hello, answer.address)
        if hello.name not in self._by_name and address is not None and address not in self._calls:
            self._call(address, None)

    def told(self, answer: Answer, message: Message) -> None:
        if self._answers.get(answer.name) is answer:
            self.sharing.from_caller(answer.name, message, self._loop.time())

    def hung_up(self, answer: Answer) -> None:
        if self._answers.get(answer.name) is answer:
            del self._answers[answer.name]
            self.sharing.hung_up(answer.name, self._loop.time())
        self._call_back_no_more(answer.called_back)

    # -- inside --------------------------------------------------------------------------------------------

    def _call(self, address: Address, place: str | None) -> None:
        if self._is_closed:
            return
        call = Call(address, place, self._hello, self._identify, self)
        self._calls[address] = call, asyncio.create_task(call.run())

    def _call_back_no_more(self, address: Address | None) -> None:
        """Unless somebody is there, or another one wants to be."""
        if address is None or any(other.called_back == address for other in self._answers.values()):
            return
        call = self._calls[address][0] if address in self._calls else None
        if call is not None and call.place is None and call not in self._by_name.values():
            self._end(address)

    def _end(self, address: Address) -> None:
        if (known := self._calls.pop(address, None)) is not None:
            known[1].cancel()

    def _hello(self) -> Hello:
        return Hello(VERSION, self.name, self._own.peer, self._own.socket)

    def _welcome(self) -> Welcome | None:
        return None if self._is_closed else Welcome(VERSION, self.name, self.sharing.circle.may_own)

    def _posted(self) -> None:
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """All that was posted in this turn, one frame for each connection."""
        self._is_flushing = False
        for name, messages in self.sharing.to_owners.take_all():
            if (call := self._by_name.get(name)) is not None:
                self.frames_total += 1
                call.send(messages)
        for name, messages in self.sharing.to_borrowers.take_all():
            if (answer := self._answers.get(name)) is not None:
                self.frames_total += 1
                answer.send(messages)

    def _say(self) -> None:
        """Who can't be reached, when that has changed, and lasts: the platform may be about to say that it is gone."""
        missing = self.sharing.missing
        told = ", ".join(missing)
        if told != self._seen:
            self._seen, self._seen_at = told, self._loop.time()
        if told != self._told and (not told or self._loop.time() - self._seen_at >= TELL_AFTER_S):
            if missing:
                _log.warning(
                    "can't reach %s: slots that may be in use there are left alone until the platform lists it no more",
                    told,
                )
            else:
                _log.info("all instances that are listed are reached again")
            self._told = told


def _address(hello: Hello, host: str) -> Address | None:
    """Where who called can be called, if anywhere. What it listens on may be any address of its machine: it came from
    one."""
    if not host:
        return Address(hello.peer, hello.socket) if hello.socket else None
    port = hello.peer.rpartition(":")[2]
    if not port.isdecimal():
        return None
    return Address(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}")
