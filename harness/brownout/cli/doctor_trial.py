"""Does an engine work? A program of 68 bytes loses its power in a flash operation on it, and recovers."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BOARD: Final = "mps2-an385"
DEADLINE_S: Final = 60.0
"""Renode takes seconds to start, and the machine may be busy."""

_DONE: Final = 0x600D_600D
_PROGRAM: Final = bytes.fromhex(
    "00c00020"  # 00  stack pointer
    "09000000"  # 04  reset vector
    "0b48"  # 08  ldr   r0, command block of the flash controller
    "0c49"  # 0a  ldr   r1, UART 4: its DATA register is the doorbell
    "1022"  # 0c  movs  r2, #16
    "0a61"  # 0e  str   r2, [r1, #16]    BAUDDIV
    "0122"  # 10  movs  r2, #1
    "8a60"  # 12  str   r2, [r1, #8]     CTRL: transmitter on
    "4260"  # 14  str   r2, [r0, #4]     COMMAND: program
    "0023"  # 16  movs  r3, #0
    "8360"  # 18  str   r3, [r0, #8]     ADDRESS
    "0423"  # 1a  movs  r3, #4
    "c360"  # 1c  str   r3, [r0, #12]    LENGTH
    "084b"  # 1e  ldr   r3, the word to program
    "0361"  # 20  str   r3, [r0, #16]
    "0260"  # 22  str   r2, [r0]         STATUS: busy
    "4624"  # 24  movs  r4, #'F'
    "0c60"  # 26  str   r4, [r1]         ring
    "0468"  # 28  ldr   r4, [r0]
    "9442"  # 2a  cmp   r4, r2
    "fcd0"  # 2c  beq   28
    "4ff00050"  # 2e  mov   r0, #0x20000000
    "0360"  # 32  str   r3, [r0]         done
    "fee7"  # 34  b     34
    "00bf"  # 36
    "00f0ff21"  # 38
    "00900040"  # 3c
    "0d600d60"  # 40
)
_TARGET: Final = f"""\
name = "doctor"
board = "{BOARD}"
elf = "boot.elf"

[boot]
budget = 100_000
clean_boots = 1
vector_table = 0

[[outcome]]
name = "done"
marker = [{{ address = 0x2000_0000, value = {_DONE:#x} }}]
flash = [{{ address = 0x2100_0000, values = [{_DONE:#x}] }}]
"""
_CODE: Final = "from brownout.cli import main; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How it went: `problem` is one line, "" when all was well."""

    problem: str
    seconds: float


def elf_file(code: bytes) -> bytes:
    """An ELF file for Arm with one segment at address 0: `code`, whose first words are the vector table."""
    file_header, program_header, entry = 52, 32, struct.unpack_from("<I", code, 4)[0]
    identity = b"\x7fELF" + bytes((1, 1, 1)) + bytes(9)  # 32 bit, little-endian
    head = struct.pack(
        *("<HHIIIIIHHHHHH", 2, 40, 1, entry, file_header, 0, 0x0500_0000),  # an executable for Arm, EABI 5
        *(file_header, program_header, 1, 40, 0, 0),
    )
    start = file_header + program_header
    segment = struct.pack("<IIIIIIII", 1, start, 0, 0, len(code), len(code), 5, 4)
    return identity + head + segment + code


def try_engine(engine: str, *, deadline_s: float = DEADLINE_S) -> Trial:
    """One power cut on `engine`, in a process of its own: an emulator that crashes or hangs is an answer."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="brownout-doctor-") as folder:
        return Trial(problem=_sweep(Path(folder), engine, deadline_s), seconds=time.monotonic() - begin)


def _sweep(folder: Path, engine: str, deadline_s: float) -> str:
    (folder / "boot.elf").write_bytes(elf_file(_PROGRAM))
    (folder / "target.toml").write_text(_TARGET)
    options = ("--engine", engine, "--phases", "torn", "--points", "1", "--live", "0", "--jobs", "1")
    with subprocess.Popen(
        [sys.executable, "-c", _CODE, "sweep", "target.toml", *options, "--json", "result.json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            return f"does not come to an end within {deadline_s:g} s"
        finally:
            process.kill()  # what it started ends with it
    if process.returncode < 0:
        return f"the process was ended by signal {-process.returncode}"
    if process.returncode != 0:
        last = said.strip().rpartition("\n")[2]
        return last.removeprefix("brownout: error: ") or f"exit code {process.returncode}"
    cuts = json.loads((folder / "result.json").read_text())["depths"][0]
    return "" if cuts["fired"] == cuts["requested"] > 0 else "the power cut did not happen"
