"""Runs of Robot Framework: output.xml, also one that pabot or rebot put together."""

from __future__ import annotations

import dataclasses
import io
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from brownout.results.ids import new_run_id
from brownout.results.importers.base import shown_path, unique_cases
from brownout.results.importers.kept import Kept, is_evidence, read_kept
from brownout.results.model import Case, Location, Result, Run, RunKind, Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from robot import result as robot_result

    from brownout.results.importers.base import ImportOptions, ResultFile

_MARK: Final = "evidence: "
_FOLDER: Final = "evidence"
_LAB: Final = re.compile(r"lab with seed (?P<seed>\d+) on engine (?P<engine>[a-z]+)\b")
"""What the keyword libraries of the reference device say when they start."""
_OPERATIONS: Final = re.compile(r"flash operations: (\d+)", re.ASCII)
"""What the listener says when a test has ended."""
_NOT_RUN: Final = "robot:exit"
"""Tag of tests that were not run, because somebody or something ended the run."""
_UNSAFE: Final = re.compile(r'[\x00-\x1f"*/:<>?\\|]')
"""What brownout.robot does not use in the name of a folder of evidence."""
_KEYWORDS: Final = frozenset({"KEYWORD", "SETUP", "TEARDOWN"})
_LONGEST_ARGUMENT: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whole:
    """What holds for all tests of a file. `root` is the suite that the run was started with."""

    file: ResultFile
    options: ImportOptions
    root: robot_result.TestSuite
    engine: str


def import_robot(file: ResultFile, options: ImportOptions) -> Run:
    """A run of Robot Framework. Raises ImportFileError: half written, or no output.xml."""
    # Here: half a second that only this kind of file needs.
    from robot.api import ExecutionResult
    from robot.errors import DataError

    try:
        outcome = ExecutionResult(io.BytesIO(file.data))
    except DataError as error:
        why = " ".join(str(error).rsplit("ParseError: ", maxsplit=1)[-1].split())
        raise file.error(
            f"is no whole output.xml of Robot Framework ({why}): did the run come to its end?"
        ) from error
    suite = outcome.suite
    tests = list(suite.all_tests)
    if not tests:
        raise file.error("has no tests")
    metadata = {name.lower(): value for name, value in suite.metadata.items()}
    duration = suite.elapsed_time.total_seconds()
    started = suite.start_time.astimezone() if suite.start_time else file.ended(duration)
    engine = options.engine or metadata.get("engine") or _engine(suite)
    whole = _Whole(file=file, options=options, root=suite, engine=engine)
    found = [(test, _kept(test, whole)) for test in tests if _NOT_RUN not in test.tags]
    cases = unique_cases(_case(test, kept, whole) for test, kept in found)
    versions = {device.engine_version for _, kept in found for device in kept.devices}
    return Run(
        id=new_run_id(started),
        series=Series(
            project=options.project,
            kind=RunKind.ROBOT,
            name=suite.name,
            board=options.board or metadata.get("board", ""),
            engine=engine,
        ),
        started=started,
        duration_s=duration,
        revision=options.revision,
        engine_version=metadata.get("engine version") or (versions.pop() if len(versions) == 1 else ""),
        seed=_seed(metadata) if options.seed is None else options.seed,
        complete=len(found) == len(tests),
        command=options.command,
        source=str(file.path),
        cases=cases,
    )


def _case(test: robot_result.TestCase, kept: Kept, whole: _Whole) -> Case:
    message = _plain(test.message)
    notes = [*([_failed_in(test)] if test.failed else []), *kept.notes]
    source = test.source
    told = next((found for text in _own_messages(test) if (found := _OPERATIONS.fullmatch(text))), None)
    return Case(
        name=test.full_name,
        result=Result.PASS if test.passed else Result.SKIP if test.skipped else Result.FAIL,
        duration_s=test.elapsed_time.total_seconds(),
        message=message,
        detail="\n".join(note for note in notes if note),
        tags=tuple(test.tags),
        replay=kept.replay,
        command=kept.command or (_command(test, whole) if test.failed else ""),
        location=Location(file=shown_path(source), line=test.lineno or 0) if source else None,
        flash_operations=kept.flash_operations if told is None else int(told[1]),
        evidence=kept.items,
    )


def _plain(message: str) -> str:
    """A message without the marks of HTML."""
    if not message.startswith("*HTML*"):
        return message
    return re.sub(r"<[^>]+>", "", message.removeprefix("*HTML*")).strip()


def _command(test: robot_result.TestCase, whole: _Whole) -> str:
    """What runs this test again: from the top, so that the files of the suites above it count, too.

    The name begins with any text: what the top suite is called may come from the command line.
    """
    parent = test.parent
    suite = parent.name if parent is not None else ""
    source = whole.root.source or test.source
    if source is None:
        return ""
    name = re.sub(r"([\[*?])", r"[\1]", f"{suite}.{test.name}")
    engine = ["--variable", f"ENGINE:{whole.engine}"] if whole.engine else []
    return shlex.join(["robot", *engine, "--test", f"*{name}", shown_path(source)])


def _failed_in(test: robot_result.TestCase) -> str:
    """The keywords from the test down to the one that failed, with its arguments."""
    names: list[str] = []
    steps: Iterable[object] = [part for part in (test.setup, *test.body, test.teardown) if part]
    arguments = ""
    while True:
        failed = next((step for step in steps if getattr(step, "failed", False)), None)
        if failed is None:
            break
        # Loops and conditions have no such name.
        if getattr(failed, "type", "") in _KEYWORDS:
            names.append(str(getattr(failed, "full_name", "")))
            arguments = "".join(f"    {_short(str(argument))}" for argument in getattr(failed, "args", ()))
        inner = [
            getattr(failed, "setup", None),
            *getattr(failed, "body", ()),
            getattr(failed, "teardown", None),
        ]
        steps = [part for part in inner if part]
    return f"failed in: {' > '.join(names)}{arguments}" if names else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_ARGUMENT else f"{line[: _LONGEST_ARGUMENT - 3]}..."


# -- what the run used -------------------------------------------------------------------------------------


def _own_messages(test: robot_result.TestCase) -> Iterator[str]:
    """What was said beside the keywords of a test."""
    return (str(part.message) for part in test.body if part.type == "MESSAGE")


def _messages(item: object) -> Iterator[str]:
    """All log messages of a test, a keyword, or a suite's setup."""
    for part in (getattr(item, "setup", None), *getattr(item, "body", ()), getattr(item, "teardown", None)):
        if not part:
            continue
        if getattr(part, "type", "") == "MESSAGE":
            yield str(getattr(part, "message", ""))
        else:
            yield from _messages(part)


def _all_messages(suite: robot_result.TestSuite) -> Iterator[str]:
    yield from _messages(suite)
    for test in suite.tests:
        yield from _messages(test)
    for inner in suite.suites:
        yield from _all_messages(inner)


def _engine(suite: robot_result.TestSuite) -> str:
    """The engine that all labs were on; "" when there were several, or nobody said.

    Evidence is not asked: it is there when something failed only, and the series must not depend on that.
    """
    found = {match["engine"] for text in _all_messages(suite) if (match := _LAB.search(text))}
    return found.pop() if len(found) == 1 else ""


def _seed(metadata: Mapping[str, str]) -> int | None:
    text = metadata.get("seed", "").strip()
    return int(text) if text.isdecimal() else None


# -- evidence ----------------------------------------------------------------------------------------------


def _kept(test: robot_result.TestCase, whole: _Whole) -> Kept:
    """The evidence of a failed test."""
    if not test.failed:
        return Kept()
    named = [text.removeprefix(_MARK).strip() for text in _messages(test) if text.startswith(_MARK)]
    for text in named:
        folder = _find(Path(text), whole)
        if folder is not None:
            return read_kept(folder)
    suite = test.parent.full_name if test.parent is not None else ""
    usual = Path(_FOLDER, _folder_name(suite), _folder_name(test.name))
    folder = _find(usual, whole)
    if folder is not None:
        return read_kept(folder)
    notes = [f"its evidence is not there: {text}" for text in named]
    return dataclasses.replace(Kept(), notes=tuple(notes))


def _find(named: Path, whole: _Whole) -> Path | None:
    """The folder that a test named: where it says, or at the same place beside output.xml.

    A file of results may come from anybody, and what it names is put into reports. So a folder that is
    neither beside it nor below --evidence must look like evidence.
    """
    here = whole.file.path.absolute().parent
    roots = [here, *([whole.options.evidence.absolute()] if whole.options.evidence else [])]
    parts = named.parts
    tail = parts[len(parts) - parts[::-1].index(_FOLDER) :] if _FOLDER in parts else parts[-2:]
    places = [here / _FOLDER / Path(*tail)]
    if whole.options.evidence:
        places.insert(0, whole.options.evidence / Path(*tail))
    for folder in (*([named] if named.is_absolute() else []), *places):
        try:
            if not folder.is_dir():
                continue
            real = folder.resolve()
            beside = any(real.is_relative_to(root.resolve()) and real != root.resolve() for root in roots)
        except (OSError, ValueError):
            continue
        if beside or is_evidence(real):
            return real
    return None


def _folder_name(name: str) -> str:
    """As brownout.robot names the folders."""
    return _UNSAFE.sub("_", name).strip(". ") or "_"
