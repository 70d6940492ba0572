"""What do two instances say to each other about slots, and how does it look on the wire?

Pure. A frame is its length (4 bytes, big-endian) and a MessagePack array of messages; each message is an array whose
first element says which kind it is. Bounded: a frame over MAX_FRAME_BYTES ends the connection, as does one that can't
be decoded, or says a number that none of us would say.

The one who calls is the borrower, the one who is called the owner, whichever deployments they speak of: between two
instances there are two connections. Each begins with `Hello` and `Welcome`, which have the same form in every version;
where the versions differ nothing else is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

VERSION = 1
"""Of all messages but the first two; instances of different versions share nothing."""
MAX_FRAME_BYTES = 4 * 2**20
MAX_PERMITS = 200_000
"""So many an instance may say that it holds: more than it could have requests."""
_LENGTH_BYTES = 4

_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
_Seconds = Annotated[float, Meta(ge=0, le=1e6)]


class FrameError(ValueError):
    """These bytes are no frame of ours."""


class Hello(Struct, frozen=True, array_like=True, tag=0):
    """Who calls, and where it can be called back."""

    version: int
    name: _Name
    """Of the process; another one has another, also at the same place."""
    peer: str = ""
    socket: str = ""


class Welcome(Struct, frozen=True, array_like=True, tag=1):
    """Who was called."""

    version: int
    name: _Name
    may_own: bool = True
    """Whether it may own deployments: one that starts has to meet the others first, one that stops soon should not."""


class Beat(Struct, frozen=True, array_like=True, tag=2):
    """The caller lives; the called says the same number back."""

    number: int


class View(Struct, frozen=True, array_like=True, tag=3):
    """Borrower: these instances I work with, and of what you own in this view I hold that much. What I asked or was
    told before is void."""

    epoch: int
    """Of what this caller says to this owner; on every answer."""
    change: int
    """How often the caller's view has changed."""
    answers: int
    """The last change of the owner's own view that the caller has heard of; 0: none."""
    digest: bytes
    held: dict[str, dict[str, Annotated[int, Meta(ge=0)]]]
    """Permits by deployment key and uid."""

    def __post_init__(self) -> None:
        if sum(sum(permits.values()) for permits in self.held.values()) > MAX_PERMITS:
            raise ValueError(f"no instance holds more than {MAX_PERMITS:,} permits")


class Hears(Struct, frozen=True, array_like=True, tag=13):
    """Borrower: these are the instances that I hear."""

    names: tuple[str, ...]


class Ask(Struct, frozen=True, array_like=True, tag=4):
    """Borrower: a request waits for a slot."""

    deployment: str
    number: int
    age_s: _Seconds = 0.0
    avoid: tuple[str, ...] = ()


class Cancel(Struct, frozen=True, array_like=True, tag=5):
    """Borrower: it waits no more."""

    deployment: str
    number: int


class GiveBack(Struct, frozen=True, array_like=True, tag=6):
    """Borrower: so many permits of this replica are yours again."""

    deployment: str
    uid: str
    count: Annotated[int, Meta(ge=1)] = 1


class Pause(Struct, frozen=True, array_like=True, tag=7):
    """Borrower: this replica fails; nobody should get it for so long."""

    deployment: str
    uid: str
    for_s: _Seconds


class Echo(Struct, frozen=True, array_like=True, tag=8):
    """Owner: I heard that beat."""

    number: int


class MayOwn(Struct, frozen=True, array_like=True, tag=9):
    """Owner: from now on I may own deployments, or should not any more."""

    yes: bool


class Grant(Struct, frozen=True, array_like=True, tag=10):
    """Owner: a permit for this replica, for what you asked under that number. `keeps`: you may keep it after use."""

    epoch: int
    deployment: str
    number: int
    uid: str
    keeps: bool


class Refuse(Struct, frozen=True, array_like=True, tag=11):
    """Owner: there is no room to wait. `wait_s`: how long it would have been, where that is known."""

    epoch: int
    deployment: str
    number: int
    wait_s: float | None = None


class Recall(Struct, frozen=True, array_like=True, tag=12):
    """Owner: somebody waits. What you don't use is wanted back, and what you use as soon as you don't; with a uid: of
    that replica alone."""

    epoch: int
    deployment: str
    uid: str = ""


ToOwner = Ask | Cancel | GiveBack | Pause
"""What a borrower says of one deployment."""
FromOwner = Grant | Refuse | Recall
"""What an owner says of one deployment."""
Message = Hello | Welcome | Beat | Echo | View | Hears | MayOwn | ToOwner | FromOwner

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[list[Message]] = msgspec.msgpack.Decoder(list[Message])


def encoded(messages: list[Message]) -> bytes:
    """One frame. Raises FrameError for one that would be too long."""
    body = _encoder.encode(messages)
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {len(body):,} bytes; the most is {MAX_FRAME_BYTES:,}")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class FrameReader:
    """Bytes as they come in, messages as they are complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Raises FrameError, on the way, after all that was right."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _LENGTH_BYTES:
            length = int.from_bytes(buffer[:_LENGTH_BYTES], "big")
            if length > MAX_FRAME_BYTES:
                raise FrameError(f"a frame of {length:,} bytes; the most is {MAX_FRAME_BYTES:,}")
            end = _LENGTH_BYTES + length
            if len(buffer) < end:
                return
            body = bytes(buffer[_LENGTH_BYTES:end])
            del buffer[:end]
            try:
                messages = _decoder.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise FrameError(f"a frame that can't be read: {error}") from None
            yield from messages
