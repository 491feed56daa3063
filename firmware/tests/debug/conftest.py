"""Fixtures for the host tests of the debug agent: the agent runs under sanitizers."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from firmware.tests.debug.debug_world import AgentProgram, World

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1]
ROOT = FIRMWARE.parent
THIRD_PARTY = ROOT / "build" / "third_party"
SANITIZE = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wmissing-prototypes")
MESSAGES = ("debug-frame", "token-envelope", "token-map", "debug-request", "debug-response")


def run(*command: object) -> None:
    """Run a command with a deadline; a failure shows its output."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=240, check=False
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


@pytest.fixture(scope="session")
def agent_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`agent_host.c` with the agent, built for the host under ASan and UBSan."""
    folder = tmp_path_factory.mktemp("debug_agent")
    run(sys.executable, FIRMWARE / "tools" / "fetch_sources.py", "--output", THIRD_PARTY)
    zcbor = shutil.which("zcbor", path=str(Path(sys.executable).parent)) or "zcbor"
    output = ["--output-c", folder / "debug.c", "--output-h", folder / "debug.h"]
    output += ["--output-h-types", folder / "debug_types.h"]
    cddl = ROOT / "server" / "cddl" / "debug.cddl"
    run(zcbor, "code", "-c", cddl, "-d", "-e", "-t", *MESSAGES, "--default-max-qty", "4", *output)
    runtime = THIRD_PARTY / "zcbor"
    system = ["-isystem", folder, "-isystem", runtime / "include"]
    foreign = [*folder.glob("debug_*code.c"), *(runtime / "src").glob("zcbor_[cde]*.c")]
    own = [*(FIRMWARE / "debug").glob("*.c"), HERE / "agent_host.c"]
    include = [f"-I{FIRMWARE / name}" for name in ("debug", "lib")]
    common = ["gcc", *SANITIZE, "-DZCBOR_CANONICAL", *include, *system, "-c"]
    objects = []
    for source in (*foreign, *own):
        objects.append(folder / f"{source.stem}.o")
        run(*common, *(STRICT if source in own else ("-w",)), source, "-o", objects[-1])
    run("gcc", *SANITIZE, *objects, "-o", folder / "agent_host")
    return folder / "agent_host"


@pytest.fixture(scope="session")
def running_program(agent_program: Path) -> Iterator[AgentProgram]:
    """One process for all tests; each starts it over with `init`."""
    program = AgentProgram(agent_program)
    yield program
    program.close()


@pytest.fixture
def world(running_program: AgentProgram) -> World:
    """An agent that nobody has attached to, and an empty app."""
    return World(running_program)


@pytest.fixture(scope="session")
def example_code(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """`example_app.c`, linked at the app's code; it starts at its first byte."""
    folder = tmp_path_factory.mktemp("debug_example")
    elf, binary = folder / "example.elf", folder / "example.bin"
    flags = ["-mcpu=cortex-m3", "-mthumb", "-O2", "-ffreestanding", "-nostdlib", "-nostartfiles"]
    script = ["-T", HERE / "example_app.ld", "-Wl,--no-warn-rwx-segments"]
    run("arm-none-eabi-gcc", *flags, HERE / "example_app.c", *script, "-lgcc", "-o", elf)
    run("arm-none-eabi-objcopy", "-O", "binary", elf, binary)
    return binary.read_bytes()
