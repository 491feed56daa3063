"""The site is built without a warning, and works from the disk without a network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from doc_blocks import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 120.0
LOADED = re.compile(
    r"""(?:<script[^>]*\ssrc|<link[^>]*rel="?stylesheet"?[^>]*href|<img[^>]*\ssrc)="?(https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    # Not --quiet: a warning that is not shown does not count for --strict.
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},  # an advertisement
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stdout + done.stderr
    return folder


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("index.html", "Where to start"),
        ("reference/brownout.html", "brownout results compare"),
        ("reference/fieldlink.html", "fieldlink debug gdb"),
        ("reference/keywords/BrownoutLibrary.html", "Recover After Power Cuts"),
        ("reference/flash-layout.html", "Why every cut leaves a recoverable state"),
        ("reference/protocol.html", "Virtual channels and credit"),
        ("reference/changelog.html", "Unreleased"),
        ("reference/not-run.html", "installs packages into the reader"),
    ],
)
def test_pages_that_are_made(site: Path, page: str, text: str) -> None:
    assert text in (site / page).read_text(encoding="utf-8")


def test_tables_and_lists_are_what_they_were_meant_to_be(site: Path) -> None:
    """Where mkdocs and GitHub read Markdown differently."""
    options = (site / "reference" / "brownout.html").read_text(encoding="utf-8")
    assert "\\|" not in options
    assert "<code>-h, --help</code>" in options
    assert "<code>--help</code>" not in options
    assert "<code>--engine [unicorn|qemu|renode]</code>" in options.replace("&#124;", "|")
    steps = (site / "sweep.html").read_text(encoding="utf-8")
    assert re.search(r"<li>\s*<p>Check it\. What comes back", steps)


def test_nothing_is_loaded_from_a_network(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 25
    assert [str(page) for page in pages if LOADED.search(page.read_text(encoding="utf-8"))] == []


def test_it_can_be_searched_from_the_disk(site: Path) -> None:
    """In a real browser, at a phone's width too: no error, nothing wider than the screen."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    problems: list[str] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        try:
            context = chromium.new_context(offline=True, viewport={"width": 375, "height": 740})
            page = context.new_page()
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on(
                "console", lambda message: problems.append(message.text) if message.type == "error" else None
            )
            for name in ("index", "tutorial/ten-minutes", "reference/brownout", "reference/board-file"):
                page.goto((site / f"{name}.html").as_uri())
                wide = page.evaluate(
                    "document.documentElement.scrollWidth > document.documentElement.clientWidth"
                )
                assert not wide, name
            page.set_viewport_size({"width": 1280, "height": 900})
            page.goto((site / "index.html").as_uri())
            page.get_by_placeholder("Search").click()
            page.keyboard.type("re-commit")
            page.locator(".md-search-result__link").first.wait_for(timeout=20_000)
            found = page.locator(".md-search-result__link").first.get_attribute("href")
            assert found is not None
            assert "flash-layout" in found
        finally:
            chromium.close()
    assert problems == []
