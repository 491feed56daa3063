"""Where a run of Robot Framework keeps its files, also when pabot runs the suites."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import quote

from robot.libraries.BuiltIn import BuiltIn, RobotNotRunningError

_PABOT: Final = "${PABOTQUEUEINDEX}"
_PABOT_FOLDER: Final = "pabot_results"
"""pabot's processes write below it: into N, with --argumentfileM into M/N."""
_LONGEST: Final = 120
_UNSAFE: Final = re.compile(r'[\x00-\x1f"*/:<>?\\|]')
"""What file systems and GitHub's artifacts do not take in names."""


def variable(name: str) -> str | None:
    """Value of a variable as text, None when it is not set or Robot is not running."""
    try:
        value = BuiltIn().get_variable_value(name)
    except RobotNotRunningError:
        return None
    return None if value is None else str(value)


def log_folder() -> Path:
    """Where this process writes its log."""
    return Path(variable("${OUTPUT_DIR}") or ".").absolute()


def output_folder() -> Path:
    """Where the log is in the end: under pabot, not the folder of the process that runs the suite."""
    return _pabot()[0] or log_folder()


def evidence_folder(suite: str, test: str) -> Path:
    """Where a test's evidence belongs: below ``${EVIDENCE_DIR}``, else in ``evidence`` beside the log."""
    wanted = variable("${EVIDENCE_DIR}")
    base = output_folder() / "evidence" if wanted is None else Path(wanted).absolute()
    return base / suite_folder(suite) / file_name(test)


def suite_folder(suite: str) -> str:
    """A suite's name as that of a folder. With pabot's --argumentfileM the same suite runs several times."""
    variant = _pabot()[1]
    return file_name(f"{variant}.{suite}" if variant else suite)


def file_name(name: str) -> str:
    """A suite's or a test's name as the name of a folder; other names get other folders."""
    found = _UNSAFE.sub("_", name).strip(". ") or "_"
    if found == name and len(found.encode()) <= _LONGEST:
        return found
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{found.encode()[: _LONGEST - 9].decode(errors='ignore')}-{digest}"


def link_to(path: Path) -> str:
    """Reference from the log to a file: relative, so that the folder can be moved."""
    top = _pabot()[0]
    if top is None:
        return quote(Path(os.path.relpath(path, log_folder())).as_posix())
    # pabot takes the `../../` off when it makes one log of many, however deep the process's own log is.
    return "../../" + quote(Path(os.path.relpath(path, top)).as_posix())


def _pabot() -> tuple[Path | None, str]:
    """pabot's own output folder, and which of its argument files this is; (None, "") without pabot."""
    if variable(_PABOT) is None:
        return None, ""
    folder = log_folder()
    for up in folder.parents:
        if up.name == _PABOT_FOLDER:
            inner = folder.relative_to(up).parts
            return up.parent, inner[0] if len(inner) > 1 else ""
    return None, ""
