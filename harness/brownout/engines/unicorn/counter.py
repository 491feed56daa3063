"""Virtual time: counts the halfwords of code that a Uc executes, and stops it in time.

The work is done in a hook at the start of each block of code. As a Python function such a hook costs four
fifths of the speed, so it is compiled with llvmlite. Where llvmlite cannot be imported, or when asked for, a
Python function does the same: both count and stop at the same places, which a test compares.

A stop always comes before a block is executed, never inside of one: going on after it changes nothing.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unicorn import UC_HOOK_BLOCK, UC_HOOK_TLB_FILL, UC_PROT_ALL, UC_TLB_VIRTUAL
from unicorn.arm_const import (
    UC_ARM_REG_BASEPRI,
    UC_ARM_REG_FAULTMASK,
    UC_ARM_REG_PRIMASK,
    UC_ARM_REG_XPSR,
    UC_ARM_REG_XPSR_NZCVQG,
)
from unicorn.unicorn_const import UC_CTL_IO_WRITE, UC_CTL_TLB_FLUSH, UC_MEM_FETCH
from unicorn.unicorn_py3.unicorn import uclib

from brownout.errors import EngineError

if TYPE_CHECKING:
    from unicorn.unicorn_py3.unicorn import Uc, uc_tlb_entry

PAGE_SHIFT: Final = 12
"""Executed code is noted by pages of 4 KiB."""
_PAGES: Final = 1 << (32 - PAGE_SHIFT)
_XPSR_IT: Final = 0x0600FC00
_FLUSH_TLB: Final = UC_CTL_TLB_FLUSH | UC_CTL_IO_WRITE << 30

# Words of the shared state, 64 bits each.
_TIME, _LIMIT, _WATCH, _PRIORITY, _GROUP, _STOPPED, _BLOCK, _SIZE, _EXECUTED, _TOUCHED = range(10)
_STATE_WORDS: Final = 10

RUNNING, DUE, SPINNING = 0, 1, 2
"""Why the code was stopped: not by the counter, limit reached or interrupt possible, block that branches
to itself.
"""
NOBODY, MASKED, AT_ONCE = 0, 1, 2
"""What the counter watches for: nothing, the masks to let an interrupt of a priority through, the next
block.
"""

_SPIN_SIZE: Final = 2
_NO_BLOCK: Final = -1


class BlockCounter:
    """Counts blocks of one Uc; `time` goes up by half of a block's size in bytes before it is executed."""

    def __init__(self, uc: Uc, *, native: bool | None = None) -> None:
        """Hook `uc`. `native` None: as machine code where llvmlite is there. Raises EngineError."""
        self._state = (ctypes.c_int64 * _STATE_WORDS)()
        self._pages = bytearray(_PAGES)
        self._buffer = (ctypes.c_char * _PAGES).from_buffer(self._pages)
        self._state[_EXECUTED] = ctypes.addressof(self._buffer)
        self._touched = bytearray(_PAGES)
        self._touched_buffer = (ctypes.c_char * _PAGES).from_buffer(self._touched)
        self._state[_TOUCHED] = ctypes.addressof(self._touched_buffer)
        self._uc = uc
        self._state[_BLOCK] = _NO_BLOCK
        code = _native_code() if native is None or native else None
        if code is None and native:
            raise EngineError("native block counter: llvmlite cannot be imported: install it")
        self.native: Final = code is not None
        if code is None:
            uc.hook_add(UC_HOOK_BLOCK, self._on_block)
        else:
            _add_native_hook(uc, UC_HOOK_BLOCK, code.on_block, ctypes.addressof(self._state))

    @property
    def time(self) -> int:
        """Virtual time, halfwords."""
        return self._state[_TIME]

    @time.setter
    def time(self, value: int) -> None:
        self._state[_TIME] = value

    @property
    def limit(self) -> int:
        """Where set_limit() was set to."""
        return self._state[_LIMIT]

    @property
    def stopped(self) -> int:
        """What take_stop() would return."""
        return self._state[_STOPPED]

    @property
    def block(self) -> tuple[int, int]:
        """Address and size of the last block that was counted."""
        return self._state[_BLOCK], self._state[_SIZE]

    def forget_block(self, block: tuple[int, int] = (_NO_BLOCK, 0)) -> None:
        """Take the next block, or the one after `block`, for a first one: not for a repetition."""
        self._state[_BLOCK], self._state[_SIZE] = block

    def take_stop(self) -> int:
        """Why the code was stopped since the last call: RUNNING (not by the counter), DUE or SPINNING."""
        stopped: int = self._state[_STOPPED]
        self._state[_STOPPED] = RUNNING
        return stopped

    def set_limit(self, time: int) -> None:
        """Stop before the first block that begins at `time` or later."""
        self._state[_LIMIT] = time

    def watch(self, what: int, *, priority: int = 0, group: int = 0xFF) -> None:
        """Look out for NOBODY, MASKED (until an interrupt of `priority` is let through) or the next block
        AT_ONCE.

        `group` masks the part of BASEPRI that counts.
        """
        self._state[_WATCH] = what
        self._state[_PRIORITY] = priority
        self._state[_GROUP] = group

    def take_back(self, pc: int) -> None:
        """Uncount what was not executed of the last block: the core stands before `pc`, inside of it."""
        start, size = self.block
        if start <= pc < start + size:
            self._state[_TIME] -= (start + size - pc) // 2
            self.forget_block()

    def executed(self, start: int, end: int) -> bool:
        """Whether code in a page of `start` up to `end` was executed since forget_executed()."""
        return self._pages.find(1, start >> PAGE_SHIFT, ((end - 1) >> PAGE_SHIFT) + 1) >= 0

    def forget_executed(self, start: int, end: int) -> None:
        """Note that no translation of code in the whole pages of `start` up to `end` is left."""
        first, last = start >> PAGE_SHIFT, ((end - 1) >> PAGE_SHIFT) + 1
        self._pages[first:last] = bytes(last - first)

    def watch_reads(self) -> None:
        """Note which pages are accessed: take_touched().

        Through the hook that fills Unicorn's translation buffer, so each page costs one call after each
        take_touched(), and nothing more. (A hook on reads would cost more, and breaks loads inside of IT
        blocks: Unicorn 2.1.4 leaves the IT state behind when it looks up the PC for the hook.)
        """
        self._uc.ctl_set_tlb_mode(UC_TLB_VIRTUAL)
        self._uc.hook_add(UC_HOOK_TLB_FILL, self._on_page)

    def _on_page(self, uc: Uc, address: int, access: int, entry: uc_tlb_entry, _data: object) -> bool:
        self._touched[address >> PAGE_SHIFT] = 1
        entry.paddr = address
        entry.perms = UC_PROT_ALL  # those of the memory there hold as well
        if access != UC_MEM_FETCH:
            # For the hook, Unicorn has set the IT state of the instruction. Translated code knows it by
            # itself, and would carry this one on to the next block.
            xpsr = uc.reg_read(UC_ARM_REG_XPSR)
            if xpsr & _XPSR_IT:
                uc.reg_write(UC_ARM_REG_XPSR_NZCVQG, xpsr & ~_XPSR_IT)
        return True

    def touch(self, start: int, end: int) -> None:
        """Note that `start` up to `end` was read by other means than by code."""
        for page in range(start >> PAGE_SHIFT, ((end - 1) >> PAGE_SHIFT) + 1):
            self._touched[page] = 1

    def take_touched(self, start: int, end: int) -> tuple[tuple[int, int], ...]:
        """Ranges of `start` up to `end`, executed or read since the last call.

        Whole pages (start, end), counted from `start`.
        """
        first, last = start >> PAGE_SHIFT, ((end - 1) >> PAGE_SHIFT) + 1
        found: list[tuple[int, int]] = []
        at = self._touched.find(1, first, last)
        while at >= 0:
            behind = self._touched.find(0, at, last)
            if behind < 0:
                behind = last
            found.append(((at - first) << PAGE_SHIFT, (behind - first) << PAGE_SHIFT))
            at = self._touched.find(1, behind, last)
        self._touched[first:last] = bytes(last - first)
        error = uclib.uc_ctl(self._uc._uch, ctypes.c_int(_FLUSH_TLB))  # noqa: SLF001 - no call for it either
        if error:
            raise EngineError(f"Unicorn cannot flush its translation buffer (error {error})")
        return tuple(found)

    def _on_block(self, uc: Uc, address: int, size: int, _data: object) -> None:
        """The same as _ir(), step by step."""
        state = self._state
        for pages in (self._pages, self._touched):
            pages[address >> PAGE_SHIFT] = 1
            pages[(address + size - 1) >> PAGE_SHIFT] = 1
        if (
            state[_TIME] >= state[_LIMIT]
            or state[_WATCH] == AT_ONCE
            or (state[_WATCH] == MASKED and self._is_let_through(uc))
        ):
            state[_STOPPED] = DUE
            uc.emu_stop()
        elif address == state[_BLOCK] and size == _SPIN_SIZE:
            state[_STOPPED] = SPINNING
            uc.emu_stop()
        else:
            state[_BLOCK] = address
            state[_SIZE] = size
            state[_TIME] += size // 2

    def _is_let_through(self, uc: Uc) -> bool:
        if uc.reg_read(UC_ARM_REG_PRIMASK) or uc.reg_read(UC_ARM_REG_FAULTMASK):
            return False
        base = uc.reg_read(UC_ARM_REG_BASEPRI)
        return not base or self._state[_PRIORITY] < (base & self._state[_GROUP])


def add_access_hook(uc: Uc, kind: int, begin: int, end: int, *, native: bool) -> None:
    """Add a hook that does nothing: for accesses to `begin`..`end` Unicorn then keeps the PC up to date."""
    code = _native_code() if native else None
    if code is None:
        uc.hook_add(kind, lambda *_: None, begin=begin, end=end)
    else:
        _add_native_hook(uc, kind, code.on_access, 0, begin, end)


def _add_native_hook(uc: Uc, kind: int, entry: int, data: int, begin: int = 1, end: int = 0) -> None:
    """Add machine code at `entry` as a hook for addresses `begin`..`end` (all when begin > end)."""
    handle = ctypes.c_size_t()
    error = uclib.uc_hook_add(
        uc._uch,  # noqa: SLF001 - the binding has no call for hooks that are not Python
        ctypes.byref(handle),
        kind,
        ctypes.c_void_p(entry),
        ctypes.c_void_p(data),
        ctypes.c_uint64(begin),
        ctypes.c_uint64(end),
    )
    if error:
        raise EngineError(f"Unicorn refuses a hook of kind {kind:#x} (error {error})")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    """Addresses of compiled hooks. `owner` is what the code lives in."""

    on_block: int
    on_access: int
    owner: object


@functools.cache
def _native_code() -> _Code | None:
    """The compiled hooks, once a process; None without llvmlite."""
    try:
        import llvmlite.binding as llvm
    except ImportError:
        return None
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(_ir())
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(opt=2)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return _Code(
        on_block=int(engine.get_function_address("on_block")),
        on_access=int(engine.get_function_address("on_access")),
        owner=engine,
    )


def _function(name: str) -> int:
    return ctypes.cast(getattr(uclib, name), ctypes.c_void_p).value or 0


def _ir() -> str:
    def word(index: int, name: str) -> str:
        return f"%{name} = getelementptr i64, ptr %s, i64 {index}"

    def register(number: int, name: str) -> str:
        read = f"inttoptr (i64 {_function('uc_reg_read')} to ptr)"
        return f"""
  store i32 0, ptr %value
  call i32 {read}(ptr %uc, i32 {number}, ptr %value)
  %{name} = load i32, ptr %value"""

    return f"""
define void @on_block(ptr %uc, i64 %address, i32 %size32, ptr %s) {{
entry:
  %value = alloca i32
  %size = zext i32 %size32 to i64
  {word(_TIME, "time_p")}
  {word(_LIMIT, "limit_p")}
  {word(_WATCH, "watch_p")}
  {word(_PRIORITY, "priority_p")}
  {word(_GROUP, "group_p")}
  {word(_STOPPED, "stopped_p")}
  {word(_BLOCK, "block_p")}
  {word(_SIZE, "size_p")}
  {word(_EXECUTED, "pages_p")}
  %pages = load ptr, ptr %pages_p
  %page = lshr i64 %address, {PAGE_SHIFT}
  %page_p = getelementptr i8, ptr %pages, i64 %page
  store i8 1, ptr %page_p
  %end = add i64 %address, %size
  %last = sub i64 %end, 1
  %last_page = lshr i64 %last, {PAGE_SHIFT}
  %last_page_p = getelementptr i8, ptr %pages, i64 %last_page
  store i8 1, ptr %last_page_p
  {word(_TOUCHED, "touched_p")}
  %touched = load ptr, ptr %touched_p
  %touched_page_p = getelementptr i8, ptr %touched, i64 %page
  store i8 1, ptr %touched_page_p
  %touched_last_p = getelementptr i8, ptr %touched, i64 %last_page
  store i8 1, ptr %touched_last_p
  %time = load i64, ptr %time_p
  %limit = load i64, ptr %limit_p
  %due = icmp sge i64 %time, %limit
  br i1 %due, label %stop, label %watching
watching:
  %watch = load i64, ptr %watch_p
  switch i64 %watch, label %stop [ i64 {NOBODY}, label %count
                                   i64 {MASKED}, label %masks ]
masks:
  {register(UC_ARM_REG_PRIMASK, "primask")}
  {register(UC_ARM_REG_FAULTMASK, "faultmask")}
  {register(UC_ARM_REG_BASEPRI, "basepri")}
  %hard = or i32 %primask, %faultmask
  %closed = icmp ne i32 %hard, 0
  br i1 %closed, label %count, label %based
based:
  %open = icmp eq i32 %basepri, 0
  %priority = load i64, ptr %priority_p
  %group = load i64, ptr %group_p
  %base = zext i32 %basepri to i64
  %masked = and i64 %base, %group
  %above = icmp slt i64 %priority, %masked
  %through = or i1 %open, %above
  br i1 %through, label %stop, label %count
count:
  %block = load i64, ptr %block_p
  %same = icmp eq i64 %block, %address
  %short = icmp eq i64 %size, {_SPIN_SIZE}
  %spin = and i1 %same, %short
  br i1 %spin, label %spins, label %go
go:
  store i64 %address, ptr %block_p
  store i64 %size, ptr %size_p
  %halves = lshr i64 %size, 1
  %now = add i64 %time, %halves
  store i64 %now, ptr %time_p
  ret void
spins:
  store i64 {SPINNING}, ptr %stopped_p
  br label %end_run
stop:
  store i64 {DUE}, ptr %stopped_p
  br label %end_run
end_run:
  call i32 inttoptr (i64 {_function("uc_emu_stop")} to ptr)(ptr %uc)
  ret void
}}
define void @on_access(ptr %uc, i32 %kind, i64 %address, i32 %size, i64 %value, ptr %data) {{
  ret void
}}
"""
