"""Machines from a user's own .resc and .repl run as the board's own does, or are refused in one line."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from brownout.board import RenodeScript
from brownout.board.export import export_renode
from brownout.cli import main
from brownout.device import Device
from brownout.engines.controller import geometry_of
from brownout.engines.renode.machine import RenodeMachine
from brownout.errors import EngineError
from brownout.flash import FlashModel, Phase, Program, TornStyle
from brownout.target import load_target

from .conftest import log_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from brownout.board import Board

    from .conftest import FakeFactory

TIMEOUT_S = 60.0
AREA = 0x10000
OWN = {"flash": "norflash", "doorbell": "bell", "cpu": "core", "uarts": {"console": "uart0"}}
PLATFORM = """
core: CPU.CortexM @ sysbus
    cpuType: "cortex-m3"
    nvic: irq

irq: IRQControllers.NVIC @ sysbus 0xe000e000
    -> core@0

rom: Memory.MappedMemory @ sysbus 0x0
    size: 0x10000

sram: Memory.MappedMemory @ sysbus 0x20000000
    size: 0x40000

norflash: Memory.MappedMemory @ sysbus 0x21000000
    size: 0x400000

commands: Memory.MappedMemory @ sysbus 0x21fff000
    size: 0x1000

uart0: UART.CMSDK_APB_UART @ sysbus 0x40004000
    RxInterrupt -> irq@0
    TxInterrupt -> irq@1
"""
SCRIPT = """
:name: somebody's board
mach create "mine"
machine LoadPlatformDescription $ORIGIN/mine.repl
machine PyDevFromFile $ORIGIN/flash_doorbell.py 0x40009000 0x1000 True "bell"
macro reset
\"\"\"
    sysbus LoadELF @{elf}
\"\"\"
runMacro $reset
start
"""


@pytest.fixture
def folder(tmp_path: Path, board: Board, probe_elf: Path) -> Path:
    """What a user of Renode has, and the doorbell's script."""
    folder = tmp_path / "own board"
    folder.mkdir()
    (folder / "mine.repl").write_text(PLATFORM)
    (folder / "mine.resc").write_text(SCRIPT.format(elf=probe_elf))
    (folder / "flash_doorbell.py").write_text(export_renode(board)["flash_doorbell.py"])
    return folder


def own(path: Path, **changed: object) -> RenodeScript:
    return RenodeScript(path=path, **{**OWN, **changed})  # type: ignore[arg-type]


@pytest.fixture
def devices(board: Board, probe_elf: Path) -> Iterator[Devices]:
    made = Devices(board, probe_elf)
    yield made
    for device in made.all:
        device.close()


class Devices:
    """Makes devices and closes them."""

    def __init__(self, board: Board, elf: Path) -> None:
        self._board, self._elf = board, elf
        self.all: list[Device] = []

    def make(self, script: RenodeScript | None) -> Device:
        device = Device(self._board, self._elf, engine="renode", seed=7, renode_script=script)
        self.all.append(device)
        return device


# -- with Renode --------------------------------------------------------------------------------------------


@pytest.mark.emulator
@pytest.mark.xdist_group("renode")
@pytest.mark.parametrize("name", ["mine.resc", "mine.repl"])
def test_power_cuts_on_a_machine_of_ones_own(
    devices: Devices, folder: Path, board: Board, renode: str, name: str
) -> None:
    del renode
    device = devices.make(own(folder / name))
    device.power_on()
    device.wait_for_line("probe ready\n", TIMEOUT_S)
    assert device.engine.program_counter() < 0x10000
    device.arm_cut("op=1/torn/random")
    device.console.spawn.send(f"p{AREA:x} 100 11223344\n")
    device.wait_for_cut(TIMEOUT_S)
    model = FlashModel(geometry_of(board.flash), seed=7)
    model.power_on()
    data = b"".join((0x11223344 + at).to_bytes(4, "little") for at in range(0, 0x100, 4))
    model.apply(Program(offset=AREA, data=data), cut=Phase.TORN, torn=TornStyle.RANDOM)
    assert device.flash.image() == bytes(model.shadow)
    device.power_on()
    device.wait_for_line("probe ready\n", TIMEOUT_S)
    device.console.spawn.send("r\n")
    device.wait_for_line("probe ready\n", TIMEOUT_S)
    assert device.engine.resets == 1
    device.check()


@pytest.mark.emulator
@pytest.mark.xdist_group("renode")
def test_a_machine_of_one_script_is_not_lent_to_another(devices: Devices, folder: Path, renode: str) -> None:
    del renode
    pids = []
    for script in (own(folder / "mine.repl"), None, own(folder / "mine.repl")):
        device = devices.make(script)
        device.power_on()
        pids.append(device.engine.process_id)  # type: ignore[attr-defined]
        device.close()
    assert pids[0] == pids[2] != pids[1]


@pytest.mark.emulator
@pytest.mark.xdist_group("renode")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense here\n", "Renode refused 'include @.*mine.resc': No such command or device: nonsense"),
        (
            "mach create\nmachine LoadPlatformDescription @/none.repl\n",
            "refused 'include .*mine.resc'.*none.repl",
        ),
        ('echo "no machine"\n', "mine.resc: makes no machine, or ends with none selected"),
        (SCRIPT.replace('"bell"', '"other"'), "engine.renode.doorbell: 'bell': the machine has no such peri"),
        (
            SCRIPT.replace("flash_doorbell.py", "idle.py"),
            "'bell' did not tell of a reset: it must run flash_d",
        ),
    ],
)
def test_a_script_that_does_not_work_is_one_line(
    folder: Path, board: Board, probe_elf: Path, renode: str, text: str, message: str
) -> None:
    (folder / "idle.py").write_text("request.Value = 0\n")
    (folder / "mine.resc").write_text(text.format(elf=probe_elf))
    with pytest.raises(EngineError, match=message) as caught:
        RenodeMachine(renode, board, script=own(folder / "mine.resc"))
    log = log_of(str(caught.value))
    assert "brownout_look" in log.read_text() or "refused" in str(caught.value)


@pytest.mark.emulator
@pytest.mark.xdist_group("renode")
@pytest.mark.parametrize(("address", "what"), [(0x21010000, "flash"), (0x200, "ROM")])
def test_a_macro_that_changes_flash_or_program_is_refused(
    devices: Devices, folder: Path, renode: str, address: int, what: str
) -> None:
    del renode
    script = folder / "mine.resc"
    load = f'sysbus WriteDoubleWord {address:#x} 0x12345678\n"""\nrunMacro'
    script.write_text(script.read_text().replace('"""\nrunMacro', load))
    with pytest.raises(EngineError, match=f"after a reset the {what} at {address:#x} is not what") as caught:
        devices.make(own(script)).power_on()
    assert log_of(str(caught.value)).is_file()


# -- without it ---------------------------------------------------------------------------------------------

LISTING = {
    "core": "core CortexM Slot: 0",
    "rom": "rom MappedMemory <0x00000000, 0x0000FFFF>",
    "sram": "sram MappedMemory <0x20000000, 0x2003FFFF>",
    "norflash": "norflash MappedMemory <0x21000000, 0x213FFFFF>",
    "commands": "commands MappedMemory <0x21FFF000, 0x21FFFFFF>",
    "uart0": "uart0 CMSDK_APB_UART <0x40004000, 0x40004FFF>",
    "bell": "bell PythonPeripheral <0x40009000, 0x40009FFF>",
}


@pytest.mark.usefixtures("shared_network")
@pytest.mark.parametrize(
    ("names", "listing", "message"),
    [
        (
            {"flash": "nor"},
            {},
            "engine.renode.flash: 'nor': the machine has no such peripheral; it has bell, c",
        ),
        ({"cpu": "cpu"}, {}, "engine.renode.cpu: 'cpu': the machine has no such peripheral"),
        (
            {"uarts": {"console": "uart1"}},
            {},
            "engine.renode.uarts.console: 'uart1': the machine has no such",
        ),
        (
            {},
            {"norflash": "norflash MappedMemory <0x22000000, 0x223FFFFF>"},
            "'norflash' lies at 0x22000000..0x223fffff, board 'mps2-an385' has its flash at 0x21000000..",
        ),
        ({}, {"norflash": "norflash MappedMemory <0x21000000, 0x2100FFFF>"}, "'norflash' lies at 0x21000000"),
        ({"doorbell": "uart0"}, {}, "'uart0' is a CMSDK_APB_UART, expected a PythonPeripheral"),
        ({}, {"bell": "bell PythonPeripheral <0x4000A000, 0x4000AFFF>"}, "has its doorbell at 0x40009000"),
        (
            {},
            {"commands": ""},
            "nothing lies at 0x21fff000, where board 'mps2-an385' has flash.controller.comm",
        ),
        ({}, {"sram": "sram MappedMemory <0x20000000, 0x2000FFFF>"}, "at 0x20020000, .* has memory.app_code"),
        ({}, {}, "'bell' did not tell of a reset"),
    ],
)
def test_a_machine_that_does_not_fit_the_board_is_one_line(
    fake_renode: FakeFactory,
    scratch: Path,
    board: Board,
    folder: Path,
    names: dict[str, object],
    listing: dict[str, str],
    message: str,
) -> None:
    lines = "\n".join({**LISTING, **listing}.values())
    fake = fake_renode(f"def other(line):\n    if line == 'brownout_look':\n        say({lines!r})")
    with pytest.raises(EngineError, match=message) as caught:
        RenodeMachine(str(fake.program), board, script=own(folder / "mine.resc", **names))
    assert str(folder / "mine.resc") in str(caught.value)
    assert log_of(str(caught.value)).is_relative_to(scratch)
    assert fake.is_gone()


# -- the target file ----------------------------------------------------------------------------------------

TARGET = """
name = "own"
board = "mps2-an385"
elf = "{elf}"

[boot]
vector_table = 0

[[outcome]]
name = "ready"
pc = {{ start = 0x100, end = 0x200 }}

[engine.renode]
script = "mine.resc"
"""


@pytest.fixture
def target_file(folder: Path, probe_elf: Path) -> Path:
    path = folder / "target.toml"
    path.write_text(TARGET.format(elf=probe_elf))
    return path


def check(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["target", "check", *map(str, arguments)])
    said = capfd.readouterr()
    return int(str(ended.value.code or 0)), said.out, said.err


def test_a_target_names_its_machine(target_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with target_file.open("a") as file:
        file.write(
            'flash = "sysbus.norflash"\ndoorbell = "bell"\ncpu = "core"\nuarts = { console = "uart0" }\n'
        )
    assert load_target(target_file).renode == own(target_file.with_name("mine.resc"))
    code, out, err = check(capfd, target_file)
    assert (code, err) == (0, "")
    assert f"On Renode\n  it runs on the machine of {target_file.with_name('mine.resc')}\n" in out
    assert "  whose flash is 'norflash', doorbell 'bell', core 'core'\n  the console is 'uart0'\n" in out
    code, out, _ = check(capfd, target_file, "--json")
    assert json.loads(out)["renode"] == {
        "script": str(target_file.with_name("mine.resc")),
        "flash": "norflash",
        "doorbell": "bell",
        "cpu": "core",
        "uarts": {"console": "uart0"},
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('script = "none.resc"', "engine.renode.script: .*none.resc: there is no such file"),
        (
            'script = "target.toml"',
            r"engine.renode.script: .*target.toml: expected a script \(.resc\) or a plat",
        ),
        (
            'script = "mine.resc"\nflash = "nor flash"',
            "engine.renode.flash: 'nor flash': expected the name of a",
        ),
        (
            'script = "mine.resc"\nuarts = { modem = "u" }',
            "uarts.modem: board 'mps2-an385' has no such UART; it h",
        ),
        (
            'script = "mine.resc"\nuarts = { doorbell = "u" }',
            "uarts.doorbell: board 'mps2-an385' has no such UART",
        ),
        (
            'script = "mine.resc"\nuarts = { console = "u;quit" }',
            "uarts.console: 'u;quit': expected the name",
        ),
        ('flash = "flash"', "engine.renode.script: missing"),
        ('script = "mine.resc"\nbell = "b"', "engine.renode.bell: unknown key"),
    ],
)
def test_a_target_that_names_it_wrongly_is_one_line(
    target_file: Path, capfd: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    target_file.write_text(target_file.read_text().replace('script = "mine.resc"', line))
    code, _, err = check(capfd, target_file)
    assert code == 2
    assert err.count("\n") == 1
    assert re.search(message, err), err
