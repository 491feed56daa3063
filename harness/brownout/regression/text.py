"""Text of devices as it may be shown: no control characters, no half characters."""

from __future__ import annotations

import re
from typing import Final

_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)
"""What XML does not allow, what terminals take as commands, and what turns the direction of text."""


def printable(text: str) -> str:
    r"""Text with line ends and tabs, everything else that has no glyph as \xNN or \uNNNN."""
    return _CONTROLS.sub(_escape, text.replace("\r\n", "\n"))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in printable(text).splitlines() if line.strip()), "")


def clipped(text: str, most: int) -> str:
    """At most so many characters, with an ellipsis for the rest."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
