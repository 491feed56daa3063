"""Power cuts in somebody else's Renode, which is played by its doorbell's script under CPython."""

from __future__ import annotations

import contextlib
import datetime
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from brownout import renode_robot
from brownout.engines.base import PowerState
from brownout.engines.controller import geometry_of
from brownout.engines.renode.guest import RenodeGuest
from brownout.errors import BrownoutError, CutNotFired, EngineError, ReplayError, StateError, ViolationError
from brownout.flash import FlashModel, Phase, Program, Status, TornStyle
from brownout.power import parse_cut
from brownout.renode_robot import RenodePowerLibrary

from .conftest import TIMEOUT_S, NetBytes
from .test_renode_script import AREA, PROGRAM, command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from brownout.board import Board

    from .conftest import DoorbellScript, ScriptFactory

DATA = bytes(range(1, 65))


class Stopped(Exception):  # noqa: N818 - an event
    """The machine does not run any more."""


class FakeMonitor:
    """Renode's monitor and a machine whose processor is a Python function."""

    def __init__(self, board: Board, make_script: ScriptFactory) -> None:
        self._board = board
        self._make = make_script
        self.folder: Path | None = None
        self.script: DoorbellScript | None = None
        self.firmware: Callable[[FakeMonitor], None] = lambda _: None
        self.macro: Callable[[FakeMonitor], None] = lambda _: None
        self.statuses: list[int] = []
        self.failure: BaseException | None = None
        self._paused = threading.Event()
        self._thread = threading.Thread()

    @property
    def bus(self) -> Any:
        assert self.script is not None
        return self.script.machine.SystemBus

    def __call__(self, text: str) -> str:
        if text.startswith("python "):
            found = re.search(r"'BROWNOUT_DOORBELL', (?:'([^']+)'|None)\)\"$", text)
            assert found is not None, text
            self.folder = Path(found[1]) if found[1] else None
        elif text == "machine Reset":
            self.reset()
        elif text == "start":
            self._paused.clear()
            self._thread = threading.Thread(target=self._run)
            self._thread.start()
        elif text == "pause":
            self._paused.set()
            if self._thread.ident is not None:
                self._thread.join(TIMEOUT_S)
                assert not self._thread.is_alive()
        elif text == "emulation IsStarted":
            return str(self._thread.is_alive())
        elif saved := re.fullmatch(r'brownout_save "(.+)" (0x\w+) (0x\w+)', text):
            Path(saved[1]).write_bytes(bytes(self.bus.ReadBytes(int(saved[2], 16), int(saved[3], 16))))
        else:
            assert re.fullmatch(r"include @\S+/monitor\.py", text), text
        return ""

    def reset(self) -> None:
        """Of the machine; the firmware may ask for it too."""
        if self.script is None:
            self.script = self._make(self._board, folder=self.folder)
        self.script.access("init")
        self.macro(self)

    def ring(self, offset: int, data: bytes = DATA) -> None:
        """Firmware: a program operation."""
        assert self.script is not None
        command(self.script.machine, self._board, PROGRAM, offset, data)
        self.script.access("write")
        if self.script.machine.pauses or self._paused.is_set():
            raise Stopped
        self.statuses.append(self.bus.ReadDoubleWord(self._board.flash.controller.command_block))

    def wait_ended(self) -> None:
        """Until the firmware has no more to do."""
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        assert self.script is not None
        self.script.machine.pauses.clear()
        try:
            self.firmware(self)
        except Stopped:
            pass
        except BaseException as error:  # for the test's own thread
            self.failure = error


@pytest.fixture
def monitor(board: Board, make_script: ScriptFactory) -> FakeMonitor:
    return FakeMonitor(board, make_script)


@pytest.fixture
def guest(board: Board, monitor: FakeMonitor) -> Iterator[RenodeGuest]:
    made = RenodeGuest(board, monitor, seed=5)
    yield made
    made.close()


def copies(monitor: FakeMonitor) -> None:
    """Firmware that programs three pages."""
    for page in range(3):
        monitor.ring(AREA + 0x100 * page)


def test_a_power_on_fills_the_memory(guest: RenodeGuest, monitor: FakeMonitor, board: Board) -> None:
    guest.flash.load(AREA, b"factory")
    guest.on()
    monitor.wait_ended()
    assert bytes(monitor.bus.ReadBytes(board.flash.base + AREA, 8)) == b"factory\xff"
    for memory in (memory for memory in board.memory.values() if memory.kind == "ram"):
        assert len(set(monitor.bus.ReadBytes(memory.base, memory.size))) == 256
    assert any(monitor.bus.ReadBytes(board.flash.controller.command_block + 0x110, 32))
    with pytest.raises(StateError, match="it is on"):
        guest.on()


@pytest.mark.parametrize("phase", list(Phase))
def test_a_cut_stops_the_machine_with_the_models_bytes(
    guest: RenodeGuest, monitor: FakeMonitor, board: Board, phase: Phase
) -> None:
    monitor.firmware = copies
    armed = guest.flash.arm(parse_cut(f"op=2/{phase.value}"))
    guest.on()
    assert armed.wait(TIMEOUT_S).ordinal == 2
    guest.stand_still()
    monitor.wait_ended()
    assert guest.state is PowerState.OFF
    assert monitor.statuses == [Status.OK]
    assert monitor.script is not None
    assert monitor.script.machine.pauses == [True]
    model = FlashModel(geometry_of(board.flash), seed=5)
    model.power_on()
    model.apply(Program(offset=AREA, data=DATA))
    model.apply(Program(offset=AREA + 0x100, data=DATA), cut=phase, torn=TornStyle.RANDOM)
    assert guest.flash.image() == bytes(model.shadow)
    guest.on()
    monitor.wait_ended()
    assert bytes(monitor.bus.ReadBytes(board.flash.base + AREA, 0x240)).count(DATA) == 3
    assert guest.flash.model.session == 2


def test_a_store_that_is_begun_once_more_after_the_cut_is_stopped_too(
    guest: RenodeGuest, monitor: FakeMonitor
) -> None:
    def again(monitor: FakeMonitor) -> None:
        with contextlib.suppress(Stopped):
            monitor.ring(AREA)
        assert monitor.script is not None
        monitor.script.access("write")

    monitor.firmware = again
    armed = guest.flash.arm(parse_cut("op=1/before"))
    guest.on()
    armed.wait(TIMEOUT_S)
    monitor.wait_ended()
    assert monitor.script is not None
    assert monitor.script.machine.pauses == [True, True]
    assert guest.flash.model.ordinal == 1


def test_a_cut_by_hand_takes_the_power_where_the_firmware_is(
    guest: RenodeGuest, monitor: FakeMonitor, board: Board
) -> None:
    begun = threading.Event()

    def endless(monitor: FakeMonitor) -> None:
        while True:
            monitor.ring(AREA, b"\x5a" * 4)
            begun.set()

    monitor.firmware = endless
    guest.on()
    assert begun.wait(TIMEOUT_S)
    guest.cut()
    assert guest.state is PowerState.OFF
    assert set(monitor.statuses) == {Status.OK}
    assert guest.flash.image() == bytes(guest.flash.model.shadow)
    assert bytes(monitor.bus.ReadBytes(board.flash.base + AREA, 4)) == b"\x5a" * 4
    guest.cut()


def test_a_reset_by_the_firmware_keeps_session_and_flash(guest: RenodeGuest, monitor: FakeMonitor) -> None:
    def firmware(monitor: FakeMonitor) -> None:
        monitor.ring(AREA)
        monitor.reset()
        monitor.ring(AREA + 0x100)

    monitor.firmware = firmware
    guest.on()
    monitor.wait_ended()
    assert (guest.resets, guest.flash.model.session, guest.flash.model.ordinal) == (1, 1, 2)
    assert guest.flash.image()[AREA : AREA + 64] == DATA


def test_a_store_past_the_doorbell_is_found(guest: RenodeGuest, monitor: FakeMonitor, board: Board) -> None:
    monitor.firmware = lambda monitor: monitor.bus.WriteBytes(NetBytes(b"\0"), board.flash.base + AREA)
    guest.on()
    monitor.wait_ended()
    guest.flash.checkpoint()
    with pytest.raises(ViolationError, match="bypassed the controller"):
        guest.flash.model.raise_for_violations()


def test_what_the_script_loaded_can_be_taken_over(
    guest: RenodeGuest, monitor: FakeMonitor, board: Board
) -> None:
    monitor.reset()
    monitor.bus.WriteBytes(NetBytes(b"mine" * 4), board.flash.base + AREA)
    guest.take_flash()
    assert guest.flash.image()[AREA - 1 : AREA + 17] == b"\0" + b"mine" * 4 + b"\0"
    guest.on()
    with pytest.raises(StateError, match="take flash: the power is on"):
        guest.take_flash()


def test_firmware_that_rings_without_power_waits(guest: RenodeGuest, monitor: FakeMonitor) -> None:
    monitor.firmware = copies
    monitor.reset()
    monitor("start")
    monitor.wait_ended()
    assert set(monitor.statuses) == {Status.BUSY}
    assert guest.flash.model.ordinal == 0
    monitor.statuses.clear()
    guest.on()
    monitor.wait_ended()
    assert monitor.statuses == [Status.OK] * 3


def test_a_macro_that_changes_the_flash_is_refused(
    guest: RenodeGuest, monitor: FakeMonitor, board: Board
) -> None:
    monitor.macro = lambda monitor: monitor.bus.WriteBytes(NetBytes(b"\0"), board.flash.base + AREA + 3)
    with pytest.raises(EngineError, match=rf"the flash at offset {AREA + 3:#x} is not what the harness put"):
        guest.on()
    assert guest.state is PowerState.OFF


def test_a_machine_that_does_not_tell_is_refused(guest: RenodeGuest, monitor: FakeMonitor) -> None:
    monitor.reset = lambda: None  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="did not tell of its reset: was it made after"):
        guest.on()
    assert guest.state is PowerState.OFF


def test_nothing_is_left(board: Board, monitor: FakeMonitor) -> None:
    guest = RenodeGuest(board, monitor, seed=1)
    assert monitor.folder is not None
    folder: Path = monitor.folder
    assert (folder / "flash_doorbell.py").samefile(guest.script)
    guest.close()
    assert not folder.exists()
    assert monitor.folder is None
    assert "brownout-doorbell" not in {thread.name for thread in threading.enumerate()}
    guest.close()


def test_a_monitor_that_refuses_leaves_nothing(board: Board) -> None:
    folders: list[Path] = []

    def refuse(text: str) -> str:
        folders.append(Path(text.rsplit("'", 2)[1]))
        raise EngineError("refused")

    with pytest.raises(EngineError, match="refused"):
        RenodeGuest(board, refuse, seed=1)
    assert not folders[0].exists()


# -- the Robot library -------------------------------------------------------------------------------------


@pytest.fixture
def library(monitor: FakeMonitor, monkeypatch: pytest.MonkeyPatch) -> Iterator[RenodePowerLibrary]:
    monkeypatch.setattr(renode_robot, "_execute", monitor)
    made = RenodePowerLibrary()
    yield made
    made.release_power_cuts()


def test_keywords_from_the_factory_to_the_recovery(
    library: RenodePowerLibrary, monitor: FakeMonitor, tmp_path: Path, board: Board
) -> None:
    monitor.firmware = copies
    script = library.prepare_power_cuts("mps2-an385", 5)
    assert Path(script).name == "flash_doorbell.py"
    factory, dump = tmp_path / "factory.bin", tmp_path / "dump.bin"
    factory.write_bytes(b"old" * 5)
    library.load_flash(factory, "kernel")
    library.arm_power_cut("op=3/before")
    library.power_on()
    said = library.wait_for_power_cut(datetime.timedelta(seconds=TIMEOUT_S))
    assert said == "op=3/before fired at operation 3 of power session 1"
    library.power_should_be(PowerState.OFF)
    assert library.get_replay_id() == "mps2-an385:renode:5:op=3/before"
    assert library.get_flash_operation_count() == 3
    library.flash_should_hold("kernel", factory)
    assert library.read_flash(hex(AREA), 64) == DATA
    assert len(library.read_flash("kernel")) == board.flash.regions["kernel"].size
    assert library.read_flash("kernel", 3) == b"old"
    library.save_flash(dump)
    assert dump.stat().st_size == board.flash.size
    library.power_on()
    library.power_should_be(PowerState.ON)
    monitor.wait_ended()
    library.flash_should_obey_its_rules()
    library.cut_power()
    library.release_power_cuts()
    library.release_power_cuts()


def test_keywords_fail_in_one_line(
    library: RenodePowerLibrary, monitor: FakeMonitor, tmp_path: Path, board: Board
) -> None:
    with pytest.raises(StateError, match="no power cuts are prepared: use Prepare Power Cuts before"):
        library.power_on()
    library.prepare_power_cuts()
    with pytest.raises(StateError, match="no cut is armed"):
        library.wait_for_power_cut()
    with pytest.raises(ReplayError, match="op=x"):
        library.arm_power_cut("op=x")
    with pytest.raises(StateError, match=r"flash 'kernle': expected an offset or a region \(identity, flag"):
        library.read_flash("kernle", 4)
    with pytest.raises(StateError, match="an offset needs a count"):
        library.read_flash("0x100")
    with pytest.raises(BrownoutError, match=r"none\.bin: cannot be read"):
        library.load_flash(tmp_path / "none.bin")
    with pytest.raises(BrownoutError, match="no-such-board"):
        library.prepare_power_cuts("no-such-board")
    library.prepare_power_cuts()
    with pytest.raises(AssertionError, match="the power is off, expected on"):
        library.power_should_be(PowerState.ON)
    wanted = tmp_path / "wanted.bin"
    wanted.write_bytes(b"\xff\xff\x00\x11")
    with pytest.raises(AssertionError, match=r"differs from .* at byte 0x2: ff ff, expected 00 11"):
        library.flash_should_hold("0x0", wanted)
    library.arm_power_cut("region=kernel.program#1/torn")
    library.power_on()
    with pytest.raises(CutNotFired, match="did not fire within"):
        library.wait_for_power_cut(datetime.timedelta(seconds=0.1))
    monitor.firmware = lambda monitor: monitor.bus.WriteBytes(NetBytes(b"\0"), board.flash.base)
    library.cut_power()
    library.power_on()
    monitor.wait_ended()
    with pytest.raises(ViolationError, match="bypassed"):
        library.flash_should_obey_its_rules()
