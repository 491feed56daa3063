"""Flash interface of the STM32F405/407 (RM0090, sections 3.6 and 3.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.board import PeripheralSettings
from brownout.engines.controller import geometry_of
from brownout.engines.unicorn.interface import AccessFaultError
from brownout.engines.unicorn.peripherals.registers import Register, StorageBlock
from brownout.flash import Erase, Operation, Program, Status

if TYPE_CHECKING:
    from brownout.board import FlashSettings
    from brownout.engines.unicorn.interface import Bus

EOP: Final = 1 << 0
OPERR: Final = 1 << 1
WRPERR: Final = 1 << 4
PGAERR: Final = 1 << 5
PGPERR: Final = 1 << 6
PGSERR: Final = 1 << 7

PG: Final = 1 << 0
SER: Final = 1 << 1
MER: Final = 1 << 2
STRT: Final = 1 << 16
EOPIE: Final = 1 << 24
ERRIE: Final = 1 << 25
LOCK: Final = 1 << 31


class Stm32F4Flash(StorageBlock):
    """Kind "stm32f4-flash": 12 unequal sectors, programs of 1, 2, 4 or 8 bytes as PSIZE says.

    Operations are done at once: BSY always reads 0. A program needs PG, a store as wide as PSIZE (two
    stores of a word for 8 bytes) and, in OPTCR, a sector that is not protected; otherwise PGSERR, PGPERR,
    PGAERR or WRPERR is set and nothing is programmed. An operation that the flash reports as failed sets
    WRPERR, and OPERR where ERRIE is set. EOP is set where EOPIE is. A wrong key locks CR until the next
    reset and is answered with a bus error.
    """

    ACR: Final = 0x00
    KEYR: Final = 0x04
    OPTKEYR: Final = 0x08
    SR: Final = 0x0C
    CR: Final = 0x10
    OPTCR: Final = 0x14

    _KEYS: Final = {KEYR: (0x4567_0123, 0xCDEF_89AB), OPTKEYR: (0x0819_2A3B, 0x4C5D_6E7F)}
    _LOCKED: Final = {KEYR: (CR, LOCK), OPTKEYR: (OPTCR, 1)}
    _ERRORS: Final = OPERR | WRPERR | PGAERR | PGPERR | PGSERR
    _CR_BITS: Final = PG | SER | MER | 0x1F << 3 | 3 << 8 | EOPIE | ERRIE
    _OPTION_WRITES: Final = 0x0FFF_FFEC

    def __init__(self, bus: Bus, flash: FlashSettings) -> None:
        controller = flash.controller
        settings = PeripheralSettings(
            kind=controller.kind, base=controller.base, size=controller.size, irq=controller.irq
        )
        table = {
            self.SR: Register(writable=0, cleared=self._ERRORS | EOP),
            self.CR: Register(reset=LOCK),
            self.OPTCR: Register(reset=0x0FFF_AAED),
        }
        super().__init__(bus, settings, table=table)
        self._geometry = geometry_of(flash)
        self._base = flash.base
        self._keys_given = dict.fromkeys(self._KEYS, 0)
        self._refused: set[int] = set()
        self._half: tuple[int, int] | None = None
        self._level = False

    # -- stores ----------------------------------------------------------------------------------------

    def store(self, offset: int, size: int, value: int) -> None:
        """Program, if everything is as it has to be."""
        control = self.peek(self.CR)
        width = 1 << (control >> 8 & 3)
        if not control & PG:
            self._fail(PGSERR)
            return
        expected = min(width, 4)
        if size != expected or offset % size:
            self._half = None
            self._fail(PGPERR if size != expected else PGAERR)
            return
        if self._protected(self._geometry.sector_index(offset)):
            self._fail(WRPERR)
            return
        data = value.to_bytes(size, "little")
        if width > size:
            # 8 bytes come as two stores, the lower word first.
            if self._half is None or offset != self._half[0] + size:
                self._half = (offset, value)
                if offset % width:
                    self._half = None
                    self._fail(PGAERR)
                return
            offset, first = self._half
            data = first.to_bytes(size, "little") + data
            self._half = None
        if self._carry_out(Program(offset=offset, data=data)):
            self._finish()

    # -- registers -------------------------------------------------------------------------------------

    def read_word(self, offset: int) -> int:
        """Key registers read 0."""
        return 0 if offset in self._KEYS else super().read_word(offset)

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """A store to a register."""
        match offset:
            case self.KEYR | self.OPTKEYR:
                self._key(offset, value)
            case self.CR:
                self._control(value & lanes)
            case self.OPTCR:
                if not self.peek(self.OPTCR) & 1:
                    # OPTSTRT is done at once; option bytes are not kept over a power loss.
                    self.poke(offset, value & (self._OPTION_WRITES | 1))
            case _:
                super().write_word(offset, value, lanes)
        self._update_irq()

    def reset(self) -> None:
        """Reset values: locked, option bytes as delivered."""
        super().reset()
        self._keys_given = dict.fromkeys(self._KEYS, 0)
        self._refused = set()
        self._half = None
        self._update_irq()

    def save(self) -> object:
        """Registers, keys, a half double word."""
        keys = (tuple(self._keys_given.items()), tuple(sorted(self._refused)))
        return (super().save(), keys, self._half)

    def load(self, state: object) -> None:
        """Go back to a value of save()."""
        assert isinstance(state, tuple)  # noqa: S101 - narrows what save() made
        registers, (keys, refused), self._half = state
        super().load(registers)
        self._keys_given = dict(keys)
        self._refused = set(refused)
        self._level = self._wanted()

    # -- inside ----------------------------------------------------------------------------------------

    def _key(self, register: int, value: int) -> None:
        """Two right keys unlock; anything else locks until the next reset (section 3.6.1)."""
        target, bit = self._LOCKED[register]
        if not self.peek(target) & bit:
            return
        given = self._keys_given[register]
        if register in self._refused or value != self._KEYS[register][given]:
            self._refused.add(register)
            raise AccessFaultError(f"flash key {value:#x} is wrong: locked until the next reset")
        self._keys_given[register] = (given + 1) % 2
        if given == 1:
            self.poke(target, self.peek(target) & ~bit)

    def _control(self, value: int) -> None:
        if self.peek(self.CR) & LOCK:
            return
        self._half = None
        self.poke(self.CR, value & (self._CR_BITS | LOCK))
        if not value & STRT:
            return
        count = self._geometry.sector_count
        if value & MER:
            sectors = range(count)
        elif value & SER and (value >> 3 & 0x1F) < count:
            sectors = range(value >> 3 & 0x1F, (value >> 3 & 0x1F) + 1)
        else:
            self._fail(PGSERR)
            return
        if any(self._protected(sector) for sector in sectors):
            self._fail(WRPERR)
            return
        for number in sectors:
            sector = self._geometry.sector(number)
            if not self._carry_out(Erase(offset=sector.offset, length=sector.size)):
                return
        self._finish()

    def _protected(self, sector: int) -> bool:
        """nWRP bits of OPTCR: 0 protects."""
        return not self.peek(self.OPTCR) >> 16 + sector & 1

    def _carry_out(self, operation: Operation) -> bool:
        """Whether it succeeded. The power may be lost: then nothing is done."""
        status = self._bus.operate(operation)
        if status not in (None, Status.OK):
            self._fail(WRPERR)
        return status is Status.OK

    def _finish(self) -> None:
        if self.peek(self.CR) & EOPIE:
            self.poke(self.SR, self.peek(self.SR) | EOP)
        self._update_irq()

    def _fail(self, flag: int) -> None:
        operation_error = OPERR if self.peek(self.CR) & ERRIE else 0
        self.poke(self.SR, self.peek(self.SR) | flag | operation_error)
        self._update_irq()

    def _wanted(self) -> bool:
        control, status = self.peek(self.CR), self.peek(self.SR)
        return bool((control & EOPIE and status & EOP) or (control & ERRIE and status & OPERR))

    def _update_irq(self) -> None:
        level = self._wanted()
        if level != self._level and self._settings.irq is not None:
            self._bus.set_irq(self._settings.irq, level)
        self._level = level
