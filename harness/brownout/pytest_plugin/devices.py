"""The board and the device of a test. Loaded when a test asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.board import load_board
from brownout.device import Device
from brownout.engines.factory import ENGINES, TITLES, engine_problem
from brownout.engines.version import engine_version
from brownout.errors import EngineError, TargetError, ViolationError
from brownout.evidence import read_evidence
from brownout.files import read_file
from brownout.pytest_plugin.keeping import Facts
from brownout.pytest_plugin.planning import target_at
from brownout.reference import reference_conditions
from brownout.sweep.live_engines import live_problem
from brownout.sweep.rules import rule_kinds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from brownout.board import Board, RenodeScript
    from brownout.pytest_plugin.options import Settings
    from brownout.target import Target

_DEFAULT_BOARD: Final = "mps2-an385"


def board_of(settings: Settings) -> Board:
    """The board that a test asks for: its target's, or by name. Raises BrownoutError."""
    if settings.target is not None:
        return target_at(settings.target).board
    return load_board(settings.board or _DEFAULT_BOARD)


def make_device(settings: Settings) -> Device:
    """A device without power that holds what the test's target places in it, or its own images.

    Raises BrownoutError.
    """
    if settings.boot is not None:
        return _from_images(settings, settings.boot)
    if settings.target is None:
        raise TargetError(
            "device: nothing to run: expected --brownout-target, brownout_target in the ini file, or "
            "@pytest.mark.brownout(target=...) or (board=..., boot=...)"
        )
    target = target_at(settings.target)
    engine = live_engine(settings.engine, target.board, target=target)
    if target.elf is None:
        raise TargetError(
            f"{target.path}: elf: missing; {TITLES[engine]} starts a board with an ELF file only"
        )
    seed = target.seed if settings.seed is None else settings.seed
    flash = target.board.flash
    images = [
        (item.address - flash.base, item.data)
        for item in target.placed
        if flash.base <= item.address < flash.end
    ]
    return _make(target.board, target.elf.path, engine, seed, images, script=target.renode)


def _from_images(settings: Settings, boot: Path) -> Device:
    board = board_of(settings)
    engine = live_engine(settings.engine, board)
    images = [(offset, read_file(path, "a flash image")) for offset, path in settings.flash]
    return _make(board, boot, engine, settings.seed, images)


def _make(
    board: Board,
    boot: Path,
    engine: str,
    seed: int | None,
    images: list[tuple[int, bytes]],
    *,
    script: RenodeScript | None = None,
) -> Device:
    device = Device(
        board, boot, engine=engine, seed=seed, conditions=reference_conditions(board), renode_script=script
    )
    try:
        for offset, data in images:
            device.load(data, offset)
    except BaseException:
        device.close()
        raise
    return device


def live_engine(wanted: str, board: Board, *, target: Target | None = None) -> str:
    """An engine that runs in real time: the one that is wanted, else the first that can.

    Raises EngineError, which says what would serve.
    """
    script = None if target is None else target.renode

    def problem(engine: str) -> str:
        if target is not None:
            return live_problem(target, engine)
        return engine_problem(engine, board, script=script)

    problems = {engine: problem(engine) for engine in ENGINES}
    able = [engine for engine, text in problems.items() if not text]
    if wanted in able:
        return wanted
    if able and not wanted:
        return able[0]
    if wanted in problems:
        reason = problems[wanted]
    elif wanted:
        reason = f"engine {wanted} does not run in real time, as a device does"
    else:
        reason = "; ".join(problems.values())
    serves = f"use --brownout-engine {' or '.join(able)}" if able else ""
    sweeps = "power_cut_sweep runs it on unicorn" if board.engine.unicorn is not None else ""
    raise EngineError("; ".join(part for part in (f"device: {reason}", serves, sweeps) if part))


def check_device(device: Device, settings: Settings) -> None:
    """Raises BrownoutError when the emulator died, or a rule was broken that the target asks about."""
    device.engine.raise_for_failure()
    device.flash.checkpoint()
    if settings.target is None or settings.boot is not None:
        device.flash.model.raise_for_violations()
        return
    rules = rule_kinds(target_at(settings.target).rules)
    broken = [str(violation) for violation in device.flash.model.violations if violation.kind in rules]
    if broken:
        raise ViolationError(f"the firmware broke a rule of the flash: {'; '.join(broken)}; {device.replay}")


def facts_of(board: Board, engine: str, devices: Iterable[Device]) -> Facts:
    """What is said of a test with these devices, all of that board on that engine."""
    return Facts(
        board=board.name,
        engine=engine,
        engine_version=engine_version(engine),
        flash_operations=sum(device.flash.served for device in devices),
    )


class KeptDevice:
    """A device of a test (keeping.Kept)."""

    def __init__(self, device: Device, name: str) -> None:
        self._device = device
        self._name = name

    @property
    def facts(self) -> Facts:
        """Of the device."""
        return facts_of(self._device.board, self._device.engine.name, [self._device])

    @property
    def replays(self) -> tuple[str, ...]:
        """Its replay id."""
        return (str(self._device.replay),)

    @property
    def commands(self) -> tuple[str, ...]:
        """None: they take the flash from the evidence."""
        return ()

    def save(self, folder: Path) -> dict[Path, str]:
        """Write its evidence."""
        place = folder / self._name
        self._device.save_evidence(place, subject=self._name)
        return {place: read_evidence(place).command}
