"""The app's ELF: its flat image, its read-only bytes, its symbols; and whether the device runs it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from fieldlink.atomic import read_input
from fieldlink.debug.cache import Extent
from fieldlink.debug.errors import ElfMismatchError
from fieldlink.debug.target import Target
from fieldlink.errors import ConfigError, ManifestError
from fieldlink.manifest import ModuleKind, digest, read_unverified

_WRITABLE: Final = 2  # PF_W
_FILE_LIMIT: Final = 64 << 20
_ENVELOPE_LIMIT: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class AppElf:
    """What the debugger needs of an ELF file. `image`: what objcopy -O binary makes of it."""

    path: Path
    image: bytes
    read_only: tuple[Extent, ...]
    symbols: dict[str, tuple[int, int]]
    """Name: (address with the Thumb bit cleared, size)."""

    @property
    def digest(self) -> bytes:
        """BLAKE2b-256 of the image, as in the manifest."""
        return digest(self.image)


def load_elf(path: Path) -> AppElf:
    """ConfigError when it cannot be read or is no ELF for a little-endian 32-bit ARM."""
    read_input(path, "ELF file", _FILE_LIMIT)
    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            if elf.elfclass != 32 or not elf.little_endian or elf["e_machine"] != "EM_ARM":
                raise ConfigError(f"ELF file {path}: expected a little-endian 32-bit ARM executable")
            segments = [
                segment
                for segment in elf.iter_segments()
                if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]
            ]
            loads = [(segment["p_paddr"], segment.data()) for segment in segments]
            read_only = tuple(
                Extent(address=segment["p_vaddr"], data=segment.data())
                for segment in segments
                if not segment["p_flags"] & _WRITABLE
            )
            symbols = _symbols(elf)
    except ELFError as error:
        raise ConfigError(f"ELF file {path}: {error}; is it the app.elf of the build?") from error
    if not loads:
        raise ConfigError(f"ELF file {path}: nothing to load; is it the linked app.elf?")
    return AppElf(path=path, image=_flatten(path, loads), read_only=read_only, symbols=symbols)


def _flatten(path: Path, loads: list[tuple[int, bytes]]) -> bytes:
    loads.sort()
    base = loads[0][0]
    size = max(address + len(data) for address, data in loads) - base
    if size > _FILE_LIMIT:
        raise ConfigError(f"ELF file {path}: its segments are spread over {size} bytes; is it the app.elf?")
    image = bytearray(size)
    for address, data in loads:
        image[address - base : address - base + len(data)] = data
    return bytes(image)


def _symbols(elf: ELFFile) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for section in elf.iter_sections():
        if not isinstance(section, SymbolTableSection):
            continue
        for symbol in section.iter_symbols():
            kind = symbol["st_info"]["type"]
            if kind in ("STT_FUNC", "STT_OBJECT") and symbol.name:
                mask = ~1 if kind == "STT_FUNC" else ~0
                found[symbol.name] = (symbol["st_value"] & mask, symbol["st_size"])
    return found


def check_manifest(elf: AppElf, envelope_path: Path, installed: bytes) -> None:
    """Compares with the app's digest in a manifest envelope whose own digest must be `installed`."""
    envelope = read_input(envelope_path, "manifest", _ENVELOPE_LIMIT)
    if digest(envelope) != installed:
        raise ElfMismatchError(
            f"manifest {envelope_path}: is not the one that is installed on the device "
            f"({digest(envelope).hex()[:16]}, installed {installed.hex()[:16]}); export the installed release"
        )
    try:
        manifest = read_unverified(envelope)
    except ManifestError as error:
        raise ConfigError(f"manifest {envelope_path}: {error}") from error
    apps = [module for module in manifest.modules if module.kind is ModuleKind.RAM]
    if elf.digest not in [module.digest for module in apps]:
        raise _mismatch(elf, "its digest is not the installed app's")


async def check_flash(elf: AppElf, target: Target, address: int) -> None:
    """Compares with the image in the app's flash region at `address`."""
    if digest(await target.fetch_memory(address, len(elf.image))) != elf.digest:
        raise _mismatch(elf, f"its digest is not that of the image in flash at {address:#010x}")


async def check_code(elf: AppElf, target: Target) -> list[Extent]:
    """Compares the ELF's read-only bytes with the app's code region, and returns them.

    Breakpoints do not show there: the agent answers with what they replaced.
    """
    agent = target.agent
    inside = [
        extent
        for extent in elf.read_only
        if agent.code_base <= extent.address and extent.end <= agent.code_base + agent.code_size
    ]
    if not inside:
        raise _mismatch(elf, f"it has no code in the app's region at {agent.code_base:#010x}")
    for extent in inside:
        if digest(await target.fetch_memory(extent.address, len(extent.data))) != digest(extent.data):
            raise _mismatch(elf, f"its code at {extent.address:#010x} is not what the device runs")
    return inside


def _mismatch(elf: AppElf, why: str) -> ElfMismatchError:
    return ElfMismatchError(
        f"ELF file {elf.path}: {why}; use the app.elf of the installed release, or --force to debug anyway"
    )
