"""Cuts done again live: the flash right after them must be the derived one, byte for byte."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from brownout.device import Device
from brownout.errors import BrownoutError, SweepError
from brownout.sweep.result import LiveCheck

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brownout.power import Cut
    from brownout.sweep.runtime import Runtime

_QEMU: Final = "qemu-system-arm"
_CUT_S: Final = 60.0


def check_live(runtime: Runtime, cuts: Sequence[Cut]) -> list[LiveCheck]:
    """Do the cuts on the machine from the first power-on, and on QEMU where board and host have it."""
    if not cuts:
        return []
    found = [_on_machine(runtime, cuts)]
    if _qemu_can(runtime):
        found.append(_on_qemu(runtime, cuts))
    return found


def _on_machine(runtime: Runtime, cuts: Sequence[Cut]) -> LiveCheck:
    different: list[str] = []
    for cut in cuts:
        derived = runtime.derived_flash(cut).array
        try:
            live = runtime.live_flash(cut).array
        except SweepError as error:
            different.append(str(error))
            continue
        # Wear counts as well; the order of sectors with unstable bits does not.
        if (live.sectors, dict(live.unstable), live.erases) != (
            derived.sectors,
            dict(derived.unstable),
            derived.erases,
        ):
            different.append(str(cut))
    return _check("unicorn", cuts, different)


def _qemu_can(runtime: Runtime) -> bool:
    target = runtime.setup.target
    return (
        target.board.engine.qemu is not None
        and target.elf is not None
        and target.elf.path.is_file()
        and shutil.which(_QEMU) is not None
    )


def _on_qemu(runtime: Runtime, cuts: Sequence[Cut]) -> LiveCheck:
    target = runtime.setup.target
    if target.elf is None:
        raise SweepError("live check: QEMU needs an ELF file")
    different: list[str] = []
    with Device(target.board, target.elf.path, engine="qemu", seed=runtime.setup.seed) as device:
        blank = device.snapshot()
        image = b"".join(runtime.start.array.sectors)
        for cut in cuts:
            derived = b"".join(runtime.derived_flash(cut).array.sectors)
            try:
                device.restore(blank)
                device.load(image)
                device.arm_cut(cut)
                device.power_on()
                device.wait_for_cut(_CUT_S)
            except BrownoutError as error:
                different.append(f"{cut}: {error}")
                continue
            if device.flash.image() != derived:
                different.append(str(cut))
    return _check("qemu", cuts, different)


def _check(engine: str, cuts: Sequence[Cut], different: Sequence[str]) -> LiveCheck:
    return LiveCheck(
        engine=engine, sampled=len(cuts), same=len(cuts) - len(different), different=tuple(different)
    )
