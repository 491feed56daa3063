"""Files that runs leave behind, as runs for the store. What a file is, its content says."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.results.importers.base import ImportOptions, read_result_file
from brownout.results.importers.bench import FORMAT as BENCH_FORMAT
from brownout.results.importers.bench import import_bench
from brownout.results.importers.firmware import firmware_figures, read_firmware
from brownout.results.importers.junit import import_junit
from brownout.results.importers.mutants import import_mutants, is_mutants
from brownout.results.importers.robot import import_robot
from brownout.results.importers.sweep import FORMAT as SWEEP_FORMAT
from brownout.results.importers.sweep import import_sweep

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.results.importers.base import ResultFile
    from brownout.results.model import Run

__all__ = ["ImportOptions", "Imported", "import_file"]

_FORMATS: Final = (
    "output.xml of Robot Framework, JSON of brownout sweep or brownout bench, mutants.json, "
    "or JUnit XML of pytest"
)
_ROOT: Final = re.compile(rb"<([A-Za-z_][\w.-]*)[\s>/]")
_HEAD_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A run, and the SHA-256 of the file that it comes from."""

    run: Run
    digest: str


def import_file(path: Path, options: ImportOptions) -> Imported:
    """The run that a file tells of.

    Raises ImportFileError: it cannot be read, is half written, or is nothing that is known.
    """
    file = read_result_file(path)
    run = _import(file, options)
    images = read_firmware(options.firmware)
    run = dataclasses.replace(
        run, firmware=images or run.firmware, figures=[*run.figures, *firmware_figures(images)]
    )
    return Imported(run=run, digest=hashlib.sha256(file.data).hexdigest())


def _import(file: ResultFile, options: ImportOptions) -> Run:
    head = file.data[:_HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head:
        raise file.error(f"is empty: expected {_FORMATS}")
    if head.startswith(b"<"):
        found = _ROOT.search(head)
        if found is not None and found[1] == b"robot":
            return import_robot(file, options)
        if found is not None and found[1] in (b"testsuites", b"testsuite"):
            return import_junit(file, options)
    elif head[:1] in b"[{":
        try:
            document: object = json.loads(file.data)
        except (ValueError, RecursionError) as error:
            raise file.error(f"is no whole JSON file ({error}): did the run come to its end?") from error
        kind = document.get("format") if isinstance(document, dict) else None
        if kind == SWEEP_FORMAT:
            return import_sweep(file, options, document)
        if kind == BENCH_FORMAT:
            return import_bench(file, options, document)
        if is_mutants(document):
            return import_mutants(file, options, document)
    raise file.error(f"is no file of results that is known: expected {_FORMATS}")
