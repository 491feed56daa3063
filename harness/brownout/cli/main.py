"""Entry point of the `brownout` command."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is most of the time that this module would take, and Ctrl-C in it a traceback
    from typing import NoReturn


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit; fieldlink.cli.program has the exit codes."""
    try:
        # Here, so that Ctrl-C while Python is still importing ends like any other.
        from brownout.cli.root import run

        run(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
