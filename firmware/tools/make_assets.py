"""Makes assets.bin, the reference device's data module: a header and a calibration table (SPEC.md section 9).

The table depends on the version alone, so the same version always gives the same bytes.
"""

from __future__ import annotations

import argparse
import struct
import sys
import zlib
from pathlib import Path

from build_version import Version, parse_version, write_if_changed

MAGIC = 0x54535341  # "ASST"
FORMAT = 1
ENTRY_COUNT = 4096
RAW_STATES = 256  # the sensor's raw values; the table repeats after them with a larger gain
RESERVED = b"\xff" * 40
_HEADER = struct.Struct("<6I40s")


def table(version: Version) -> list[int]:
    """Return the calibrated value of every raw value: gain and offset follow from the version."""
    gain = 1000 + version.major * 100 + version.minor * 10 + version.patch
    offset = version.packed & 0xFF
    return [offset + (raw % RAW_STATES) * (gain + raw // RAW_STATES) // 10 for raw in range(ENTRY_COUNT)]


def image(version: Version) -> bytes:
    """Return the whole module: 64 bytes of header and ENTRY_COUNT little-endian words."""
    entries = struct.pack(f"<{ENTRY_COUNT}I", *table(version))
    header = _HEADER.pack(
        MAGIC, FORMAT, version.packed, ENTRY_COUNT, _HEADER.size, zlib.crc32(entries), RESERVED
    )
    return header + entries


def main() -> int:
    """Run the command line; exit code 2 for every failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", type=parse_version, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        write_if_changed(arguments.output, image(arguments.version))
        arguments.output.touch()
    except OSError as error:
        print(f"make_assets: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
