"""`fieldlink debug` as a person runs it, against the simulated device."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from fieldlink.debug.elf import load_elf
from fieldlink.debug_messages import EndReason
from fieldlink.errors import ConfigError
from fieldlink.keys import KeyPair, KeyUse, save_key_pair
from fieldlink.testing.debug_agent import COUNTER, ENTRY

COMPILER = shutil.which("arm-none-eabi-gcc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="arm-none-eabi-gcc is not installed")
SOURCE = """
    .syntax unified
    .thumb
    .section .text
    .space 0x40
    .global app_entry
    .type app_entry, %function
app_entry:
    .short 0x3001, 0x6008, 0xbf00, {last}
    .size app_entry, . - app_entry
    .section .data
    .global initial
    .type initial, %object
initial: .word 42
    .size initial, 4
"""
SCRIPT = """
ENTRY(app_entry)
SECTIONS {
    .text 0x20020000 : { *(.text) end = .; }
    .data 0x20032000 : AT(end) { *(.data) }
    /DISCARD/ : { *(.ARM.attributes) }
}
"""


def build_elf(folder: Path, *, last: str = "0xe7fb") -> Path:
    (folder / "app.s").write_text(SOURCE.format(last=last))
    (folder / "app.ld").write_text(SCRIPT)
    elf = folder / "app.elf"
    subprocess.run(
        [str(COMPILER), "-mcpu=cortex-m3", "-nostdlib", "-T", "app.ld", "app.s", "-o", elf.name],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return elf


@pytest.fixture
def profile(bench, tmp_path) -> Callable[..., Path]:
    """Writes a profile for the bench; call it once the bench serves."""

    def write(**changes: str) -> Path:
        for name, pair in (("client", bench.client), ("e2e", bench.e2e), ("server", bench.server)):
            save_key_pair(pair, tmp_path / f"{name}.key", force=True)
        (tmp_path / "dev.token").write_bytes(bench.token())
        lines = {
            "server": f"127.0.0.1:{bench.port}",
            "server_key": "server.key.pub",
            "key": "client.key",
            "e2e_key": "e2e.key",
            "token": "dev.token",
            "device_key": bench.device.public.hex(),
        } | changes
        path = tmp_path / "debug.toml"
        path.write_text("".join(f'{key} = "{value}"\n' for key, value in lines.items()))
        return path

    return write


async def start(*arguments: str | Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from fieldlink.cli import main; main()", "debug", *map(str, arguments),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip


async def fieldlink(*arguments: str | Path) -> tuple[int, str, str]:
    process = await start(*arguments)
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def served(bench, scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    async def everything() -> None:
        async with asyncio.timeout(60), bench.serving():
            await scenario()

    asyncio.run(everything())


def test_one_shot_commands(bench, profile):
    async def scenario() -> None:
        path = profile()
        code, out, err = await fieldlink("write", "dev-1", hex(COUNTER + 8), "2a000000", "--profile", path)
        assert (code, err) == (0, "")
        assert "4 bytes written" in out
        code, out, _ = await fieldlink("read", "dev-1", hex(COUNTER + 8), "4", "--profile", path, "--json")
        assert json.loads(out) == {"address": COUNTER + 8, "hex": "2a000000"}
        code, out, _ = await fieldlink("regs", "dev-1", "--profile", path, "--json")
        assert json.loads(out)["r1"] == COUNTER
        code, out, _ = await fieldlink("halt", "dev-1", "--profile", path, "--json")
        assert json.loads(out)["reason"] == "halted"
        code, out, _ = await fieldlink("continue", "dev-1", "--profile", path, "--break", hex(ENTRY + 2))
        assert f"stopped: breakpoint, pc {ENTRY + 2:#010x}" in out
        assert code == 0
        await bench.until(lambda: all(end.over and end.agent.running for end in bench.ends))
        assert all(not end.agent.points for end in bench.ends)

    served(bench, scenario)


def test_log_shows_output(bench, profile):
    async def scenario() -> None:
        process = await start("log", "dev-1", "--profile", profile(), "--json")
        await bench.until(lambda: bench.end is not None and bool(bench.end.agent.requests))
        bench.end.agent.print(b"hello\r\n")
        assert process.stdout is not None
        async with asyncio.timeout(10):
            assert json.loads(await process.stdout.readline()) == {"output": "hello\r\n"}
        process.terminate()
        await process.wait()
        await bench.until(lambda: bench.end is None)

    served(bench, scenario)


@needs_compiler
def test_gdb_port_with_the_right_elf_until_interrupted(bench, profile, tmp_path):
    elf = build_elf(tmp_path)
    ready = tmp_path / "ready.json"

    async def scenario() -> None:
        bench.machine.memory[0x20020000][:0x40] = bytes(0x40)
        process = await start("dev-1", "--profile", profile(), "--elf", elf, "--ready-file", ready)
        assert process.stdout is not None
        async with asyncio.timeout(10):
            first, second = await process.stdout.readline(), await process.stdout.readline()
        assert b"device dev-1: app running, token allows read,write,control,reset" in first
        port = json.loads(ready.read_text())["port"]
        assert f"target remote 127.0.0.1:{port}".encode() in second
        process.send_signal(2)
        async with asyncio.timeout(10):
            assert await process.wait() == 0
        assert not ready.exists()

    served(bench, scenario)


@needs_compiler
def test_an_elf_that_the_device_does_not_run_is_refused_unless_forced(bench, profile, tmp_path):
    elf = build_elf(tmp_path, last="0xe7fa")

    async def scenario() -> None:
        path = profile()
        code, out, err = await fieldlink("gdb", "dev-1", "--profile", path, "--elf", elf)
        assert (code, out) == (2, "")
        assert "is not what the device runs; use the app.elf of the installed release, or --force" in err
        process = await start("gdb", "dev-1", "--profile", path, "--elf", elf, "--force")
        assert process.stdout is not None
        async with asyncio.timeout(10):
            assert b"app running" in await process.stdout.readline()
        process.terminate()
        await process.wait()

    served(bench, scenario)


def test_a_server_that_goes_is_one_line_and_exit_code_2(bench, profile, tmp_path):
    async def scenario() -> None:
        process = await start("dev-1", "--profile", profile())
        assert process.stdout is not None
        async with asyncio.timeout(10):
            await process.stdout.readline()
            await bench.cut()
            _, err = await process.communicate()
        assert process.returncode == 2
        assert err.decode().startswith("fieldlink: error: debug session: the link")
        assert err.count(b"\n") == 1

    served(bench, scenario)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (EndReason.NO_SUCH_DEVICE, "the server knows no such device"),
        (EndReason.OFFLINE, "the device is offline"),
        (EndReason.BUSY, "another session controls the device"),
        (EndReason.EXPIRED, "the token has expired"),
    ],
)
def test_refusals_are_one_line(bench, profile, reason, text):
    bench.refuse_with = reason

    async def scenario() -> None:
        code, _, err = await fieldlink("regs", "dev-1", "--profile", profile())
        assert (code, err.count("\n")) == (2, 1)
        assert text in err

    served(bench, scenario)


def test_bad_input_is_one_line(bench, profile, tmp_path):
    async def scenario() -> None:
        path = profile()
        stranger = save_key_pair(KeyPair.generate(KeyUse.CLIENT), tmp_path / "other.key")[0]
        for arguments, text in (
            (("regs", "dev-1"), "missing --server: give the option, or server in the --profile file"),
            (("regs", "dev-2", "--profile", path), "not authorised: it is for device dev-1"),
            (("regs", "dev-1", "--profile", path, "--e2e-key", stranger), "for another client key"),
            (("regs", "dev-1", "--profile", path, "--server", "nowhere"), "expected HOST:PORT"),
            (("regs", "dev-1", "--profile", path, "--server", "127.0.0.1:1"), "cannot be reached"),
            (("regs", "dev-1", "--profile", path, "--device-key", "zz"), "device key zz: cannot be read"),
            (("read", "dev-1", "measurement", "--profile", path), "give --elf FILE, or an address"),
            (("read", "dev-1", "0x0", "--profile", path), "bad address or length"),
            (("write", "dev-1", "0x0", "xyz", "--profile", path), "expected hex digits"),
            (("gdb", "dev-1", "--profile", path, "--elf", path), "is it the app.elf of the build?"),
        ):
            code, out, err = await fieldlink(*arguments)
            assert (code, out, err.count("\n")) == (2, "", 1), (arguments, err)
            assert text in err, arguments

    served(bench, scenario)


@needs_compiler
def test_an_elf_is_flattened_as_objcopy_does(tmp_path):
    path = build_elf(tmp_path)
    binary = tmp_path / "app.bin"
    objcopy = str(COMPILER).replace("gcc", "objcopy")
    subprocess.run([objcopy, "-O", "binary", path, binary], check=True)
    elf = load_elf(path)
    assert elf.image == binary.read_bytes()
    assert elf.symbols["app_entry"] == (ENTRY, 8)
    assert elf.symbols["initial"] == (0x20032000, 4)
    (code,) = elf.read_only
    assert (code.address, len(code.data)) == (0x20020000, 0x48)


def test_a_damaged_elf(tmp_path):
    path = tmp_path / "app.elf"
    for content in (b"", b"\x7fELF", b"\x7fELF\x01\x01\x01" + bytes(60), b"no elf at all"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"app\.elf"):
            load_elf(path)
