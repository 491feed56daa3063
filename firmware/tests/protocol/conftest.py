"""Builds the firmware's crypto, link and E2E libraries for the host (sanitizers) and the emulated Cortex-M3.

Both programs carry the command line of device_vectors/commands.h, which the fixtures here talk to. So does a
third one for the host: the kernel's debug channel between a scripted link and a scripted agent.
"""

import fcntl
import hashlib
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from firmware.tests.protocol.channel_peers import Channel
from firmware.tests.protocol.link_peers import Device, Server, connect

REPOSITORY = Path(__file__).resolve().parents[3]
LIBRARY = REPOSITORY / "firmware" / "lib"
KERNEL = REPOSITORY / "firmware" / "kernel"
IMAGE = REPOSITORY / "firmware" / "tests" / "device_vectors"
CHANNEL = REPOSITORY / "firmware" / "tests" / "debug_channel"
CDDL = REPOSITORY / "server" / "cddl"
INCLUDES = (
    LIBRARY,
    KERNEL,
    REPOSITORY / "firmware" / "hal",
    REPOSITORY / "firmware" / "debug",
    IMAGE,
    CHANNEL,
)
BUILD = REPOSITORY / "build" / "firmware-protocol-tests"

CODECS = {
    "wire": ("device-hello", "server-hello", "control", "upgrade-request", "upgrade-response"),
    "debug": ("debug-frame", "token-envelope", "token-map"),
}
"""What is generated from which file of server/cddl."""

E2E_SOURCES = tuple(
    LIBRARY / f"{name}.c" for name in ("aead", "cose", "e2e", "ed25519", "noise", "random", "sha512", "token")
)
VECTOR_SOURCES = (
    *E2E_SOURCES,
    *(LIBRARY / f"{name}.c" for name in ("cobs", "digest", "key_wrap")),
    *(LIBRARY / f"{name}.c" for name in ("link", "link_frame", "link_mux", "link_session")),
    *(IMAGE / f"{name}.c" for name in ("commands", "crypto_commands", "noise_commands", "link_commands")),
    *(IMAGE / f"{name}.c" for name in ("e2e_commands", "vector_tables")),
)
CHANNEL_SOURCES = (
    *E2E_SOURCES,
    KERNEL / "debug_channel.c",
    *(CHANNEL / f"{name}.c" for name in ("channel_commands", "channel_stubs")),
    *(IMAGE / f"{name}.c" for name in ("commands", "host_main")),
)
HOST_PROGRAMS = {"commands": (*VECTOR_SOURCES, IMAGE / "host_main.c"), "channel": CHANNEL_SOURCES}

STRICT = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wmissing-prototypes")
HOST = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
DEVICE = ("-mcpu=cortex-m3", "-mthumb", "-Os", "-ffunction-sections", "-fdata-sections")

ANSWER_DEADLINE_S = 20.0

Ask = Callable[[str], list[str]]
"""One command line in, the words of the answer out (the last one is "=<status>")."""


class CommandError(AssertionError):
    """The program under test died, hung or did not take the line."""


class CommandLine:
    """A process that answers lines on stdin with lines on stdout."""

    def __init__(self, argv: list[str]) -> None:
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self._received = b""
        if self._read_line("(start)") != "ready":
            raise CommandError(f"{argv[0]} did not start with the line 'ready'")

    def ask(self, line: str) -> list[str]:
        """The words of the answer to `line`. CommandError when none comes in time."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode("ascii") + b"\n")
        except BrokenPipeError as error:
            raise self._died(line) from error
        answer = self._read_line(line)
        if "?" in answer:
            raise CommandError(f"{line[:80]!r}: {answer}")
        return answer.split()

    def _read_line(self, line: str) -> str:
        assert self._process.stdout is not None
        deadline = time.monotonic() + ANSWER_DEADLINE_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._received:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise CommandError(f"no answer to {line[:80]!r} within {ANSWER_DEADLINE_S} s")
                data = os.read(self._process.stdout.fileno(), 65536)
                if not data:
                    raise self._died(line)
                self._received += data
        answer, _, self._received = self._received.partition(b"\n")
        return answer.decode("ascii")

    def _died(self, line: str) -> CommandError:
        self._process.wait(timeout=ANSWER_DEADLINE_S)
        assert self._process.stderr is not None
        report = self._process.stderr.read().decode(errors="replace")
        return CommandError(f"ended with {self._process.returncode} at {line[:200]!r}\n{report[-4000:]}")

    def close(self) -> None:
        """Ends the process, whatever it is doing."""
        self._process.kill()
        self._process.wait(timeout=ANSWER_DEADLINE_S)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def _find_third_party() -> tuple[Path, Path]:
    """Folders of monocypher.c and of zcbor's C runtime (`src`, beside `include`); fetched when missing."""
    root = Path(os.environ.get("BROWNOUT_THIRD_PARTY", REPOSITORY / "build" / "third_party"))
    for attempt in range(2):
        monocypher = next(iter(sorted(root.rglob("monocypher.c"))), None)
        zcbor = next(iter(sorted(root.rglob("src/zcbor_decode.c"))), None)
        if monocypher is not None and zcbor is not None:
            return monocypher.parent, zcbor.parent
        if attempt == 0:
            fetch = REPOSITORY / "firmware" / "tools" / "fetch_sources.py"
            _run([sys.executable, str(fetch), "--output", str(root)])
    pytest.fail(f"no monocypher.c and zcbor sources under {root} after fetch_sources.py ran")


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(argv)}\n{done.stdout}{done.stderr}")


def _tool(name: str) -> str:
    """A program of this Python environment or of PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.fail(f"{name} not found: `make setup` installs it")
    return found


def _generate_codecs(into: Path) -> None:
    for name, types in CODECS.items():
        files = ["--oc", str(into / f"{name}.c"), "--oh", str(into / f"{name}.h")]
        files += ["--oht", str(into / f"{name}_types.h")]
        _run([_tool("zcbor"), "code", "-c", str(CDDL / f"{name}.cddl"), "-d", "-e", "-t", *types, *files])


def _compile(into: Path, compiler: str, flags: tuple[str, ...], own: Collection[Path]) -> dict[Path, str]:
    """Objects of `own`, the codecs and third-party code by source; only our own code gets our warnings."""
    monocypher, zcbor = _find_third_party()
    generated = into / "gen"
    generated.mkdir()
    _generate_codecs(generated)
    foreign = [*monocypher.glob("monocypher.c"), *zcbor.glob("zcbor_[cde]*.c"), *generated.glob("*.c")]
    system = [
        item for path in (monocypher, zcbor.parent / "include", generated) for item in ("-isystem", str(path))
    ]
    includes = [f"-I{path}" for path in INCLUDES]
    common = [compiler, *flags, "-std=c11", "-DZCBOR_CANONICAL", *includes, *system, "-c"]

    def compile_one(source: Path) -> str:
        target = into / f"{source.stem}.o"
        strict = STRICT if source in own else ()
        _run([*common, *strict, str(source), "-o", str(target)])
        return str(target)

    # All cores: the other test workers wait for what is built.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip((*foreign, *own), pool.map(compile_one, (*foreign, *own)), strict=True))


def _fingerprint(flags: tuple[str, ...]) -> str:
    """Changes with anything that goes into a build of this repository."""
    digest = hashlib.sha256(repr((flags, STRICT)).encode())
    inputs = [
        *IMAGE.iterdir(),
        *CHANNEL.iterdir(),
        *(CDDL / f"{name}.cddl" for name in CODECS),
        Path(__file__),
    ]
    for folder in INCLUDES:
        inputs += folder.glob("*.[ch]")
    for path in sorted(set(inputs)):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _cached(name: str, flags: tuple[str, ...], build: Callable[[Path], None]) -> Path:
    """The folder of a finished build. The first test worker to ask makes it, others wait for that."""
    finished = BUILD / f"{name}-{_fingerprint(flags)}"
    if finished.exists():
        return finished
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # for as long as a test may take
        if not finished.exists():
            working = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=BUILD))
            try:
                build(working)
                working.rename(finished)
            finally:
                shutil.rmtree(working, ignore_errors=True)
    return finished


@pytest.fixture(scope="session")
def host_programs() -> Path:
    """The folder of HOST_PROGRAMS, under AddressSanitizer and UndefinedBehaviorSanitizer."""

    def build(into: Path) -> None:
        every = sorted({source for own in HOST_PROGRAMS.values() for source in own})
        objects = _compile(into, "gcc", HOST, every)
        for name, own in HOST_PROGRAMS.items():
            linked = [built for source, built in objects.items() if source in own or source not in every]
            _run(["gcc", *HOST, *linked, "-o", str(into / name)])

    return _cached("host", HOST, build)


@pytest.fixture(scope="session")
def host_program(host_programs: Path) -> Path:
    """The command line for the host."""
    return host_programs / "commands"


@pytest.fixture(scope="session")
def channel_program(host_programs: Path) -> Path:
    """The kernel's debug channel with a scripted link and agent, for the host."""
    return host_programs / "channel"


@pytest.fixture(scope="session")
def ask_channel(channel_program: Path) -> Iterator[Ask]:
    """The command line of firmware/tests/debug_channel."""
    program = CommandLine([str(channel_program)])
    yield program.ask
    program.close()


@pytest.fixture(scope="session")
def device_image() -> Path:
    """The command line for the emulated board."""

    def build(into: Path) -> None:
        sources = (*VECTOR_SOURCES, IMAGE / "device_main.c")
        objects = _compile(into, "arm-none-eabi-gcc", (*DEVICE, "-fstack-usage"), sources).values()
        script = ["-nostartfiles", "-T", str(IMAGE / "device.ld"), "-Wl,--gc-sections"]
        _run(["arm-none-eabi-gcc", *DEVICE, *objects, *script, "-o", str(into / "vectors.elf")])

    return _cached("device", DEVICE, build) / "vectors.elf"


@pytest.fixture(scope="session")
def start_host(host_program: Path) -> Iterator[Callable[[], Ask]]:
    """Starts host programs; all end with the session."""
    with ExitStack() as stack:

        def start() -> Ask:
            program = CommandLine([str(host_program)])
            stack.callback(program.close)
            return program.ask

        yield start


@pytest.fixture(scope="session")
def host(start_host: Callable[[], Ask]) -> Ask:
    """The libraries on the host."""
    return start_host()


@pytest.fixture(scope="module")
def emulated(device_image: Path) -> Iterator[Ask]:
    """The libraries on an emulated Cortex-M3, for one module: idle, they poll the UART and take time."""
    machine = ["-machine", "mps2-an385", "-nodefaults", "-display", "none", "-serial", "stdio"]
    program = CommandLine([_tool("qemu-system-arm"), *machine, "-kernel", str(device_image)])
    yield program.ask
    program.close()


@pytest.fixture(params=["host", pytest.param("emulated", marks=pytest.mark.emulator)])
def ask(request: pytest.FixtureRequest) -> Ask:
    """The libraries where the published vectors are checked: on the host and on the emulated device."""
    found: Ask = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def channel(ask_channel: Ask) -> Channel:
    """A debug channel that nobody uses yet."""
    return Channel(ask_channel)


@pytest.fixture
def device(host: Ask) -> Device:
    return Device(host)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def session(device: Device, server: Server) -> tuple[Device, Server]:
    """A device and a server that have just connected, the first ping read."""
    server.open_all(connect(device, server))
    return device, server
