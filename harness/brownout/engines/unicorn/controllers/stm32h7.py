"""Flash interface of the STM32H743 (RM0433, sections 4.3 and 4.9): two banks, flash words with ECC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.board import PeripheralSettings
from brownout.engines.controller import geometry_of
from brownout.engines.unicorn.interface import AccessFaultError
from brownout.engines.unicorn.peripherals.registers import Register, StorageBlock
from brownout.flash import Erase, Operation, Program, Status

if TYPE_CHECKING:
    from brownout.board import FlashSettings
    from brownout.engines.unicorn.interface import Bus

WBNE: Final = 1 << 1
EOP: Final = 1 << 16
WRPERR: Final = 1 << 17
PGSERR: Final = 1 << 18
STRBERR: Final = 1 << 19
INCERR: Final = 1 << 21
OPERR: Final = 1 << 22
DBECCERR: Final = 1 << 26

LOCK: Final = 1 << 0
PG: Final = 1 << 1
SER: Final = 1 << 2
BER: Final = 1 << 3
FW: Final = 1 << 6
START: Final = 1 << 7

FLASH_WORD: Final = 32


@dataclass(slots=True)
class _Buffer:
    """The write buffer of a bank: the flash word it is for, its bytes, and which of them are there."""

    offset: int = -1
    data: bytes = b"\xff" * FLASH_WORD
    filled: int = 0

    def save(self) -> tuple[int, bytes, int]:
        return (self.offset, self.data, self.filled)


class Stm32H7Flash(StorageBlock):
    """Kind "stm32h7-flash". Operations are done at once: BSY and QW read 0, WBNE tells of a part of a word.

    A store needs PG in its bank's CR, goes into the bank's write buffer, and programs the flash word when
    all 32 bytes are there or FW is set (the rest is then programmed as ones). Without PG: PGSERR. A byte
    that is in the buffer
    already: STRBERR. Another flash word than the buffer's: INCERR, and the buffer is dropped. A protected
    sector (WPSN_CUR): WRPERR. A second program of a flash word is refused by the flash model, which knows
    ECC as write-once; the device would program it and report uncorrectable errors on reads, so DBECCERR
    is set with the address in ECC_FA. An operation that the flash reports as failed sets OPERR.

    Registers of bank 2 lie 0x100 above those of bank 1; ACR and the option registers are the same in both.
    """

    KEYR: Final = 0x04
    OPTKEYR: Final = 0x08
    CR: Final = 0x0C
    SR: Final = 0x10
    CCR: Final = 0x14
    OPTCR: Final = 0x18
    WPSN_CUR: Final = 0x38
    ECC_FA: Final = 0x60
    BANK: Final = 0x100

    _KEYS: Final = (0x4567_0123, 0xCDEF_89AB)
    _OPTION_KEYS: Final = (0x0819_2A3B, 0x4C5D_6E7F)
    _FLAGS: Final = 0x1FEF_0000
    _SHARED: Final = (0x00, OPTKEYR, OPTCR, 0x1C, 0x20, 0x24)
    _SECTORS: Final = 8

    def __init__(self, bus: Bus, flash: FlashSettings) -> None:
        controller = flash.controller
        settings = PeripheralSettings(
            kind=controller.kind, base=controller.base, size=controller.size, irq=controller.irq
        )
        table = {0x00: Register(reset=0x37), self.OPTCR: Register(reset=1), 0x1C: Register(reset=0x0000_AAF0)}
        for bank in (0, self.BANK):
            table[bank + self.CR] = Register(reset=0x31)
            table[bank + self.SR] = Register(writable=0)
            protected = controller.options.get("protected_sectors", 0) >> (self._SECTORS if bank else 0)
            table[bank + self.WPSN_CUR] = Register(reset=~protected & 0xFF, writable=0)
        super().__init__(bus, settings, table=table)
        self._geometry = geometry_of(flash)
        self._bank_size = flash.size // 2
        self._buffers = [_Buffer(), _Buffer()]
        self._keys_given = {self.KEYR: 0, self.KEYR + self.BANK: 0, self.OPTKEYR: 0}
        self._refused: set[int] = set()
        self._level = False

    # -- stores ----------------------------------------------------------------------------------------

    def store(self, offset: int, size: int, value: int) -> None:
        """Put bytes into the write buffer; program the flash word when it is whole."""
        bank = offset // self._bank_size
        if self._control(bank) & (LOCK | PG) != PG:
            self._flag(bank, PGSERR)
            return
        if self._protected(offset):
            self._flag(bank, WRPERR)
            return
        buffer, word, start = self._buffers[bank], offset - offset % FLASH_WORD, offset % FLASH_WORD
        if buffer.filled and buffer.offset != word:
            self._buffers[bank] = _Buffer()
            self._flag(bank, INCERR)
            return
        lanes = ((1 << size) - 1) << start
        if buffer.filled & lanes:
            self._flag(bank, STRBERR)
            return
        data = value.to_bytes(size, "little")
        buffer.offset = word
        buffer.data = buffer.data[:start] + data + buffer.data[start + size :]
        buffer.filled |= lanes
        if buffer.filled == (1 << FLASH_WORD) - 1:
            self._program(bank)

    # -- registers -------------------------------------------------------------------------------------

    def read_word(self, offset: int) -> int:
        """Key and clear registers read 0; SR tells of the write buffer."""
        offset = self._shared(offset)
        bank, register = divmod(offset, self.BANK)
        if register in (self.KEYR, self.OPTKEYR, self.CCR):
            return 0
        value = super().read_word(offset)
        if register == self.SR and bank < len(self._buffers) and self._buffers[bank].filled:
            value |= WBNE
        return value

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """A store to a register."""
        offset = self._shared(offset)
        bank, register = divmod(offset, self.BANK)
        match register:
            case self.KEYR:
                self._key(offset, value, self._KEYS, self._at(bank, self.CR))
            case self.OPTKEYR:
                self._key(offset, value, self._OPTION_KEYS, self.OPTCR)
            case self.CR:
                self._write_control(bank, value & lanes)
            case self.CCR:
                status = self._at(bank, self.SR)
                self.poke(status, self.peek(status) & ~(value & self._FLAGS))
            case self.OPTCR:
                self._write_option_control(value)
            case _:
                super().write_word(offset, value, lanes)
        self._update_irq()

    def reset(self) -> None:
        """Reset values: locked, buffers empty."""
        super().reset()
        self._buffers = [_Buffer(), _Buffer()]
        self._keys_given = dict.fromkeys(self._keys_given, 0)
        self._refused = set()
        self._update_irq()

    def save(self) -> object:
        """Registers, write buffers, keys."""
        buffers = tuple(buffer.save() for buffer in self._buffers)
        keys = (tuple(self._keys_given.items()), tuple(sorted(self._refused)))
        return (super().save(), buffers, keys)

    def load(self, state: object) -> None:
        """Go back to a value of save()."""
        assert isinstance(state, tuple)  # noqa: S101 - narrows what save() made
        registers, buffers, (keys, refused) = state
        super().load(registers)
        self._buffers = [_Buffer(*buffer) for buffer in buffers]
        self._keys_given = dict(keys)
        self._refused = set(refused)
        self._level = self._wanted()

    # -- inside ----------------------------------------------------------------------------------------

    def _at(self, bank: int, register: int) -> int:
        return bank * self.BANK + register

    def _shared(self, offset: int) -> int:
        """Both banks show some registers of the first."""
        return offset - self.BANK if offset - self.BANK in self._SHARED else offset

    def _control(self, bank: int) -> int:
        return self.peek(self._at(bank, self.CR))

    def _key(self, register: int, value: int, keys: tuple[int, int], target: int) -> None:
        """Two right keys unlock; anything else locks until the next reset (section 4.5.1)."""
        given = self._keys_given[register]
        if not self.peek(target) & LOCK:
            return
        if register in self._refused or value != keys[given]:
            self._refused.add(register)
            raise AccessFaultError(f"flash key {value:#x} is wrong: locked until the next reset")
        self._keys_given[register] = (given + 1) % 2
        if given == 1:
            self.poke(target, self.peek(target) & ~LOCK)

    def _write_control(self, bank: int, value: int) -> None:
        if self._control(bank) & LOCK:
            return
        self.poke(self._at(bank, self.CR), value & ~(START | FW))
        if value & FW and self._buffers[bank].filled:
            self._program(bank)
        if value & START:
            self._erase(bank, value)

    def _write_option_control(self, value: int) -> None:
        """OPTCR: lock, erase of both banks; an option start does not take over what PRG registers hold."""
        if self.peek(self.OPTCR) & LOCK:
            return
        self.poke(self.OPTCR, value & ~0x12)
        if value & 1 << 4:
            for bank in range(len(self._buffers)):
                self._erase(bank, BER)

    def _erase(self, bank: int, control: int) -> None:
        first = self._geometry.sector_index(bank * self._bank_size)
        if control & BER:
            sectors = range(first, first + self._SECTORS)
        elif control & SER:
            number = first + (control >> 8 & 7)
            sectors = range(number, number + 1)
        else:
            self._flag(bank, PGSERR)
            return
        if any(self._protected(self._geometry.sector_offset(sector)) for sector in sectors):
            self._flag(bank, WRPERR)
            return
        for number in sectors:
            sector = self._geometry.sector(number)
            if not self._carry_out(bank, Erase(offset=sector.offset, length=sector.size)):
                return
        self._finish(bank)

    def _program(self, bank: int) -> None:
        buffer, self._buffers[bank] = self._buffers[bank], _Buffer()
        if self._carry_out(bank, Program(offset=buffer.offset, data=buffer.data)):
            self._finish(bank)

    def _carry_out(self, bank: int, operation: Operation) -> bool:
        """Whether it succeeded. The power may be lost: then nothing is done."""
        status = self._bus.operate(operation)
        if status is Status.WRITE_ONCE:
            # The flash word's number within the bank.
            self.poke(self._at(bank, self.ECC_FA), operation.offset % self._bank_size // FLASH_WORD)
            self._flag(bank, DBECCERR)
        elif status not in (None, Status.OK):
            self._flag(bank, OPERR)
        return status is Status.OK

    def _protected(self, offset: int) -> bool:
        """WPSN bits of the bank: 0 protects a sector."""
        bank = offset // self._bank_size
        sector = self._geometry.sector_index(offset) - self._geometry.sector_index(bank * self._bank_size)
        return not self.peek(self._at(bank, self.WPSN_CUR)) >> sector & 1

    def _finish(self, bank: int) -> None:
        if self._control(bank) & EOP:
            self._flag(bank, EOP)

    def _flag(self, bank: int, flag: int) -> None:
        status = self._at(bank, self.SR)
        self.poke(status, self.peek(status) | flag)
        self._update_irq()

    def _wanted(self) -> bool:
        """Enables in CR have the numbers of their flags in SR."""
        return any(
            self._control(bank) & self.peek(self._at(bank, self.SR)) & self._FLAGS
            for bank in range(len(self._buffers))
        )

    def _update_irq(self) -> None:
        level = self._wanted()
        if level != self._level and self._settings.irq is not None:
            self._bus.set_irq(self._settings.irq, level)
        self._level = level
