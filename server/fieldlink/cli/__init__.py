"""The `fieldlink` command."""

from fieldlink.cli.main import main

__all__ = ["main"]
