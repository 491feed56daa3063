"""What mkdocs does besides: pages made from the programs, files from outside of docs/, links out of it."""

from __future__ import annotations

import logging
import os
import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from mkdocs.structure.files import File
from site_pages import command_line_page, keyword_pages, not_run_page

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[2]
INCLUDED: Final = {
    "firmware/SPEC.md": "reference/flash-layout.md",
    "server/PROTOCOL.md": "reference/protocol.md",
    "CHANGELOG.md": "reference/changelog.md",
    "README.md": "index.md",
}
"""Files of the checkout -> pages of the site. A link to the README is one to the site's first page."""
_MADE_HERE: Final = ("reference/flash-layout.md", "reference/protocol.md", "reference/changelog.md")
_LINK: Final = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
_FENCE: Final = re.compile(r"^(```.*?^```$)", re.M | re.S)
_REMOTE: Final = re.compile(r"[a-z]+:")
log = logging.getLogger("mkdocs.hooks.brownout")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files in docs/."""
    sources = {page: file for file, page in INCLUDED.items()}
    for page in _MADE_HERE:
        text = (ROOT / sources[page]).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    for program in ("brownout", "fieldlink"):
        files.append(File.generated(config, f"reference/{program}.md", content=command_line_page(program)))
    files.append(File.generated(config, "reference/not-run.md", content=not_run_page(ROOT / "docs")))
    for page, content in keyword_pages().items():
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links that leave docs/ at the page that shows the file; where none does, leave the name."""
    source = page.file.src_uri
    home = PurePosixPath({made: file for file, made in INCLUDED.items()}.get(source, f"docs/{source}")).parent
    if source == "index.md":
        home = PurePosixPath("docs")

    def rewrite(match: re.Match[str]) -> str:
        target, anchor = match["target"], match["anchor"] or ""
        if _REMOTE.match(target):
            return match[0]
        path = posixpath.normpath(str(home / target))
        if path in INCLUDED:
            return f"[{match['text']}]({_relative(INCLUDED[path], source)}{anchor})"
        if path.startswith("docs/") and not path.startswith("docs/examples/"):
            return f"[{match['text']}]({_relative(path.removeprefix('docs/'), source)}{anchor})"
        if path.startswith("..") or not (ROOT / path).exists():
            log.warning("%s: links to '%s', which is not in the checkout", source, target)
        text = match["text"]
        return text if "`" in text or path in text else f"{text} (`{path}`)"

    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(rewrite, part) for part in parts)


def _relative(page: str, source: str) -> str:
    return os.path.relpath(page, posixpath.dirname(source) or ".")
