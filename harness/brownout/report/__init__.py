"""What a person looks at after a sweep: one HTML file without anything from outside, and JSON beside it.

write_atomic(Path("sweep.html"), render_html(result, target_file="target.toml").encode())
write_atomic(Path("sweep.json"), render_json(result).encode())
"""

from brownout.report.document import render_json
from brownout.report.html import render_html
from brownout.report.numbers import duration_text, ranges_text
from brownout.report.suites import render_suites
from brownout.report.verdicts import FAILURES, is_failure, stopped_text, verdict_meaning

__all__ = [
    "FAILURES",
    "duration_text",
    "is_failure",
    "ranges_text",
    "render_html",
    "render_json",
    "render_suites",
    "stopped_text",
    "verdict_meaning",
]
