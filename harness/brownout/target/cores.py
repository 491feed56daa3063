"""Whether an ELF file's code fits a board's core, from its .ARM.attributes (Arm's ABI addenda, IHI 0045)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import ARMAttributesSection

from brownout.errors import TargetError

if TYPE_CHECKING:
    from pathlib import Path

# Values of Tag_CPU_arch, and the name that an error gives them.
_ARCHITECTURES: Final = {
    0: "ARMv4 or older",
    1: "ARMv4",
    2: "ARMv4T",
    3: "ARMv5T",
    4: "ARMv5TE",
    5: "ARMv5TEJ",
    6: "ARMv6",
    7: "ARMv6KZ",
    8: "ARMv6T2",
    9: "ARMv6K",
    10: "ARMv7",
    11: "ARMv6-M",
    12: "ARMv6S-M",
    13: "ARMv7E-M",
    14: "ARMv8-A",
    15: "ARMv8-R",
    16: "ARMv8-M.baseline",
    17: "ARMv8-M.mainline",
    21: "ARMv8.1-M.mainline",
}
_V7: Final = 10
_V6M, _V6SM, _V7EM, _V8M_BASE, _V8M_MAIN = 11, 12, 13, 16, 17
_RUNS: Final = {
    "cortex-m0": {_V6M, _V6SM},
    "cortex-m0plus": {_V6M, _V6SM},
    "cortex-m3": {_V6M, _V6SM, _V7},
    "cortex-m4": {_V6M, _V6SM, _V7, _V7EM},
    "cortex-m7": {_V6M, _V6SM, _V7, _V7EM},
    "cortex-m33": {_V6M, _V6SM, _V7, _V7EM, _V8M_BASE, _V8M_MAIN},
}
_PROFILES: Final = {65: "-A", 82: "-R", 77: "-M", 83: ""}
_FPU_CORES: Final = {"cortex-m4", "cortex-m7", "cortex-m33"}
_HARD_FLOAT: Final = 1


def core_problem(path: Path, core: str) -> str | None:
    """Why the ELF file at `path` cannot run on `core`, or None.

    A file without attributes (all assembly, or stripped with force) is taken on trust.

    Raises:
        TargetError: the attributes are damaged.
    """
    attributes = _attributes(path)
    architecture = attributes.get("TAG_CPU_ARCH")
    if architecture is None:
        return None
    profile = attributes.get("TAG_CPU_ARCH_PROFILE", 0)
    name = _ARCHITECTURES.get(architecture, f"Tag_CPU_arch {architecture}")
    if architecture == _V7:
        name += _PROFILES.get(profile, "")
    fits = architecture in _RUNS.get(core, set()) and not (architecture == _V7 and chr(profile) in "AR")
    if not fits:
        return f"is built for {name}, the board's {core} cannot run that: build it with -mcpu={core}"
    if attributes.get("TAG_ABI_VFP_ARGS") == _HARD_FLOAT and core not in _FPU_CORES:
        return (
            f"passes floats in FPU registers, the board's {core} has no FPU: build it with -mfloat-abi=soft"
        )
    return None


def _attributes(path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    try:
        with io.BytesIO(path.read_bytes()) as stream:
            for section in ELFFile(stream).iter_sections():
                if isinstance(section, ARMAttributesSection):
                    for subsection in section.iter_subsections():
                        for scope in subsection.iter_subsubsections():
                            for attribute in scope.iter_attributes():
                                if isinstance(attribute.value, int):
                                    found[str(attribute.tag)] = attribute.value
    except Exception as error:  # pyelftools lets many types through when it meets a damaged section
        raise TargetError(
            f"{path}: .ARM.attributes cannot be read ({type(error).__name__}): build it again"
        ) from error
    return found
