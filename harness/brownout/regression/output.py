"""All files of a report, and the one for machines."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from brownout.errors import BrownoutError
from brownout.regression.html import render_html
from brownout.regression.junit import render_junit
from brownout.regression.markdown import render_markdown
from brownout.regression.model import DeviceEvidence
from brownout.regression.sarif import render_sarif

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.regression.model import Document

FORMAT = "brownout-report"
VERSION = 1


def render_all(document: Document) -> dict[str, bytes]:
    """Names and contents of the files of a report."""
    texts = {
        "index.html": render_html(document),
        "report.md": render_markdown(document),
        "junit.xml": render_junit(document),
        "findings.sarif": render_sarif(document),
        "report.json": render_json(document),
    }
    # A lone surrogate cannot be written; what printable() let through is text.
    return {name: text.encode(errors="replace") for name, text in texts.items()}


def render_json(document: Document) -> str:
    """The document; keys are the fields of brownout.regression.model, evidence without its pictures."""
    value = {"format": FORMAT, "version": VERSION, "broke": document.broke, **_fields(document)}
    return json.dumps(value, indent=1) + "\n"


def _fields(value: object) -> dict[str, object]:
    names = [field.name for field in dataclasses.fields(value)]  # type: ignore[arg-type]
    return {name: _plain(getattr(value, name)) for name in names}


def _plain(value: object) -> object:
    if isinstance(value, DeviceEvidence):
        return {
            "subject": value.subject,
            "verdict": value.verdict,
            "detail": value.detail,
            "command": value.command,
            "uart_lines": 0 if value.uart is None else len(value.uart.lines) + value.uart.left_out,
            "problems": list(value.problems),
        }
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value):
        return _fields(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def check_writable(folder: Path) -> None:
    """Find out early that a report cannot be written; nothing is made. Raises BrownoutError."""
    known = folder.absolute()
    while not known.exists() and known != known.parent:
        known = known.parent
    if not known.is_dir():
        raise BrownoutError(f"{folder}: cannot be a folder for the report: {known} is a file")
    if not os.access(known, os.W_OK | os.X_OK):
        raise BrownoutError(
            f"{folder}: cannot be written: expected a folder for the report, and access to it"
        )


def write_report(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put all files into `folder`, which is made when it is missing, or none.

    They are staged inside of the folder: it may be a file system of its own, with nothing to write beside it.
    Raises BrownoutError.
    """
    for name in files:
        if (folder / name).is_dir():
            raise BrownoutError(f"{folder / name}: cannot be written: expected a file or nothing there")
    made = not folder.exists()
    stage = folder / f".report.{secrets.token_hex(6)}"
    try:
        try:
            stage.mkdir(parents=True)
            for name, data in files.items():
                (stage / name).write_bytes(data)
            for name in files:
                (stage / name).replace(folder / name)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise BrownoutError(f"{folder}: the report cannot be written ({error.strerror})") from error
