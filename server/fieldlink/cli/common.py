"""What the commands share: errors of one line with exit code 2, options, output for people and machines."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from fieldlink.cli.program import LazyGroup, fail
from fieldlink.errors import FieldlinkError

Command = TypeVar("Command", bound=Callable[..., Any])


class FieldlinkGroup(LazyGroup):
    """A group whose commands end with one line and exit code 2 for every FieldlinkError and OSError."""

    def invoke(self, ctx: click.Context) -> object:
        """Runs the chosen command."""
        try:
            result: object = super().invoke(ctx)
        except BrokenPipeError:  # perhaps nobody reads the output: run_program() looks
            raise
        except (FieldlinkError, OSError) as error:
            ctx.exit(fail("fieldlink", error))
        return result


def store_option(command: Command) -> Command:
    """`--store DIR`."""
    return click.option(
        "--store",
        "store_path",
        type=click.Path(path_type=Path),
        required=True,
        envvar="FIELDLINK_STORE",
        help="Directory of the server's store (or FIELDLINK_STORE).",
    )(command)


def database_option(command: Command) -> Command:
    """`--database URL`."""
    return click.option(
        "--database",
        "database_url",
        envvar="FIELDLINK_DATABASE",
        help="SQLAlchemy URL of the database; default: SQLite inside the store.",
    )(command)


def json_option(command: Command) -> Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON for machines.")(command)


def say(as_json: bool, value: object, text: str) -> None:
    """Writes `value` as one line of JSON, or `text`."""
    click.echo(json.dumps(value) if as_json else text)
