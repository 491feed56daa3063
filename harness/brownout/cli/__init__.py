"""The `brownout` command."""

from brownout.cli.main import main

__all__ = ["main"]
