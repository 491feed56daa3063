"""Builds the firmware's portable part for the host, sanitized, with or without one of its protections."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1]
ROOT = FIRMWARE.parent
THIRD_PARTY = ROOT / "build" / "third_party"
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
OWN = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wmissing-prototypes")
RUN_TIMEOUT_S = 240

LIBRARY = (
    "lib/crc32.c",
    "lib/digest.c",
    "lib/cose.c",
    "lib/ed25519.c",
    "lib/flash.c",
    "lib/identity.c",
    "lib/layout.c",
    "lib/manifest.c",
    "lib/manifest_region.c",
    "lib/progress.c",
    "lib/record_log.c",
    "lib/sha512.c",
    "lib/status.c",
    "lib/text.c",
    "lib/upgrade_flag.c",
    "boot/policy.c",
    "tests/storage/flash_sim.c",
    "tests/storage/signature_memo.c",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A protection taken out of one source file by replacing text that must be there exactly once."""

    source: str
    old: str
    new: str

    def apply(self, text: str) -> str:
        """Return the mutated source."""
        assert text.count(self.old) == 1, (
            f"{self.source}: the text to mutate occurs {text.count(self.old)} times"
        )
        return text.replace(self.old, self.new)


class HostBuild:
    """Compiles the firmware's portable part for the host under ASan and UBSan."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._objects: dict[str, Path] = {}
        self._programs: dict[tuple[str, Mutation | None], Path] = {}
        self._includes: list[str] = []

    def prepare(self) -> None:
        """Provide third-party sources and the generated codec, and compile everything once."""
        fetch = FIRMWARE / "tools" / "fetch_sources.py"
        run([sys.executable, fetch, "--output", THIRD_PARTY])
        codec = self._folder / "codec"
        codec.mkdir(parents=True)
        zcbor = shutil.which("zcbor", path=str(Path(sys.executable).parent)) or "zcbor"
        command: list[str | Path] = [
            zcbor,
            "code",
            "-c",
            ROOT / "server/cddl/manifest.cddl",
            "-d",
            "-t",
            "envelope",
            "manifest-map",
        ]
        command += ["--default-max-qty", "4", "--output-c", codec / "manifest_decode.c"]
        command += ["--output-h", codec / "manifest_decode.h", "--output-h-types", codec / "manifest_types.h"]
        run(command)
        own = [HERE / "small_board", HERE, FIRMWARE / "lib", FIRMWARE / "boot"]
        foreign = [codec, THIRD_PARTY / "monocypher", THIRD_PARTY / "zcbor" / "include"]
        self._includes = [f"-I{path}" for path in own]
        for path in foreign:
            self._includes += ["-isystem", str(path)]
        zcbor_sources = sorted((THIRD_PARTY / "zcbor" / "src").glob("*.c"))
        for source in (codec / "manifest_decode.c", THIRD_PARTY / "monocypher/monocypher.c", *zcbor_sources):
            if source.name != "zcbor_print.c":
                # Not ours to sanitize, and most of the time goes there.
                self._objects[source.name] = self._compile(source, source.stem, ("-w", "-fno-sanitize=all"))
        for name in LIBRARY:
            self._objects[name] = self._compile(FIRMWARE / name, name.replace("/", "_"), OWN)

    def program(self, main: str, mutation: Mutation | None = None) -> Path:
        """Link `main` (a file beside this one) with the library, one source of it mutated if wanted."""
        if (main, mutation) not in self._programs:
            self._programs[main, mutation] = self._link(main, mutation)
        return self._programs[main, mutation]

    def _link(self, main: str, mutation: Mutation | None) -> Path:
        objects = dict(self._objects)
        name = Path(main).stem
        if mutation is not None:
            key = hashlib.sha256(repr(mutation).encode()).hexdigest()[:12]
            name = f"{name}-{key}"
            source = self._folder / f"{name}-{Path(mutation.source).name}"
            source.write_text(mutation.apply((FIRMWARE / mutation.source).read_text()))
            # A mutant may leave things unused; that is not what is tested.
            objects[mutation.source] = self._compile(source, name + "-mutant", ("-w",))
        objects[main] = self._compile(HERE / main, name + "-main", OWN)
        program = self._folder / name
        run(["gcc", *SANITIZE, *objects.values(), "-Wl,--wrap=ed25519_verify", "-o", program])
        return program

    def _compile(self, source: Path, name: str, flags: Sequence[str]) -> Path:
        target = self._folder / f"{name}.o"
        options = ["-std=c11", "-O2", "-g", *SANITIZE, *flags, *self._includes]
        run(["gcc", *options, "-c", source, "-o", target])
        return target


def run(command: Sequence[str | Path], check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command with a deadline; a failure shows its output."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False
    )
    if check and done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))}\nexit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done
