"""Keywords for the flash of a device."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Robot converts arguments by the annotations at run time

from robot.api.deco import keyword

from brownout.errors import StateError
from brownout.files import make_parent, read_file, write_atomic
from brownout.robot.device_keywords import DeviceKeywords
from brownout.robot.flash_places import bytes_at, check_erased, check_holds, offset_of


class FlashKeywords(DeviceKeywords):
    """The flash of a device. A ``place`` is a region, or an offset in the flash array."""

    @keyword(tags=["flash"])
    def load_flash(self, file: Path, place: str = "0", *, device: str | None = None) -> None:
        """Puts a binary ``file`` into the flash, as a factory does. The power must be off.

        ``place`` is a region, or an offset in the flash, such as ``0x20000``.

        Example:
        | `Load Flash`    ${CURDIR}/build/app-v1.bin    slot0
        """
        found = self.devices.get(device)
        start, data = offset_of(found.flash, place), read_file(file, "what to load into the flash")
        room = found.flash.model.geometry.size - start
        if len(data) > room:
            raise StateError(f"{file}: {len(data)} bytes do not fit at {place}: the flash ends after {room}")
        found.load(data, start)

    @keyword(tags=["flash"])
    def remember_flash(self, *, device: str | None = None) -> None:
        """Takes the power and notes the state of the flash, for `Restore Flash`.

        Example:
        | Suite Setup    Run Keywords
        | ...    `Start Device From Target`    ${CURDIR}/target.toml
        | ...    AND    `Remember Flash`
        | Test Setup    `Restore Flash`
        """
        found = self.devices.get(device)
        found.cut_power()
        self._remembered[self.devices.name_of(device)] = found.snapshot()

    @keyword(tags=["flash"])
    def restore_flash(self, *, seed: int | None = None, device: str | None = None) -> None:
        """Takes the power, goes back to `Remember Flash`, and forgets the cuts so far: a test starts afresh.

        Example:
        | Test Setup    `Restore Flash`
        """
        name = self.devices.name_of(device)
        if name not in self._remembered:
            raise StateError(f"device '{name}': no flash is remembered: use Remember Flash first")
        self.devices.get(name).restore(self._remembered[name], seed=seed)

    @keyword(tags=["flash"])
    def read_flash(self, place: str, count: int | None = None, *, device: str | None = None) -> bytes:
        """Bytes of the flash: a region, whole or its first ``count``, or ``count`` at an offset.

        Example:
        | ${header}    `Read Flash`    slot0    16
        | Should Be Equal    ${header}[0]    ${0x42}
        """
        return bytes_at(self.devices.get(device).flash, place, count)

    @keyword(tags=["flash"])
    def flash_should_hold(self, place: str, file: Path, *, device: str | None = None) -> None:
        """Fails unless the flash at ``place`` starts with the bytes of ``file``; says where it differs.

        Example:
        | `Flash Should Hold`    slot0    ${CURDIR}/build/app-v2.bin
        """
        check_holds(self.devices.get(device).flash, place, file)

    @keyword(tags=["flash"])
    def flash_should_be_erased(
        self, place: str, count: int | None = None, *, device: str | None = None
    ) -> None:
        """Fails unless the flash at ``place`` is erased: a region, whole or its first ``count`` bytes.

        Example:
        | `Flash Should Be Erased`    scratch
        | `Flash Should Be Erased`    0x3f000    4096
        """
        check_erased(self.devices.get(device).flash, place, count)

    @keyword(tags=["flash"])
    def flash_should_obey_its_rules(self, *, device: str | None = None) -> None:
        """Fails when the firmware broke a rule of the flash: a store past the controller, a bit set again.

        Example:
        | [Teardown]    `Flash Should Obey Its Rules`
        """
        self.devices.get(device).check()

    @keyword(tags=["flash"])
    def get_flash_operation_count(self, *, device: str | None = None) -> int:
        """How many flash operations there were since the last power-on.

        Example:
        | ${count}    `Get Flash Operation Count`
        | Should Be True    ${count} < 500
        """
        return self.devices.get(device).flash.model.ordinal

    @keyword(tags=["flash"])
    def save_flash(self, file: Path, *, device: str | None = None) -> None:
        """Writes the whole flash to ``file``.

        Example:
        | `Save Flash`    ${OUTPUT_DIR}/after.bin
        """
        make_parent(file)
        write_atomic(file, self.devices.get(device).flash.image())
