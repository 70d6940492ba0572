"""What goes over an encrypted connection of a client, byte by byte?

A client's end of a TLS connection, driven by hand as `wires.ClientWire` is. An end without close_notify counts as a
reset: a reply before it may have been cut short by anybody.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Self

from tests.certificates import NAME
from tests.wire.wires import PATIENCE_S, ClientWire

_RECORD_BYTES = 16_384


class EncryptedWire(ClientWire):
    """A client's end."""

    @classmethod
    async def over_tls(
        cls,
        address: tuple[str, int],
        context: ssl.SSLContext,
        receive_buffer_bytes: int | None = None,
        preface: bytes = b"",
    ) -> Self:
        wire = await cls.to(address, receive_buffer_bytes)
        wire.incoming, wire.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        wire.outgoing.write(preface)  # in one segment with the first bytes of the handshake
        wire.tls = context.wrap_bio(wire.incoming, wire.outgoing, server_hostname=NAME)
        while True:
            try:
                wire.tls.do_handshake()
                await wire.flush()
                return wire
            except ssl.SSLWantReadError:
                await wire.flush()
                wire.incoming.write(await wire.raw())

    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    tls: ssl.SSLObject

    async def raw(self, most: int = 65_536) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            data = await asyncio.get_running_loop().sock_recv(self.sock, most)
        assert data, "closed within the handshake"
        return data

    async def flush(self) -> None:
        if self.outgoing.pending:
            await super().send(self.outgoing.read())

    async def send(self, data: bytes) -> None:
        await self.flush()
        left = memoryview(data)
        while left:
            left = left[self.tls.write(left) :]
        await self.flush()

    async def send_as_much_as_goes(self, data: bytes) -> int:
        for at in range(0, len(data), _RECORD_BYTES):
            self.tls.write(data[at : at + _RECORD_BYTES])
            record = self.outgoing.read()
            sent = await super().send_as_much_as_goes(record)
            if sent < len(record):
                self.outgoing.write(record[sent:])
                return at
        return len(data)

    def half_close(self) -> None:
        with suppress(ssl.SSLError):
            self.tls.unwrap()
        self.sock.send(self.outgoing.read())
        super().half_close()

    async def hear(self, most: int = 65_536) -> bool:
        if self.ended:
            return False
        before = len(self.received)
        while len(self.received) == before and not self.ended:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    self._heard(await asyncio.get_running_loop().sock_recv(self.sock, most))
            except ConnectionResetError:
                self.ended = self.was_reset = True
        return not self.ended or len(self.received) > before

    def silent(self) -> bool:
        before = len(self.received)
        with suppress(BlockingIOError):
            try:
                self._heard(self.sock.recv(65_536))
            except ConnectionResetError:
                return False
        return before == len(self.received) == self.taken and not self.ended

    def _heard(self, data: bytes) -> None:
        if not data:
            self.ended = self.was_reset = True
            return
        self.incoming.write(data)
        with suppress(ssl.SSLWantReadError):
            while piece := self.tls.read(65_536):
                self.received += piece
            self.ended = True
