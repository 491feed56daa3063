"""The doorbell's script under CPython: with the harness over real pipes, alone against the flash model."""

from __future__ import annotations

import dataclasses
import random
import select
import threading
from typing import TYPE_CHECKING, Any

import pytest

from brownout.bench.uart_stream import stream_elf
from brownout.engines.base import PowerState
from brownout.engines.controller import BLOCK_SIZE, geometry_of
from brownout.engines.renode import RenodeEngine
from brownout.engines.renode import engine as engine_module
from brownout.engines.renode.doorbell import DoorbellPipes
from brownout.errors import EngineError
from brownout.flash import FlashModel, Status, decode_command
from brownout.power import parse_cut

from .conftest import TIMEOUT_S, DoorbellScript, FakeFactory, Machine, NetBytes, ScriptFactory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from brownout.board import Board

PROGRAM, ERASE = 1, 2
AREA = 0x10000


@pytest.fixture(params=["1.16.1", "1.16.0"])
def old(request: pytest.FixtureRequest) -> bool:
    """Whether the request object is spelled as it was up to 1.16.0."""
    return str(request.param) == "1.16.0"


def command(machine: Machine, board: Board, code: int, offset: int, data: bytes | int) -> None:
    """Write a command into the block, as firmware does before it rings; `data` may be just a length."""
    block, bus = board.flash.controller.command_block, machine.SystemBus
    length = data if isinstance(data, int) else len(data)
    for at, word in ((8, offset), (12, length), (4, code), (0, Status.BUSY)):
        bus.WriteDoubleWord(block + at, word)
    if isinstance(data, bytes):
        bus.WriteBytes(NetBytes(data[:0x100]), block + 16)


# -- with the harness ------------------------------------------------------------------------------------


class PowerGone(Exception):  # noqa: N818 - an event
    """The machine stopped at the store that rang."""


class FakeProcess:
    """The process of a machine that is none."""

    output = ""

    def __init__(self) -> None:
        self._over = threading.Event()

    @property
    def ended(self) -> bool:
        return self._over.is_set()

    def wait_ended(self) -> None:
        self._over.wait()

    def kill(self) -> None:
        self._over.set()

    def describe_end(self) -> str:
        return "killed"


class ScriptedMachine:
    """A RenodeMachine whose processor is a Python function and whose doorbell is the generated script."""

    def __init__(self, board: Board, folder: Path, make_script: ScriptFactory, *, old: bool) -> None:
        self.board = board
        self.pipes = DoorbellPipes(folder)
        self.script = make_script(board, old=old, folder=folder)
        self.process = FakeProcess()
        self.terminals: dict[str, Any] = {}
        self.firmware: Callable[[ScriptedMachine], None] = lambda _: None
        self.failure: BaseException | None = None
        self.running = threading.Thread()
        self.finished = threading.Event()

    def reset(self) -> None:
        self.script.access("init")

    def start(self) -> None:
        self.finished.clear()
        self.running = threading.Thread(target=self._run)
        self.running.start()

    def pause(self, *, stopping: bool) -> None:
        del stopping
        self.running.join(TIMEOUT_S)
        assert not self.running.is_alive()

    def dump(self, address: int, count: int) -> bytes:
        return bytes(self.script.machine.SystemBus.ReadBytes(address, count))

    def ring(self, code: int, offset: int, data: bytes | int) -> int:
        """Firmware: an operation; its status."""
        command(self.script.machine, self.board, code, offset, data)
        self.script.access("write")
        if self.script.machine.pauses:
            raise PowerGone
        return self.script.machine.SystemBus.ReadDoubleWord(self.board.flash.controller.command_block)

    def _run(self) -> None:
        try:
            self.firmware(self)
        except PowerGone:
            pass
        except BaseException as error:  # for the test's own thread
            self.failure = error
        finally:
            self.finished.set()


class Rig:
    """A RenodeEngine on a ScriptedMachine."""

    def __init__(self, engine: RenodeEngine, machine: ScriptedMachine) -> None:
        self.engine = engine
        self.machine = machine

    def run(self, firmware: Callable[[ScriptedMachine], None]) -> None:
        """Power on, firmware to its end."""
        self.machine.firmware = firmware
        self.engine.on()
        assert self.machine.finished.wait(TIMEOUT_S)
        if self.machine.failure is not None:
            raise self.machine.failure


@pytest.fixture
def rig(
    board: Board,
    old: bool,
    tmp_path: Path,
    make_script: ScriptFactory,
    fake_renode: FakeFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Rig]:
    folder = tmp_path / "pipes"
    folder.mkdir()
    boot = tmp_path / "boot.elf"
    boot.write_bytes(stream_elf(board, (0xE7FE,)))
    machine = ScriptedMachine(board, folder, make_script, old=old)

    class Pool:
        """Has this one machine."""

        def take(self, *_: object) -> ScriptedMachine:
            return machine

        def give_back(self, *_: object) -> None:
            machine.process.kill()

    monkeypatch.setattr(engine_module, "POOL", Pool())
    monkeypatch.setenv("RENODE", str(fake_renode().program))
    engine = RenodeEngine(board, boot, seed=5)
    yield Rig(engine, machine)
    engine.close()
    machine.process.kill()
    machine.pipes.close()


def test_a_reset_fills_all_memories(rig: Rig, board: Board) -> None:
    rig.engine.flash.load(AREA, b"factory")
    rig.run(lambda machine: None)
    bus, block = rig.machine.script.machine.SystemBus, board.flash.controller.command_block
    assert bytes(bus.ReadBytes(board.flash.base, board.flash.size)) == rig.engine.flash.image()
    assert bytes(bus.ReadBytes(board.flash.base + AREA, 7)) == b"factory"
    assert bytes(bus.ReadBytes(block, 16)) == bytes(16)
    assert any(bus.ReadBytes(block + 0x110, 32))
    rom = board.memory["boot_rom"]
    assert any(bus.ReadBytes(rom.base, rom.size))
    for memory in (memory for memory in board.memory.values() if memory.kind == "ram"):
        assert len(set(bus.ReadBytes(memory.base, memory.size))) == 256


def test_operations_give_the_models_status_and_bytes(rig: Rig, board: Board) -> None:
    seen: list[int] = []

    def firmware(machine: ScriptedMachine) -> None:
        seen.append(machine.ring(PROGRAM, AREA, b"\x0f" * 64))
        seen.append(machine.ring(PROGRAM, AREA, b"\xf3" * 8))
        seen.append(machine.ring(ERASE, AREA + 0x1000, 0x1000))
        seen.append(machine.ring(PROGRAM, AREA + 2, b"\x00" * 4))
        seen.append(machine.ring(7, 0, 0))

    rig.run(firmware)
    assert seen == [Status.OK, Status.OK, Status.OK, Status.BAD_RANGE, Status.BAD_COMMAND]
    bus = rig.machine.script.machine.SystemBus
    assert bytes(bus.ReadBytes(board.flash.base + AREA, 9)) == b"\x03" * 8 + b"\x0f"
    assert bytes(bus.ReadBytes(board.flash.base, board.flash.size)) == bytes(rig.engine.flash.model.shadow)
    assert rig.engine.flash.model.ordinal == 5
    rig.engine.raise_for_failure()


@pytest.mark.parametrize("phase", ["before", "torn", "after"])
def test_a_cut_stops_the_machine_at_the_store_with_the_models_bytes(
    rig: Rig, board: Board, phase: str
) -> None:
    seen: list[int] = []

    def firmware(machine: ScriptedMachine) -> None:
        for _ in range(3):
            seen.append(machine.ring(PROGRAM, AREA, bytes(range(1, 65))))

    armed = rig.engine.flash.arm(parse_cut(f"op=2/{phase}"))
    rig.run(firmware)
    armed.wait(TIMEOUT_S)
    assert seen == [Status.OK]
    assert rig.machine.script.machine.pauses == [True]  # precise: nothing after the store
    assert rig.engine.state is PowerState.OFF
    model = rig.engine.flash.model
    bus = rig.machine.script.machine.SystemBus
    assert rig.engine.flash.image() == bytes(model.shadow)
    assert bytes(bus.ReadBytes(board.flash.base + AREA, 64)) == bytes(model.shadow[AREA : AREA + 64])
    block = board.flash.controller.command_block
    assert bus.ReadDoubleWord(block) == Status.BUSY


def test_a_reset_by_the_firmware_keeps_the_flash_and_the_session(rig: Rig, board: Board) -> None:
    def firmware(machine: ScriptedMachine) -> None:
        assert machine.ring(PROGRAM, AREA, b"\x00" * 4) == Status.OK
        machine.script.access("init")
        assert machine.ring(PROGRAM, AREA + 4, b"\x00" * 4) == Status.OK

    rig.run(firmware)
    assert rig.engine.resets == 1
    assert rig.engine.flash.model.session == 1
    bus = rig.machine.script.machine.SystemBus
    assert bytes(bus.ReadBytes(board.flash.base + AREA, 9)) == bytes(8) + b"\xff"


@pytest.mark.parametrize(("kind", "offset"), [("read", 0), ("write", 4), ("write", 0x10), ("user", 0)])
def test_nothing_but_a_store_to_the_first_word_rings(rig: Rig, kind: str, offset: int, board: Board) -> None:
    def firmware(machine: ScriptedMachine) -> None:
        command(machine.script.machine, board, ERASE, AREA, 0x1000)
        machine.script.access(kind, offset)

    rig.run(firmware)
    assert rig.engine.flash.model.ordinal == 0


def test_a_harness_that_is_gone_stops_the_machine(
    board: Board, tmp_path: Path, make_script: ScriptFactory, old: bool
) -> None:
    pipes = DoorbellPipes(tmp_path)
    script = make_script(board, old=old, folder=tmp_path)
    ringing = threading.Thread(target=script.access, args=("write",))
    ringing.start()
    pipes.wait()
    pipes.close()
    ringing.join(TIMEOUT_S)
    assert not ringing.is_alive()
    assert script.machine.pauses == [True]


def test_the_pipes_carry_whole_arrays_both_ways(
    board: Board, tmp_path: Path, make_script: ScriptFactory
) -> None:
    pipes = DoorbellPipes(tmp_path)
    try:
        script = make_script(board, folder=tmp_path)
        ringing = threading.Thread(target=script.access, args=("init",))
        ringing.start()
        assert pipes.wait().name == "RESET"
        data = random.Random(1).randbytes(board.flash.size)
        pipes.write(board.flash.base, data)
        assert pipes.read(board.flash.base, board.flash.size) == data
        pipes.go_on()
        ringing.join(TIMEOUT_S)
        assert not ringing.is_alive()
        assert script.machine.pauses == []
    finally:
        pipes.close()


def test_pipes_that_cannot_be_made_or_carry_nonsense_are_one_line(tmp_path: Path) -> None:
    pipes = DoorbellPipes(tmp_path)
    try:
        with pytest.raises(EngineError, match="no named pipes for Renode can be made"):
            DoorbellPipes(tmp_path)
        with (tmp_path / "events").open("wb", buffering=0) as events:
            events.write(b"?")
            with pytest.raises(EngineError, match=r"expected an event, found b'\?'"):
                pipes.wait()
    finally:
        pipes.close()


# -- alone ---------------------------------------------------------------------------------------------------


def small(board: Board, variant: str) -> Board:
    flash = dataclasses.replace(board.flash, size=0x8000, regions={})
    if variant == "write once":
        flash = dataclasses.replace(flash, write_once=True, write_unit=8)
    elif variant == "unequal sectors":
        flash = dataclasses.replace(flash, sector_size=0, sectors=((4, 0x400), (1, 0x1000), (3, 0x2000)))
    return dataclasses.replace(board, flash=flash)


@pytest.fixture(params=["plain", "write once", "unequal sectors"])
def small_board(request: pytest.FixtureRequest, board: Board) -> Board:
    return small(board, request.param)


def erased(script: DoorbellScript, board: Board) -> None:
    """What the platform's ResetByte does."""
    data = NetBytes(bytes([board.flash.erased_value]) * board.flash.size)
    script.machine.SystemBus.WriteBytes(data, board.flash.base)


def operations(board: Board, chance: random.Random) -> tuple[int, int, bytes | int]:
    """A command, right or wrong in one of many ways."""
    flash = board.flash
    sizes = [size for _, size in flash.sectors or ((1, flash.sector_size),)]
    code = chance.choice((PROGRAM, PROGRAM, PROGRAM, ERASE, ERASE, 0, 3, 0xFFFFFFFF))
    if code == ERASE:
        offset = chance.choice((0x400, 0x1000, 0x2000)) * chance.randrange(9) + chance.choice((0, 0, 0, 4))
        return code, offset, chance.choice([*sizes, flash.size, 0])
    places = chance.choice((8, flash.size // 0x40))  # often the same few, so that words are programmed twice
    offset = chance.randrange(places) * 0x40 + chance.choice((0, 0, 0, 4, 2, 0xFC))
    length = chance.choice((4, 8, 8, 16, 64, 256, 256, 0, 3, 6, 260))
    offset = chance.choice((offset, offset, offset, flash.size - 4, flash.size, 0xFFFF_FFFC))
    return code, offset, chance.randbytes(length)


@pytest.mark.parametrize("seed", range(3))
def test_alone_it_does_what_the_flash_model_does(
    small_board: Board, make_script: ScriptFactory, seed: int, old: bool
) -> None:
    board, chance = small_board, random.Random(seed)
    script = make_script(board, old=old)
    script.access("init")
    erased(script, board)
    model = FlashModel(geometry_of(board.flash), seed=1)
    model.power_on()
    statuses = set()
    block, bus = board.flash.controller.command_block, script.machine.SystemBus
    for _ in range(1500):
        code, offset, data = operations(board, chance)
        length = data if isinstance(data, int) else len(data)
        command(script.machine, board, code, offset, data)
        buffer = bytes(bus.ReadBytes(block + 16, 0x100))
        effect = model.apply(decode_command(code, offset, length, buffer))
        script.access("write")
        assert bus.ReadDoubleWord(block) == effect.status, (hex(code), hex(offset), length)
        statuses.add(effect.status)
        if chance.random() < 0.02:
            script.access("init")  # a reset in between changes nothing
    assert bytes(bus.ReadBytes(board.flash.base, board.flash.size)) == bytes(model.shadow)
    expected = {Status.OK, Status.BAD_COMMAND, Status.BAD_RANGE}
    assert statuses == expected | ({Status.WRITE_ONCE} if board.flash.write_once else set())
    assert script.machine.pauses == []


@pytest.mark.parametrize(("kind", "offset"), [("read", 0), ("write", 4), ("init", 0), ("user", 0)])
def test_alone_too_only_a_store_to_the_first_word_rings(
    board: Board, make_script: ScriptFactory, kind: str, offset: int
) -> None:
    script = make_script(board)
    command(script.machine, board, ERASE, AREA, 0x1000)
    before = bytes(script.machine.SystemBus.ReadBytes(board.flash.base + AREA, 0x1000))
    script.access(kind, offset)
    bus = script.machine.SystemBus
    assert bus.ReadDoubleWord(board.flash.controller.command_block) == Status.BUSY
    assert bytes(bus.ReadBytes(board.flash.base + AREA, 0x1000)) == before
    assert BLOCK_SIZE <= 0x1000


def test_an_event_that_nobody_takes_does_not_get_lost(
    board: Board, tmp_path: Path, make_script: ScriptFactory
) -> None:
    pipes = DoorbellPipes(tmp_path)
    try:
        script = make_script(board, folder=tmp_path)
        ringing = threading.Thread(target=script.access, args=("write",))
        ringing.start()
        assert select.select([pipes._events], [], [], TIMEOUT_S)[0]
        assert pipes.wait().name == "RING"
        pipes.go_on()
        ringing.join(TIMEOUT_S)
        assert not ringing.is_alive()
    finally:
        pipes.close()
