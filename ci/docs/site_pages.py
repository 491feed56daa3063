"""Pages of the documentation that are made from the programs themselves."""

from __future__ import annotations

import importlib
import inspect
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from robot.libdoc import libdoc

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARIES: Final = {
    "brownout.robot.BrownoutLibrary": "Devices, power cuts and upgrades in a suite of yours.",
    "brownout.robot.SweepLibrary": "Replays of findings, as `brownout sweep --emit-robot` writes them.",
    "brownout.renode_robot.RenodePowerLibrary": "Power cuts in a suite that runs under `renode-test`.",
}
_NOT_RUN: Final = re.compile(r"^ *<!-- not run: (.*?) -->\n(?: *<!--.*\n)* *```sh\n *(.*)", re.M)
_EXIT_CODES: Final = """\
| exit code | meaning |
|---|---|
| 0 | done |
| 1 | done, and something was found or failed |
| 2 | an error, told in one line on standard error |
| 130 | Ctrl-C (`fieldlink serve`, which is ended so: 0) |
| 141 | nobody reads the output any more |
| 143 | SIGTERM; everything was taken down as after Ctrl-C |
"""


def command_line_page(program: str) -> str:
    """Markdown of everything that `PROGRAM --help` and its commands' --help say."""
    group: click.Group = importlib.import_module(f"{program}.cli.root").cli
    body = "\n".join(_command(command, context) for command, context in _walk(group, program, None))
    return (
        f"# {program}\n\nMade from `{program} --help`. "
        f"`{program} completion bash|zsh|fish` prints a script for the shell.\n\n{_EXIT_CODES}\n{body}"
    )


def _walk(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[click.Command, click.Context]]:
    # A command keeps the help option that it is first asked for: ask as its program does.
    settings = {**command.context_settings, "max_content_width": 100, "terminal_width": 100}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    yield command, context
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None  # noqa: S101 - it was listed
            if not found.hidden:
                yield from _walk(found, child, context)


def _command(command: click.Command, context: click.Context) -> str:
    usage = command.get_usage(context).removeprefix("Usage: ")
    parts = [f"## {context.command_path}", f"```text\n{usage}\n```", _help(command.help or "")]
    rows = [
        record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))
    ]
    if rows:
        lines = [f"| <code>{_cell(name)}</code> | {_cell(text)} |" for name, text in rows]
        parts.append("\n".join(["| option | meaning |", "|---|---|", *lines]))
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    """Text for a table: between backquotes a backslash before a bar would be shown."""
    return " ".join(text.split()).replace("<", "&lt;").replace("|", "&#124;")


def _help(text: str) -> str:
    """A docstring: what follows a click `\\b` is shown as it is written."""
    parts = []
    for block in inspect.cleandoc(text).split("\n\n"):
        if not block.startswith("\b"):
            parts.append(" ".join(block.split()).replace("<", "&lt;"))
            continue
        head, _, rest = block.removeprefix("\b\n").partition("\n")
        if re.match(r"Examples?\b", head):
            parts.append(f"{head}\n\n```text\n{inspect.cleandoc(rest)}\n```")
        else:
            parts.append(f"```text\n{head}\n{rest}\n```")
    return "\n\n".join(parts)


def not_run_page(folder: Path) -> str:
    """Markdown of the commands in the pages below `folder` that no test runs, with the reasons."""
    rows = []
    for path in sorted(folder.rglob("*.md")):
        page = path.relative_to(folder).as_posix()
        for reason, command in _NOT_RUN.findall(path.read_text(encoding="utf-8")):
            rows.append(f"| [{page}](../{page}) | `{_cell(command)}` | {_cell(reason)} |")
    table = "\n".join(["| page | begins with | why not |", "|---|---|---|", *rows])
    return (
        "# Commands that no test runs\n\n"
        "Every block of commands in these pages is run by `harness/tests/docs`: those that take minutes by "
        "`make docs-test`, those for Renode where it is installed. These are not:\n\n"
        f"{table}\n"
    )


def keyword_pages() -> dict[str, bytes | str]:
    """Path in the site -> content: Robot's libdoc of each library, and a page that lists them."""
    pages: dict[str, bytes | str] = {}
    rows = []
    for library, purpose in LIBRARIES.items():
        name = f"{library.rpartition('.')[2]}.html"
        pages[f"reference/keywords/{name}"] = _libdoc(library)
        rows.append(f"| [`{library}`](keywords/{name}) | {purpose} |")
    table = "\n".join(["| library | for |", "|---|---|", *rows])
    pages["reference/keywords.md"] = (
        "# Robot keywords\n\nMade by Robot Framework's libdoc from the libraries; each page has all keywords "
        f"with their arguments, their types and defaults.\n\n{table}\n"
    )
    return pages


def _libdoc(library: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "library.html"
        status = libdoc(library, str(output), quiet=True)
        if status:
            raise RuntimeError(f"libdoc of {library}: exit code {status}; its message is above")
        return output.read_bytes()
