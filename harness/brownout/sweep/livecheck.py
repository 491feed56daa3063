"""Cuts done again live: the flash right after them must be the derived one, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.device import Device
from brownout.errors import CutNotFired, DeadlineError, EngineError, SweepError
from brownout.sweep.live_engines import live_engines
from brownout.sweep.result import LiveCheck

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brownout.power import Cut
    from brownout.sweep.runtime import Runtime

_CUT_S: Final = 60.0


def check_live(runtime: Runtime, cuts: Sequence[Cut]) -> list[LiveCheck]:
    """Do the cuts on the machine from the first power-on, and on each engine that board and host have."""
    if not cuts:
        return []
    target = runtime.setup.target
    built = target.elf is not None and target.elf.path.is_file()
    others = live_engines(target) if built else ()
    return [_on_machine(runtime, cuts), *(_on_engine(runtime, engine, cuts) for engine in others)]


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


def _on_engine(runtime: Runtime, engine: str, cuts: Sequence[Cut]) -> LiveCheck:
    """On an engine that fails, nothing is known: that is no difference, and no reason to lose the sweep."""
    target = runtime.setup.target
    if target.elf is None:
        raise SweepError(f"live check: {engine} needs an ELF file")
    different: list[str] = []
    done = 0
    try:
        with Device(
            target.board,
            target.elf.path,
            engine=engine,
            seed=runtime.setup.seed,
            renode_script=target.renode,
        ) as device:
            blank = device.snapshot()
            image = b"".join(runtime.start.array.sectors)
            for cut in cuts:
                device.restore(blank)
                device.load(image)
                wrong = _difference(device, cut, b"".join(runtime.derived_flash(cut).array.sectors))
                done += 1
                if wrong:
                    different.append(wrong)
    except (EngineError, DeadlineError) as error:
        return _check(engine, cuts[:done], different, problem=str(error))
    return _check(engine, cuts, different)


def _difference(device: Device, cut: Cut, derived: bytes) -> str:
    """The cut when it left another flash than `derived`, else "". Raises EngineError."""
    device.arm_cut(cut)
    try:
        device.power_on()
        device.wait_for_cut(_CUT_S)
    except CutNotFired as error:
        return f"{cut}: {error}"
    return "" if device.flash.image() == derived else str(cut)


def _check(engine: str, cuts: Sequence[Cut], different: Sequence[str], problem: str = "") -> LiveCheck:
    return LiveCheck(
        engine=engine,
        sampled=len(cuts),
        same=len(cuts) - len(different),
        different=tuple(different),
        problem=problem,
    )
