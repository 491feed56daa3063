"""What GDB reads with qXfer: the target description and the memory map."""

from dataclasses import dataclass
from typing import Final, Literal
from xml.sax.saxutils import quoteattr

REGISTER_NAMES: Final = (*(f"r{number}" for number in range(13)), "sp", "lr", "pc", "xpsr")
"""In the order of the protocol's register file and of GDB's `g` packet."""

_TYPES: Final = {"sp": "data_ptr", "pc": "code_ptr"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRegion:
    """`size` bytes from `base`. In `ram` GDB may patch breakpoints; in `rom` it uses hardware ones."""

    kind: Literal["ram", "rom"]
    base: int
    size: int


def target_description() -> bytes:
    """ARM M-profile without an operating system: keeps GDB from guessing Linux and its breakpoints."""
    registers = "".join(
        f'<reg name="{name}" bitsize="32" type="{_TYPES.get(name, "int")}"/>\n' for name in REGISTER_NAMES
    )
    return (
        '<?xml version="1.0"?>\n<!DOCTYPE target SYSTEM "gdb-target.dtd">\n<target version="1.0">\n'
        "<architecture>arm</architecture>\n<osabi>none</osabi>\n"
        f'<feature name="org.gnu.gdb.arm.m-profile">\n{registers}</feature>\n</target>\n'
    ).encode("ascii")


def memory_map(regions: tuple[MemoryRegion, ...]) -> bytes:
    """Everything that GDB may touch; it refuses the rest by itself."""
    entries = "".join(
        f'<memory type={quoteattr(region.kind)} start="{region.base:#x}" length="{region.size:#x}"/>\n'
        for region in regions
    )
    return (
        '<?xml version="1.0"?>\n<!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map V1.0//EN" '
        f'"http://sourceware.org/gdb/gdb-memory-map.dtd">\n<memory-map>\n{entries}</memory-map>\n'
    ).encode("ascii")
