"""The raw rate of the emulated uplink UART: a program that does nothing but send, and a count of what comes.

No firmware of the system is involved, so the figure is what the emulator, its socket and the modem's thread
let through. The UART is not slowed down to a baud rate.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Final

from brownout.engines.qemu import QemuEngine
from brownout.errors import DeadlineError
from brownout.uplink import Direction, Modem

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.board import Board

_PROGRAM: Final = (
    0x4805,  # ldr r0, =base of the UART
    0x2110,  # movs r1, #16
    0x6101,  # str r1, [r0, #0x10]: the smallest divider
    0x2101,  # movs r1, #1
    0x6081,  # str r1, [r0, #0x08]: transmitter on
    0x6842,  # wait: ldr r2, [r0, #0x04]: state
    0x420A,  # tst r2, r1: transmitter full?
    0xD1FC,  # bne wait
    0x6001,  # str r1, [r0]: send a byte
    0xE7FA,  # b wait
    0xBF00,  # nop: the literal is aligned
    0xBF00,
)
_VECTORS: Final = 8
_ELF_HEADER: Final = struct.Struct("<16s2H5I6H")
_PROGRAM_HEADER: Final = struct.Struct("<8I")
_WARM_UP: Final = 16 * 1024
_TIMEOUT_S: Final = 20.0


def stream_elf(board: Board, program: tuple[int, ...] = _PROGRAM) -> bytes:
    """An ELF file for the board's ROM: a loop that sends on the uplink UART, by CMSDK's registers.

    Another `program` is an even number of Thumb halfwords, followed in memory by the UART's base address.
    """
    base, stack = board.memory["boot_rom"].base, board.memory["boot_ram"].base + 0x1000
    vectors = struct.pack("<2I", stack, (base + _VECTORS) | 1)
    code = struct.pack(f"<{len(program)}HI", *program, board.uart["uplink"].base)
    content, offset = vectors + code, _ELF_HEADER.size + _PROGRAM_HEADER.size
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    elf = _ELF_HEADER.pack(
        ident, 2, 40, 1, base + _VECTORS, _ELF_HEADER.size, 0, 0x0500_0000,
        _ELF_HEADER.size, _PROGRAM_HEADER.size, 1, 40, 0, 0,
    )  # fmt: skip
    load = _PROGRAM_HEADER.pack(1, offset, base, base, len(content), len(content), 5, 4)
    return elf + load + content


class _Arrivals:
    """A tap that counts the first `wanted` bytes after a warm-up."""

    def __init__(self, wanted: int) -> None:
        self.done = threading.Event()
        self._wanted = wanted
        self._total = 0
        self._start = (0.0, 0)
        self.rate = 0.0

    def __call__(self, direction: Direction, data: bytes, /) -> bytes:
        if direction is Direction.UP and not self.done.is_set():
            now = time.monotonic()
            self._total += len(data)
            started, before = self._start
            if not started:
                if self._total >= _WARM_UP:
                    self._start = (now, self._total)
            elif self._total - before >= self._wanted:
                self.rate = (self._total - before) / (now - started)
                self.done.set()
        return data


def stream_rate(board: Board, folder: Path, *, seed: int, size: int) -> float:
    """Bytes per second from the board to the modem, over `size` bytes. Raises EngineError, DeadlineError."""
    boot = folder / "uart-stream.elf"
    boot.write_bytes(stream_elf(board))
    arrivals = _Arrivals(size)
    engine = QemuEngine(board, boot, seed=seed)
    try:
        with socket.socket() as nobody:  # bound, does not listen: the modem drops what it has read
            nobody.bind(("127.0.0.1", 0))
            modem = Modem(nobody.getsockname())
            modem.add_tap(arrivals)
            engine.add_listener(modem)
            try:
                engine.on()
                if not arrivals.done.wait(_TIMEOUT_S):
                    raise DeadlineError(f"raw UART rate: {size} bytes did not come within {_TIMEOUT_S:g} s")
            finally:
                engine.close()
                modem.close()
    finally:
        engine.close()
    return arrivals.rate
