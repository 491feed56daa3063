"""What makes a command line a program: commands imported when used, one line for an error, exit codes.

Both programs of the project, `fieldlink` and `brownout`, are run by run_program(). Exit codes:

    0    done
    1    done, and something was found: a failed check, a finding of a sweep
    2    an error, told in one line on standard error: `PROGRAM: error: WHAT`
    130  Ctrl-C (`fieldlink serve`, which is ended so: 0)
    141  nobody reads the output any more (`PROGRAM ... | head`)
    143  SIGTERM; everything was taken down as after Ctrl-C
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import select
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
from click.shell_completion import CompletionItem, get_completion_class, shell_complete

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

EXIT_DONE: Final = 0
EXIT_ERROR: Final = 2
EXIT_INTERRUPTED: Final = 130
EXIT_NO_READER: Final = 141
EXIT_TERMINATED: Final = 143
SHELLS: Final = ("bash", "zsh", "fish")
HELP_OPTIONS: Final = {"help_option_names": ["-h", "--help"]}
"""Context settings of a program's root group."""


class LazyGroup(click.Group):
    """A group that imports a command when it is run: to name its commands it needs none of them.

    `lazy` is the command's name -> ("module:attribute", first paragraph of its help).
    """

    def __init__(
        self, *args: Any, lazy: Mapping[str, tuple[str, str]] | None = None, **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self.lazy: Final = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, sorted."""
        return sorted({*super().list_commands(ctx), *self.lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None when there is none."""
        if cmd_name in self.lazy and cmd_name not in self.commands:
            module, _, attribute = self.lazy[cmd_name][0].partition(":")
            self.add_command(getattr(importlib.import_module(module), attribute), cmd_name)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, with the whole first paragraph of each one's help."""
        with formatter.section("Commands"):
            formatter.write_dl(self._summaries(ctx))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands that begin so, then options."""
        found = [
            CompletionItem(name, help=text)
            for name, text in self._summaries(ctx)
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def _summaries(self, ctx: click.Context) -> list[tuple[str, str]]:
        return [
            (name, self.lazy[name][1] if name in self.lazy else first_paragraph(self.commands[name]))
            for name in self.list_commands(ctx)
        ]


def first_paragraph(command: click.Command) -> str:
    """What a command's help begins with, on one line."""
    return " ".join(inspect.cleandoc(command.help or "").partition("\n\n")[0].split())


def completion_command(program: str) -> click.Command:
    """`PROGRAM completion SHELL`: prints the script that completes PROGRAM's words in a shell."""

    @click.command("completion")
    @click.argument("shell", type=click.Choice(SHELLS))
    @click.pass_context
    def completion(ctx: click.Context, shell: str) -> None:
        """Print the script that completes this program's commands, options and values in a shell."""
        found = get_completion_class(shell)
        assert found is not None  # noqa: S101 - click brings all of SHELLS
        click.echo(found(ctx.find_root().command, {}, program, _complete_variable(program)).source())

    completion.help = f"""{completion.help}

\b
Examples:
  eval "$({program} completion bash)"
  {program} completion zsh > ~/.zfunc/_{program}
  {program} completion fish > ~/.config/fish/completions/{program}.fish
"""
    return completion


def _complete_variable(program: str) -> str:
    """Environment variable by which a shell's script asks the program for completions."""
    return f"_{program.upper()}_COMPLETE"


def run_program(
    group: click.Group, program: str, errors: type[Exception], arguments: list[str] | None = None
) -> NoReturn:
    """Run a command line and exit; `errors` is what the program raises on purpose."""
    with _termination() as terminated:
        status = _run(group, program, errors, arguments)
    sys.exit(EXIT_TERMINATED if terminated.is_set() else status)


def fail(program: str, error: Exception | str) -> int:
    """The line of an error, on standard error; returns its exit code."""
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    click.echo(f"{program}: error: {' '.join(message.split())}", err=True)
    return EXIT_ERROR


def _run(group: click.Group, program: str, errors: type[Exception], arguments: list[str] | None) -> int:
    # Not group.main(): it takes every broken pipe, those to an emulator too, for standard output's.
    try:
        asked = os.environ.get(_complete_variable(program))
        if asked:
            return shell_complete(group, {}, program, _complete_variable(program), asked)
        with group.make_context(program, sys.argv[1:] if arguments is None else list(arguments)) as context:
            status = group.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return EXIT_DONE
    except click.ClickException as error:
        return fail(program, error.format_message())
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except BrokenPipeError as error:
        return EXIT_NO_READER if _reader_is_gone() else fail(program, error)
    except (errors, OSError) as error:
        return fail(program, error)
    return status if isinstance(status, int) else EXIT_DONE


def _reader_is_gone() -> bool:
    """Whether standard output is a pipe without a reader; Python's own flush at exit is then kept quiet."""
    try:
        output = sys.stdout.fileno()
    except (OSError, ValueError):  # no file: a test looks at what is printed
        return False
    poll = select.poll()
    poll.register(output, 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, output)
    os.close(nowhere)
    return True


@contextlib.contextmanager
def _termination() -> Iterator[threading.Event]:
    """Within: the first SIGTERM is a KeyboardInterrupt and sets the event; the second one kills."""
    terminated = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield terminated
        return

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        terminated.set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield terminated
    finally:
        signal.signal(signal.SIGTERM, before)
