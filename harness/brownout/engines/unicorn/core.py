"""The core's registers, and how an exception changes them. Unicorn executes code; exceptions are all done
here.

Cortex-M model by board.toml's `cpu.core`: Unicorn's own for M0, M3, M4, M7 and M33; the M0+ runs as M0 (same
instructions). Unicorn must not be told that the core is of the M class: its UC_MODE_MCLASS means M33,
whatever model is asked for.
"""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unicorn import UC_ARCH_ARM, UC_MODE_THUMB
from unicorn import arm_const as arm
from unicorn.unicorn_py3.unicorn import Uc, uclib

from brownout.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreModel:
    """What differs between the cores. `priority_bits` of an interrupt's priority are there."""

    unicorn: int
    cpuid: int
    priority_bits: int = 4
    main: bool = True
    """Has the mainline system control block: fault handlers of their own, BASEPRI, FAULTMASK, cycle
    counter.
    """
    fpu: bool = False


MODELS: Final[dict[str, CoreModel]] = {
    "cortex-m0": CoreModel(unicorn=arm.UC_CPU_ARM_CORTEX_M0, cpuid=0x410CC200, priority_bits=2, main=False),
    "cortex-m0plus": CoreModel(
        unicorn=arm.UC_CPU_ARM_CORTEX_M0, cpuid=0x410CC601, priority_bits=2, main=False
    ),
    "cortex-m3": CoreModel(unicorn=arm.UC_CPU_ARM_CORTEX_M3, cpuid=0x412FC231),
    "cortex-m4": CoreModel(unicorn=arm.UC_CPU_ARM_CORTEX_M4, cpuid=0x410FC241, fpu=True),
    "cortex-m7": CoreModel(unicorn=arm.UC_CPU_ARM_CORTEX_M7, cpuid=0x411FC272, fpu=True),
    "cortex-m33": CoreModel(unicorn=arm.UC_CPU_ARM_CORTEX_M33, cpuid=0x410FD213, fpu=True),
}

NPRIV, SPSEL, FPCA = 1, 2, 4
XPSR_THUMB: Final = 1 << 24
XPSR_EXCEPTION: Final = 0x1FF
XPSR_IT: Final = 0x0600FC00
_XPSR_ALIGNED: Final = 1 << 9
_XPSR_FLAGS: Final = 0xF80F0000
_FRAME: Final = 0x20
_FRAME_FP: Final = 0x68
_NO_FP: Final = 0x10
_TO_PSP: Final = 4
_TO_THREAD: Final = 8
_EXC_RETURN: Final = 0xFFFFFFE1
_HARD_FAULT: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """The core's registers; `r` holds r0 to r15."""

    r: tuple[int, ...]
    xpsr: int
    msp: int
    psp: int
    control: int
    primask: int
    basepri: int
    faultmask: int

    @property
    def pc(self) -> int:
        """Address of the next instruction."""
        return self.r[15]


class _Batch:
    """Some registers that are read or written in one call, without the binding's detours."""

    def __init__(self, uc: Uc, ids: Sequence[int]) -> None:
        count = len(ids)
        self._handle = uc._uch  # noqa: SLF001 - the binding's batch calls take 30 us
        self._ids = (ctypes.c_int * count)(*ids)
        self._values = (ctypes.c_uint64 * count)()
        size = ctypes.sizeof(ctypes.c_uint64)
        start = ctypes.addressof(self._values)
        self._pointers = (ctypes.c_void_p * count)(*(start + size * number for number in range(count)))
        self._count = count

    def read(self) -> tuple[int, ...]:
        error = uclib.uc_reg_read_batch(self._handle, self._ids, self._pointers, self._count)
        if error:
            raise EngineError(f"Unicorn cannot read registers (error {error})")
        return tuple(self._values)

    def write(self, values: Sequence[int]) -> None:
        self._values[:] = list(values)
        error = uclib.uc_reg_write_batch(self._handle, self._ids, self._pointers, self._count)
        if error:
            raise EngineError(f"Unicorn cannot write registers (error {error})")


_GENERAL: Final = tuple(arm.UC_ARM_REG_R0 + number for number in range(13))
_SP, _LR, _PC = arm.UC_ARM_REG_SP, arm.UC_ARM_REG_LR, arm.UC_ARM_REG_PC
_XPSR = arm.UC_ARM_REG_XPSR
# Written with all of its bits, and then the flags again: that makes Unicorn look at mode and privilege anew.
_XPSR_ALL = arm.UC_ARM_REG_XPSR_NZCVQG
_REFRESH = arm.UC_ARM_REG_APSR_NZCV
_CONTROL = arm.UC_ARM_REG_CONTROL
_MASKS: Final = (arm.UC_ARM_REG_PRIMASK, arm.UC_ARM_REG_BASEPRI, arm.UC_ARM_REG_FAULTMASK)
_STACKED: Final = (*_GENERAL[:4], _GENERAL[12], _LR)


class Core:
    """Registers of one Uc. `load` and `store` reach the memory for exception frames; both raise
    LookupError.
    """

    def __init__(
        self, model: CoreModel, *, load: Callable[[int, int], bytes], store: Callable[[int, bytes], None]
    ) -> None:
        self.model: Final = model
        self.uc: Final = Uc(UC_ARCH_ARM, UC_MODE_THUMB, cpu=model.unicorn)
        self._load = load
        self._store = store
        self._all = _Batch(self.uc, (*_GENERAL, _SP, _LR, _PC, _XPSR, _CONTROL))
        self._general = _Batch(self.uc, (*_GENERAL, _LR, _PC))
        self._masks = _Batch(self.uc, _MASKS)
        self._stacks = _Batch(self.uc, (arm.UC_ARM_REG_MSP, arm.UC_ARM_REG_PSP))
        self._frame = _Batch(self.uc, _STACKED)
        self._fp = _Batch(self.uc, tuple(arm.UC_ARM_REG_D0 + number for number in range(16)))
        self._pristine = self.uc.context_save()

    # -- as a whole ------------------------------------------------------------------------------------

    def reset(self, stack_pointer: int, pc: int) -> None:
        """Reset all registers, hidden ones too; start at `pc` on the main stack."""
        self.uc.context_restore(self._pristine)
        self._general.write((0,) * 13 + (0xFFFFFFFF, pc))
        self._to_thread(0)
        self.uc.reg_write(_SP, stack_pointer & ~3)
        self._set_xpsr(XPSR_THUMB)

    def registers(self) -> Registers:
        """All registers."""
        *r, xpsr, control = self._all.read()
        hidden = xpsr & XPSR_EXCEPTION == 0 and control & NPRIV
        if hidden:  # unprivileged code reads stack pointers and masks as 0, and so do we
            self._set_xpsr(xpsr | _HARD_FAULT)
        msp, psp = self._stacks.read()
        primask, basepri, faultmask = self._masks.read()
        if hidden:
            self._set_xpsr(xpsr)
        return Registers(
            r=tuple(r),
            xpsr=xpsr,
            msp=msp,
            psp=psp,
            control=control,
            primask=primask,
            basepri=basepri,
            faultmask=faultmask,
        )

    def set_registers(self, state: Registers) -> None:
        """Go back to registers() of a core that was reset since."""
        self._to_thread(0)
        self._stacks.write((state.msp, state.psp))
        self._masks.write((state.primask, state.basepri, state.faultmask))
        self._to_thread(state.control & ~NPRIV)
        self._general.write((*state.r[:13], state.r[14], state.r[15]))
        if state.xpsr & XPSR_EXCEPTION:
            self._set_xpsr(state.xpsr)
            self.uc.reg_write(_CONTROL, state.control)
        else:
            self.uc.reg_write(_CONTROL, state.control)
            self._set_xpsr(state.xpsr)

    def float_registers(self) -> tuple[int, ...]:
        """D0 to D15 and FPSCR; nothing without an FPU."""
        if not self.model.fpu:
            return ()
        return (*self._fp.read(), self.uc.reg_read(arm.UC_ARM_REG_FPSCR))

    def set_float_registers(self, values: Sequence[int]) -> None:
        """Go back to float_registers()."""
        if values:
            self._fp.write(values[:-1])
            self.uc.reg_write(arm.UC_ARM_REG_FPSCR, values[-1])

    def release(self) -> None:
        """Let go of Unicorn; nothing may be called afterwards."""
        # Before the memory that it maps is freed; the binding would do it when the object is collected.
        getattr(self.uc, "_Uc__finalizer")()  # noqa: B009 - a private name of the binding

    # -- parts -----------------------------------------------------------------------------------------

    @property
    def pc(self) -> int:
        """Address of the next instruction; inside a hook only where Unicorn keeps it up to date."""
        return int(self.uc.reg_read(_PC))

    @pc.setter
    def pc(self, value: int) -> None:
        self.uc.reg_write(_PC, value | 1)

    @property
    def xpsr(self) -> int:
        """Flags, IT state and number of the exception."""
        return int(self.uc.reg_read(_XPSR)) & 0xFFFFFFFF

    @property
    def exception(self) -> int:
        """Number of the exception that is being handled; 0 in thread mode."""
        return self.xpsr & XPSR_EXCEPTION

    def masks(self) -> tuple[int, int, int]:
        """PRIMASK, BASEPRI, FAULTMASK."""
        primask, basepri, faultmask = self._masks.read()
        return primask, basepri, faultmask

    def clear_faultmask(self) -> None:
        """As an exception return does."""
        self.uc.reg_write(arm.UC_ARM_REG_FAULTMASK, 0)

    # -- exceptions ------------------------------------------------------------------------------------

    def enter(self, number: int, handler: int, return_address: int, *, stack: bool = True) -> None:
        """Enter exception `number`: push the frame (unless not `stack`), switch mode and stack, go to
        `handler`.

        Raises LookupError, with nothing changed, when the frame does not lie in memory.
        """
        *r, xpsr, control = self._all.read()
        thread = xpsr & XPSR_EXCEPTION == 0
        with_fp = bool(control & FPCA) and self.model.fpu
        sp = r[13]
        top = (sp - (_FRAME_FP if with_fp else _FRAME)) & 0xFFFFFFF8
        if stack:
            stacked = xpsr & ~_XPSR_ALIGNED | (_XPSR_ALIGNED if sp & 4 else 0)
            words = (*r[:4], r[12], r[14], return_address, stacked)
            self._store(top, struct.pack("<8I", *words) + (self._float_frame() if with_fp else b""))
        self.uc.reg_write(_SP, top)
        if thread:
            self._set_xpsr(xpsr & ~XPSR_EXCEPTION | number)
        if thread and control & (SPSEL | NPRIV | FPCA):
            # SPSEL can be written in privileged thread mode only.
            self.uc.reg_write(_CONTROL, control & ~NPRIV)
            self._set_xpsr(xpsr & ~XPSR_EXCEPTION)
            self.uc.reg_write(_CONTROL, 0)
        self._set_xpsr(xpsr & _XPSR_FLAGS | XPSR_THUMB | number)
        self.uc.reg_write(_CONTROL, control & NPRIV)
        link = _EXC_RETURN | (0 if with_fp else _NO_FP)
        if thread:
            link |= _TO_THREAD | (_TO_PSP if control & SPSEL else 0)
        self.uc.reg_write(_LR, link)
        self.pc = handler

    def leave(self, exc_return: int) -> None:
        """Return from an exception: pop the frame that `exc_return` stands for. Raises LookupError: no
        memory.
        """
        thread, psp = bool(exc_return & _TO_THREAD), bool(exc_return & _TO_PSP)
        with_fp = not exc_return & _NO_FP and self.model.fpu
        msp_now, psp_now = self._stacks.read()
        top = psp_now if psp else msp_now
        size = _FRAME_FP if with_fp else _FRAME
        frame = self._load(top, size)
        *r, lr, pc, xpsr = struct.unpack_from("<8I", frame)
        sp = top + size + (4 if xpsr & _XPSR_ALIGNED else 0)
        xpsr &= ~_XPSR_ALIGNED
        npriv = int(self.uc.reg_read(_CONTROL)) & NPRIV
        if thread:
            self.uc.reg_write(_CONTROL, 0)
            self._set_xpsr(xpsr & ~XPSR_EXCEPTION)
            self._to_thread((SPSEL if psp else 0) | (FPCA if with_fp else 0))
            self.uc.reg_write(_SP, sp)
            self.uc.reg_write(_CONTROL, npriv | (SPSEL if psp else 0) | (FPCA if with_fp else 0))
        else:
            self.uc.reg_write(_SP, sp)
            self.uc.reg_write(_CONTROL, npriv | (FPCA if with_fp else 0))
        if with_fp:
            self._fp.write((*struct.unpack_from("<8Q", frame, _FRAME), *self._fp.read()[8:]))
            self.uc.reg_write(arm.UC_ARM_REG_FPSCR, struct.unpack_from("<I", frame, _FRAME + 64)[0])
        self._frame.write((*r[:4], r[4], lr))
        self._set_xpsr(xpsr | XPSR_THUMB if thread else xpsr)
        self.pc = pc & ~1

    # -- inside ----------------------------------------------------------------------------------------

    def _float_frame(self) -> bytes:
        registers = self.float_registers()
        return struct.pack("<8QII", *registers[:8], registers[-1] & 0xFFFFFFFF, 0)

    def _to_thread(self, control: int) -> None:
        """Set CONTROL; the core is in privileged thread mode."""
        self.uc.reg_write(_CONTROL, control)

    def _set_xpsr(self, value: int) -> None:
        self.uc.reg_write(_XPSR_ALL, value)
        self.uc.reg_write(_REFRESH, value)
