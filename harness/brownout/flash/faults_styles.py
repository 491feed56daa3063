"""Which part of an interrupted operation was done: styles that draw it, and masks that say it bit by bit."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TypeAlias


class TornStyle(enum.Enum):
    """Which part of an operation was done when the power went ("word" = write unit).

    "Changing bits" are those that the whole operation would change: for a program the bits to clear that
    read 1 or are unstable, for an erase the bits that read 0 or are unstable.
    """

    RANDOM = "random"
    """Some words done, some partly, some not; in order, in reverse or scattered; some bits unstable."""
    FORWARD = "forward"
    """As RANDOM, always in order: words done, at most one partly done, the rest untouched."""
    BACKWARD = "backward"
    """As FORWARD, from the last word down."""
    ONLY_FIRST_WORD = "only_first_word"
    """The first word that has changing bits is done, the rest untouched; all stable."""
    ONLY_LAST_WORD = "only_last_word"
    """The last word that has changing bits is done, the rest untouched; all stable."""
    ONE_BIT = "one_bit"
    """One changing bit is done; all stable."""
    ALL_BUT_ONE_BIT = "all_but_one_bit"
    """All changing bits but one are done; that one stays as it was."""
    ONE_UNSTABLE_BIT = "one_unstable_bit"
    """All changing bits but one are done; that one is unstable."""
    ALL_UNSTABLE = "all_unstable"
    """All changing bits are unstable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TornDraw:
    """A style drawn another time: `number` 2 and up differ from the plain style, which is number 1."""

    style: TornStyle
    number: int

    def __str__(self) -> str:
        return f"{self.style.value}#{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TornBits:
    """Exactly these bits. Masks are integers over the operation's bytes, first byte lowest.

    Args:
        done: bits that were done; changing bits only are taken from it.
        every: all changing bits were done, whatever `done` says.
        left: bits that were not, although `every`.
        half: bits left unstable.
        spoilt: bits that an interrupted erase cleared although they read 1 before.
    """

    done: int = 0
    every: bool = False
    left: int = 0
    half: int = 0
    spoilt: int = 0

    def chosen(self, changing: int) -> int:
        """The bits of `changing` that are done."""
        return (changing if self.every else self.done & changing) & ~self.left & ~self.half

    def __str__(self) -> str:
        parts = [f"done={'all' if self.every else _runs(self.done)}"]
        for name, mask in (("left", self.left), ("half", self.half), ("spoilt", self.spoilt)):
            if mask:
                parts.append(f"{name}={_runs(mask)}")
        return "/".join(parts)


Torn: TypeAlias = TornStyle | TornDraw | TornBits
"""What a torn operation leaves; str(torn_text(...)) and parse_torn() are each other's inverse."""

TORN_PATTERN = (
    r"[a-z_]+(?:#[0-9]+)?|"
    r"done=(?:all|[0-9a-f.,]*)(?:/left=[0-9a-f.,]+)?(?:/half=[0-9a-f.,]+)?(?:/spoilt=[0-9a-f.,]+)?"
)
"""Regular expression of what torn_text() writes."""

_RUN = re.compile(r"([0-9a-f]+)\.((?:[0-9a-f]{2})+)")


def torn_text(torn: Torn) -> str:
    """`random`, `random#2` or `done=5.08/half=c.ff`: byte offset in the operation, a dot, the mask in hex."""
    return torn.value if isinstance(torn, TornStyle) else str(torn)


def parse_torn(text: str) -> Torn:
    """Read what torn_text() wrote. Raises ValueError."""
    if text.startswith("done="):
        return _parse_bits(text)
    name, mark, number = text.partition("#")
    style = TornStyle(name)
    if not mark:
        return style
    if not number.isdecimal() or int(number) < 1:
        raise ValueError(f"'{text}': draws count from 1")
    return style if int(number) == 1 else TornDraw(style=style, number=int(number))


def _parse_bits(text: str) -> TornBits:
    masks = {"done": 0, "left": 0, "half": 0, "spoilt": 0}
    every = False
    for part in text.split("/"):
        name, _, value = part.partition("=")
        if name not in masks:
            raise ValueError(f"'{part}': expected done=, left=, half= or spoilt=")
        if name == "done" and value == "all":
            every = True
        else:
            masks[name] = _parse_runs(value)
    return TornBits(every=every, **masks)


def _runs(mask: int) -> str:
    """Runs of bytes that are not 0, as OFFSET.BYTES in hex."""
    data = mask.to_bytes((mask.bit_length() + 7) // 8, "little")
    return ",".join(f"{run.start():x}.{run[0].hex()}" for run in re.finditer(rb"[^\0]+", data, re.DOTALL))


def _parse_runs(text: str) -> int:
    mask = 0
    for item in text.split(",") if text else ():
        match = _RUN.fullmatch(item)
        if match is None:
            raise ValueError(f"'{item}': expected OFFSET.BYTES in hex, such as 5.08")
        mask |= int.from_bytes(bytes.fromhex(match[2]), "little") << (8 * int(match[1], 16))
    return mask
