"""Flash controller of the nRF52840: NVMC and ACL (Product Specification v1.7, sections 4.3 and 6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.board import PeripheralSettings
from brownout.engines.controller import geometry_of
from brownout.engines.unicorn.interface import AccessFaultError
from brownout.engines.unicorn.peripherals.nrf52_base import StoreGate
from brownout.engines.unicorn.peripherals.nrf52_system import Uicr
from brownout.engines.unicorn.peripherals.registers import WORD, Register, StorageBlock
from brownout.flash import Erase, Program

if TYPE_CHECKING:
    from brownout.board import FlashSettings
    from brownout.engines.unicorn.interface import Bus

_READ_ONLY: Final = 0
_WRITE: Final = 1
_ERASE: Final = 2
_WHOLE_WORD: Final = WORD


class Nvmc(StorageBlock, StoreGate):
    """Kind "nrf52-nvmc". Operations are done at once: READY and READYNEXT always read 1.

    A store into the array programs a word while CONFIG is Wen. One of a byte or a halfword is a hard
    fault (section 4.3.1). One while CONFIG is not Wen is a fault here, too, because firmware that does it
    is wrong whatever the device makes of it; controller option `ignore_disabled_stores = 1` has it
    ignored and logged.

    ERASEPAGEPARTIAL adds up the time of ERASEPAGEPARTIALCFG for a page and erases it when `erase_ms`
    (option, default 85) is reached; the page's content in between is what it was. Pages that an ACL
    region protects from being written are neither programmed nor erased.
    """

    READY: Final = 0x400
    READYNEXT: Final = 0x408
    CONFIG: Final = 0x504
    ERASEPAGE: Final = 0x508
    ERASEALL: Final = 0x50C
    ERASEUICR: Final = 0x514
    ERASEPAGEPARTIAL: Final = 0x518
    ERASEPAGEPARTIALCFG: Final = 0x51C
    ACL: Final = 0x800
    _REGIONS: Final = 8
    _DEFAULT_ERASE_MS: Final = 85

    def __init__(self, bus: Bus, flash: FlashSettings) -> None:
        controller = flash.controller
        settings = PeripheralSettings(kind=controller.kind, base=controller.base, size=controller.size)
        table = {
            self.READY: Register(reset=1, writable=0),
            self.READYNEXT: Register(reset=1, writable=0),
            self.CONFIG: Register(writable=3),
            self.ERASEPAGEPARTIALCFG: Register(reset=10, writable=0x7F),
            0x540: Register(writable=0x101),  # ICACHECNF
        }
        super().__init__(bus, settings, table=table)
        self._geometry = geometry_of(flash)
        self._erase_ms = controller.options.get("erase_ms", self._DEFAULT_ERASE_MS)
        self._ignore = bool(controller.options.get("ignore_disabled_stores", 0))
        self._base = flash.base
        self._partial: dict[int, int] = {}

    # -- stores ----------------------------------------------------------------------------------------

    def store(self, offset: int, size: int, value: int) -> None:
        """Program a word of the array."""
        lanes = WORD if size == 4 and not offset % 4 else 0
        if self.check_store(offset, lanes) and not self._protected(offset):
            self._bus.operate(Program(offset=offset, data=value.to_bytes(4, "little")))

    def check_store(self, offset: int, lanes: int) -> bool:
        """Whether a store into flash or UICR is carried out. Raises AccessFaultError."""
        if self.peek(self.CONFIG) != _WRITE:
            message = f"store into flash at {offset:#x} while NVMC CONFIG is not Wen"
            if not self._ignore:
                raise AccessFaultError(message)
            self._bus.log(message)
            return False
        if lanes != _WHOLE_WORD:
            raise AccessFaultError(
                f"store into flash at {offset:#x}: the NVMC takes whole aligned words only"
            )
        return True

    # -- registers -------------------------------------------------------------------------------------

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """A store to a register."""
        match offset:
            case self.ERASEPAGE:
                self._erase_page(value)
            case self.ERASEPAGEPARTIAL:
                self._erase_partially(value)
            case self.ERASEALL:
                self._erase_all(value)
            case self.ERASEUICR:
                self._erase_uicr(value)
            case _:
                if self._acl_is_set(offset):
                    return
                super().write_word(offset, value, lanes)

    def reset(self) -> None:
        """Reset values; ACL regions are open again."""
        super().reset()
        self._partial = {}

    def save(self) -> object:
        """Registers and pages that are partially erased."""
        return (super().save(), tuple(sorted(self._partial.items())))

    def load(self, state: object) -> None:
        """Go back to a value of save()."""
        assert isinstance(state, tuple)  # noqa: S101 - narrows what save() made
        registers, partial = state
        super().load(registers)
        self._partial = dict(partial)

    # -- inside ----------------------------------------------------------------------------------------

    def _erase_page(self, address: int) -> None:
        if self.peek(self.CONFIG) != _ERASE:
            self._bus.log(f"ERASEPAGE {address:#x} while NVMC CONFIG is not Een: nothing is erased")
            return
        offset = address - self._base
        if not 0 <= offset < self._geometry.size:
            self._bus.log(f"ERASEPAGE {address:#x}: not in the flash")
            return
        sector = self._geometry.sector(self._geometry.sector_index(offset))
        self._partial.pop(sector.offset, None)
        if not self._protected(sector.offset):
            self._bus.operate(Erase(offset=sector.offset, length=sector.size))

    def _erase_partially(self, address: int) -> None:
        if self.peek(self.CONFIG) != _ERASE or not 0 <= address - self._base < self._geometry.size:
            self._bus.log(f"ERASEPAGEPARTIAL {address:#x}: CONFIG is not Een, or not in the flash")
            return
        page = self._geometry.sector(self._geometry.sector_index(address - self._base)).offset
        done = self._partial.get(page, 0) + self.peek(self.ERASEPAGEPARTIALCFG)
        self._partial[page] = done
        if done >= self._erase_ms:
            self._erase_page(address)

    def _erase_all(self, value: int) -> None:
        if value != 1 or self.peek(self.CONFIG) != _ERASE:
            return
        for index in range(self._geometry.sector_count):
            sector = self._geometry.sector(index)
            if self._bus.operate(Erase(offset=sector.offset, length=sector.size)) is None:
                return
        self._erase_uicr(1)

    def _erase_uicr(self, value: int) -> None:
        uicr = self._bus.find(Uicr)
        if value == 1 and self.peek(self.CONFIG) == _ERASE and uicr is not None:
            uicr.erase()

    def _acl_is_set(self, offset: int) -> bool:
        """Whether `offset` belongs to an ACL region whose PERM was written: it stands until a reset."""
        region = (offset - self.ACL) // 0x10
        return 0 <= region < self._REGIONS and bool(self.peek(self.ACL + 0x10 * region + 8))

    def _protected(self, offset: int) -> bool:
        """Whether an ACL region forbids writing at `offset` (section 4.9: PERM bit 1)."""
        address = self._base + offset
        for region in range(self._REGIONS):
            base = self.ACL + 0x10 * region
            if not self.peek(base + 8) & 2:
                continue
            start, size = self.peek(base), self.peek(base + 4)
            if start <= address < start + size:
                self._bus.log(f"flash at {address:#x} is write-protected by ACL region {region}")
                return True
        return False
