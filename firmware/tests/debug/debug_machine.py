"""A Cortex-M3 in Unicorn that executes an app as the reference device does: BKPT traps, watch areas fault."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from unicorn import (
    UC_ARCH_ARM,
    UC_ERR_FETCH_UNMAPPED,
    UC_HOOK_MEM_READ,
    UC_HOOK_MEM_WRITE,
    UC_MEM_WRITE,
    UC_MODE_THUMB,
)
from unicorn import arm_const as arm
from unicorn.unicorn_py3 import Uc, UcError

CODE = 0x20020000
DATA = 0x20030000
SIZE = 0x10000
IT_BITS = 0x0600FC00
PC, XPSR = 15, 16

_REGISTERS = [
    *(getattr(arm, f"UC_ARM_REG_R{i}") for i in range(13)),
    arm.UC_ARM_REG_SP,
    arm.UC_ARM_REG_LR,
    arm.UC_ARM_REG_PC,
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One access that an instruction made. Bytes."""

    address: int
    size: int
    is_write: bool

    def meets(self, base: int, size: int) -> bool:
        """Whether it touches the range."""
        return self.address < base + size and base < self.address + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why the app stopped: "breakpoint", "memory" (`address` faulted)."""

    kind: str
    address: int = 0


def with_it(xpsr: int, it: int) -> int:
    """XPSR with another ITSTATE."""
    return (xpsr & ~IT_BITS) | ((it & 3) << 25) | ((it & 0xFC) << 8)


def it_of(xpsr: int) -> int:
    """ITSTATE."""
    return ((xpsr >> 25) & 3) | ((xpsr >> 8) & 0xFC)


def it_advance(it: int) -> int:
    """ITSTATE for the next instruction of the block."""
    return (it & 0xE0) | ((it << 1) & 0x1F) if it & 7 else 0


def size_at(code: bytes) -> int:
    """Size of the instruction."""
    return 4 if code[1] >> 3 >= 0x1D else 2


class Machine:
    """Registers r0-r12, sp, lr, pc, xpsr; memory at CODE and DATA, SIZE bytes each."""

    def __init__(self) -> None:
        self.registers = [0] * 17
        self.accesses: list[Access] = []
        self._is_exclusive = False
        self._writes: list[tuple[int, bytes]] = []
        self._undo: list[tuple[int, bytes]] = []
        # Not UC_MODE_MCLASS: it means a Cortex-M33, whatever model is asked for.
        self._uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB, cpu=arm.UC_CPU_ARM_CORTEX_M3)
        self._uc.mem_map(CODE, SIZE)
        self._uc.mem_map(DATA, SIZE)
        self._uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, self._on_access)

    def write(self, address: int, data: bytes) -> None:
        """Change memory from outside."""
        self._uc.mem_write(address, data)
        self._uc.ctl_remove_cache(address & ~1, (address + len(data) + 2) & ~1)

    def read(self, address: int, length: int) -> bytes:
        """Memory."""
        return bytes(self._uc.mem_read(address, length))

    def take_writes(self) -> list[tuple[int, bytes]]:
        """What the app wrote since the last time."""
        writes, self._writes = self._writes, []
        return writes

    def _on_access(self, _uc: object, kind: int, address: int, size: int, _value: int, _data: object) -> None:
        is_write = kind == UC_MEM_WRITE
        self.accesses.append(Access(address=address, size=size, is_write=is_write))
        if is_write and (CODE <= address < CODE + SIZE or DATA <= address < DATA + SIZE):
            self._undo.append((address, self.read(address, size)))

    def execute(self) -> bool:
        """Execute the instruction at pc, alone; False when the core does not (undefined, unmapped)."""
        pc, xpsr = self.registers[PC], self.registers[XPSR]
        it = it_of(xpsr)
        code = self.read(pc, 2)
        size = size_at(code)
        self.accesses, self._undo = [], []
        if code[1] == 0xBF and code[0] & 0x0F:  # IT: the engine would go on with its block
            self.registers[PC] = pc + 2
            self.registers[XPSR] = with_it(xpsr, code[0])
            return True
        # Alone in its block, so that the engine stops behind it, whether it is skipped or not.
        if not self._start(size, with_it(xpsr, (it & 0xF0) | 8 if it & 0xF else 0)):
            return False
        if it & 0xF and self._uc.reg_read(arm.UC_ARM_REG_PC) != pc + size:
            # A branch is executed as without the block, but behind it the engine does not stop: once more.
            self.undo()
            self.accesses = []
            if not self._start(size, with_it(xpsr, 0)):
                return False
        self.registers = [self._uc.reg_read(register) for register in _REGISTERS]
        flags = self._uc.reg_read(arm.UC_ARM_REG_XPSR)
        following = it_advance(it) if self.registers[PC] == pc + size else 0
        self.registers.append(with_it(flags | 0x01000000, following))
        return True

    def _start(self, size: int, xpsr: int) -> bool:
        pc = self.registers[PC]
        for register, value in zip(_REGISTERS, self.registers[:16], strict=True):
            self._uc.reg_write(register, value)
        self._uc.reg_write(arm.UC_ARM_REG_XPSR, xpsr)
        try:
            self._uc.emu_start(pc | 1, pc + size, count=1)
        except UcError as error:
            # An unmapped target is the fault of the next instruction.
            return bool(error.errno == UC_ERR_FETCH_UNMAPPED)
        return True

    def _execute_exclusive(self) -> bool:
        """Follow LDREX; a STREX that an exception parted from it fails here: the engine has no such."""
        first, second = struct.unpack("<2H", self.read(self.registers[PC], 4))
        is_word = first & 0xFFE0 == 0xE840
        if not is_word and (first & 0xFFE0 != 0xE8C0 or second >> 5 & 7 != 2):
            return False
        was, self._is_exclusive = self._is_exclusive, bool(first & 0x10)
        if was or self._is_exclusive:
            return False
        self.accesses = []
        self.registers[second >> 8 & 15 if is_word else second & 15] = 1
        self.registers[PC] += 4
        return True

    def undo(self) -> None:
        """Take back what the last instruction wrote."""
        for address, data in reversed(self._undo):
            self._uc.mem_write(address, data)
        self._undo = []

    def run(self, areas: Sequence[tuple[int, int, bool]], limit: int, trace: list[int]) -> Fault | None:
        """Execute up to `limit` instructions; `trace` gets the addresses of those that were completed.

        It begins with the return from an exception, which clears the exclusive monitor.
        """
        self._is_exclusive = False
        for _ in range(limit):
            before = list(self.registers)
            pc = before[PC]
            halfword = self.read(pc, 2)
            if halfword[1] == 0xBE:
                return Fault(kind="breakpoint")
            if halfword[1] == 0xDF:  # SVC: the kernel serves it and returns behind it
                self.registers[PC] = pc + 2
                self.registers[XPSR] = with_it(before[XPSR], it_advance(it_of(before[XPSR])))
                trace.append(pc)
                continue
            executed = self._execute_exclusive() or self.execute()
            denied = self._denied(areas, pc, size_at(halfword))
            if denied is not None or not executed:
                self.undo()
                self.registers = before
                return Fault(kind="memory", address=denied or 0)
            for access in self.accesses:
                if access.is_write:
                    self._writes.append((access.address, self.read(access.address, access.size)))
            trace.append(pc)
        return None

    def _denied(self, areas: Sequence[tuple[int, int, bool]], pc: int, size: int) -> int | None:
        for base, length, no_access in areas:
            if no_access and Access(address=pc, size=size, is_write=False).meets(base, length):
                return 0  # a fetch that faults leaves no address
            for access in self.accesses:
                if (no_access or access.is_write) and access.meets(base, length):
                    return max(access.address, base)
        return None
