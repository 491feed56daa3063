"""Addresses in words: functions of the firmware, regions of the flash."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from brownout.engines.unicorn.interface import Stop
    from brownout.target import Target

_AT: Final = re.compile(r"\bat (0x[0-9a-f]+)")
_LONGEST: Final = 0x4000
"""Bytes of the longest function: what lies farther away is other code."""


class Places:
    """Names of addresses of one target."""

    def __init__(self, target: Target) -> None:
        symbols = {} if target.elf is None else target.elf.symbols
        # Assembler marks such as $t and .L lie at functions' addresses as well.
        names = {name: at for name, at in symbols.items() if not name.startswith(("$", "."))}
        # Functions in Thumb code have odd addresses; data and the linker's symbols have not.
        functions = {name: at for name, at in names.items() if at & 1} or names
        named = {address & ~1: name for name, address in sorted(functions.items(), reverse=True)}
        self._starts = sorted(named)
        self._names = named
        self._regions = sorted(
            (
                (area.end - area.start, area.start, area.end, name)
                for name, area in target.region_names.items()
            )
        )

    def symbol(self, address: int) -> str:
        """`copy_sector+0x1c`, or the address in hex where there is no symbol."""
        function = self.function(address)
        if not function:
            return f"{address:#x}"
        offset = address - self._starts[bisect_right(self._starts, address) - 1]
        return f"{function}+{offset:#x}" if offset else function

    def worded(self, text: str) -> str:
        """A message with the symbol after each code address that follows "at"."""
        return _AT.sub(self._with_symbol, text)

    def fault(self, stop: Stop) -> str:
        """A fault that the firmware entered, in words: what, where, which handler."""
        return f"{self.worded(stop.detail or 'a fault')}, handled at {self.symbol(stop.pc)}"

    def _with_symbol(self, match: re.Match[str]) -> str:
        address = int(match[1], 16)
        return f"{match[0]} ({self.symbol(address)})" if self.function(address) else match[0]

    def function(self, address: int) -> str:
        """The function at or not far before an address, "" when there is none."""
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address - self._starts[index] > _LONGEST:
            return ""
        return self._names[self._starts[index]]

    def region(self, offset: int) -> str:
        """Name of the smallest region that holds an offset of the array, "" when there is none."""
        for _, start, end, name in self._regions:
            if start <= offset < end:
                return name
        return ""
