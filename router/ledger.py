"""How do processes count in memory that outlives them, and how does one read what all of them counted?

I/O: files that are mapped into memory.

Each worker's place has its files, `<place>.0`, `.1` and so on, as many as its names need. Who takes the place of one
that died goes on in its files, so a count never falls, and there are never more files than places. A file is cells of
8 bytes each, numbers in the machine's own form:

    magic, process id, when that started, generation     the generation is another after each change of names
    block, block, ...                                    one for each name
    0                                                    the end; a file is as long as it will ever be from the start

    a block: cells in all, bytes of the name, cells of values; the name, in whole cells; the values

A block without a name is free. One process writes a file, any may read it: a name is written before its length, and a
block before its size, so whoever comes in between sees neither.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from router.core.tally import MOMENTARY, Cells, Name
from router.platforms.local.running import Process, started
from router.platforms.private_files import make_private_folder

_FILE_BYTES = 262_144
_CELL_BYTES = 8
_MAGIC = 20_261_121.0
_MAGIC_AT, _PID_AT, _STARTED_AT, _GENERATION_AT, _FIRST_BLOCK = range(5)
_NAME_BYTES_AT, _VALUES_AT, _NAME_AT = 1, 2, 3
_SEPARATOR = b"\0"

LEDGERS = "ledgers"
"""The folder below the state directory."""


class _Mapped:
    """One file."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        """Raises OSError, FileNotFoundError where a reader comes too early."""
        descriptor = os.open(path, (os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY) | os.O_CLOEXEC, 0o600)
        try:
            if writable:
                os.posix_fallocate(descriptor, 0, _FILE_BYTES)  # a full disk shows now, and not as SIGBUS later
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self.cells: memoryview[float] = memoryview(mmap.mmap(descriptor, _FILE_BYTES, access=access)).cast("d")
        except ValueError as error:  # shorter than it must be: its writer has not made it yet
            raise FileNotFoundError(path) from error
        finally:
            os.close(descriptor)
        self.bytes: memoryview[int] = self.cells.cast("B")
        self.end = _FIRST_BLOCK

    def blocks(self) -> Iterator[int]:
        """Where each begins."""
        at = _FIRST_BLOCK
        while at < len(self.cells) and (size := int(self.cells[at])):
            yield at
            at += size
        self.end = at

    def name_of(self, at: int) -> Name:
        """Empty for a free block."""
        begin = (at + _NAME_AT) * _CELL_BYTES
        text = bytes(self.bytes[begin : begin + int(self.cells[at + _NAME_BYTES_AT])])
        return tuple(text.decode().split("\0")) if text else ()

    def values_of(self, at: int) -> memoryview[float]:
        end = at + int(self.cells[at])
        return self.cells[end - int(self.cells[at + _VALUES_AT]) : end]


class FileLedger:
    """The ledger of one worker's place. For one process and one thread at a time."""

    def __init__(self, folder: Path, place: str) -> None:
        """Goes on where who had the place before left off; what was true only for that one is zero. Raises OSError,
        PlatformError."""
        make_private_folder(folder)
        self._folder = folder
        self._place = place
        self._files: list[_Mapped] = []
        self._blocks: dict[Name, tuple[_Mapped, int]] = {}
        self._free: list[tuple[_Mapped, int]] = []
        while not self._files or (folder / f"{place}.{len(self._files)}").exists():
            self._add_file()

    def open(self, name: Name, *sizes: int) -> Sequence[Cells]:
        count = sum(sizes)
        file, at = self._blocks.get(name) or self._new(name, count)
        values, pieces, begin = file.values_of(at), [], 0
        if len(values) != count:
            raise ValueError(f"{name} has {len(values)} cells in the ledger {self._place}, and not {count}")
        for size in sizes:
            pieces.append(values[begin : begin + size])
            begin += size
        return pieces

    def close(self, name: Name) -> None:
        if (block := self._blocks.pop(name, None)) is None:
            return
        file, at = block
        file.cells[at + _NAME_BYTES_AT] = 0
        file.cells[_GENERATION_AT] += 1
        _clear(file.values_of(at))
        self._free.append(block)

    # -- inside --------------------------------------------------------------------------------------------

    def _add_file(self) -> None:
        file = _Mapped(self._folder / f"{self._place}.{len(self._files)}", writable=True)
        pid = os.getpid()
        for at in file.blocks():
            if name := file.name_of(at):
                self._blocks[name] = file, at
                if name[0].startswith(MOMENTARY):
                    _clear(file.values_of(at))
            else:
                self._free.append((file, at))
        file.cells[_PID_AT], file.cells[_STARTED_AT] = pid, started(pid) or 0
        file.cells[_MAGIC_AT] = _MAGIC
        self._files.append(file)

    def _new(self, name: Name, count: int) -> tuple[_Mapped, int]:
        text = _SEPARATOR.join(part.encode() for part in name)
        file, at = self._room(-(-len(text) // _CELL_BYTES), count)
        begin = (at + _NAME_AT) * _CELL_BYTES
        file.bytes[begin : begin + len(text)] = text
        file.cells[at + _NAME_BYTES_AT] = len(text)
        file.cells[_GENERATION_AT] += 1
        self._blocks[name] = file, at
        return file, at

    def _room(self, name_cells: int, count: int) -> tuple[_Mapped, int]:
        for block in self._free:
            file, at = block
            has_values = int(file.cells[at + _VALUES_AT])
            if has_values == count and int(file.cells[at]) - _NAME_AT - count >= name_cells:
                self._free.remove(block)
                return block
        size = _NAME_AT + name_cells + count
        if self._files[-1].end + size >= len(self._files[-1].cells):
            self._add_file()
        file = self._files[-1]
        at = file.end
        file.cells[at + _VALUES_AT] = count
        file.cells[at] = size
        file.end += size
        return file, at


class _Read:
    """A file as its readers see it: its values by kind and name, looked for again once the names have changed."""

    def __init__(self, path: Path) -> None:
        self._file = _Mapped(path, writable=False)
        self._process: tuple[tuple[int, int], Process] | None = None
        self._generation = -1.0
        self._kinds: dict[str, list[tuple[Name, memoryview[float]]]] = {}

    @property
    def pid(self) -> int:
        return int(self._file.cells[_PID_AT])

    @property
    def lives(self) -> bool:
        """Whoever writes it; that may be another one by now."""
        key = self.pid, int(self._file.cells[_STARTED_AT])
        if self._process is None or self._process[0] != key:
            self._process = key, Process(*key)
        return self._process[1].runs

    def of_kind(self, kind: str) -> list[tuple[Name, memoryview[float]]]:
        generation = self._file.cells[_GENERATION_AT]
        if generation != self._generation:
            self._kinds = {}
            for at in self._file.blocks():
                if name := self._file.name_of(at):
                    self._kinds.setdefault(name[0], []).append((name[1:], self._file.values_of(at)))
            self._generation = generation
        return self._kinds.get(kind, [])


class Totals:
    """What all ledgers of a folder say together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _Read] = {}

    def read(self, kind: str) -> dict[Name, list[float]]:
        """By labels, the sums of all ledgers; of what is momentary, those of living processes.

        Files are added up in the same order each time: so no sum of numbers that only grow ever falls.
        """
        sums: dict[Name, list[float]] = {}
        for file in self._look():
            if (rows := file.of_kind(kind)) and (not kind.startswith(MOMENTARY) or file.lives):
                for labels, values in rows:
                    known = sums.get(labels)
                    row: list[float] = values.tolist()  # type: ignore[assignment]  # they are doubles
                    sums[labels] = row if known is None else [a + b for a, b in zip(known, row, strict=True)]
        return sums

    def living(self, kind: str) -> list[Cells]:
        """The cells themselves, of living processes: what they say changes."""
        return [values for file in self._look() if (rows := file.of_kind(kind)) and file.lives for _, values in rows]

    def pids(self) -> list[int]:
        """Of the last process in each place, in the files' order."""
        return list(dict.fromkeys(file.pid for file in self._look()))

    def _look(self) -> list[_Read]:
        with suppress(OSError):  # as where no descriptor is left: those that were seen before count
            for name in os.listdir(self._folder):
                if name not in self._files:
                    with suppress(FileNotFoundError):  # it is not made yet
                        self._files[name] = _Read(self._folder / name)
        return [self._files[name] for name in sorted(self._files)]


def _clear(values: memoryview[float]) -> None:
    for at in range(len(values)):
        values[at] = 0.0
