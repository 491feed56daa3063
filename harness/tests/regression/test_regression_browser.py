"""The page in a real browser: Debian's Chromium, driven by Playwright.

Playwright speaks to the browser itself, so no driver has to fit its version; and it sees requests and errors.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright
from regression_runs import History, acme, nothing, sha

from brownout.regression.build import Wish, build_document
from brownout.regression.html import render_html
from brownout.results.store import ResultStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TORN = "S2.4 A Torn Copy Of The Kernel Is Repeated"
COLOURS = ("ink", "soft", "accent", "bad", "good", "odd", "old", "cut")
BEHIND = ("page", "card", "shade")
PHONE = {"width": 360, "height": 740}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    with ResultStore.open(str(folder / "results.db")) as store:
        for run in acme(History(), folder):
            store.add(run)
        document = build_document(store, Wish(baseline=sha("acme 4")), resolve=nothing)
    page = folder / "index.html"
    page.write_text(render_html(document))
    return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser with a new profile; it is gone when the tests are."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


class Watched:
    """A page, and everything that it should not do."""

    def __init__(self, page: Page, report: Path) -> None:
        self.page = page
        self.url = f"file://{report}"
        self.said: list[str] = []
        self.asked: list[str] = []
        page.set_default_timeout(10_000)
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, anchor: str = "") -> Page:
        self.page.goto("about:blank")
        self.page.goto(self.url + anchor)
        return self.page

    def check(self) -> None:
        """No error, no warning, nothing asked for but the page itself."""
        assert self.said == []
        outside = [url for url in self.asked if not url.startswith((self.url, "about:blank", "data:,"))]
        assert outside == []
        assert self.page.evaluate("window.hacked") is None


@pytest.fixture
def watched(browser: Browser, report: Path) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    watched = Watched(context.new_page(), report)
    yield watched
    watched.check()
    context.close()


def visible(page: Page) -> list[str]:
    """Names of the cases that are to be seen."""
    texts = page.locator("details.case:visible h3").all_inner_texts()
    return [text.strip().split(" ", 1)[1].split(" ~ ")[0] for text in texts]  # without sign and badge


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.innerText || document.activeElement.id"))


def test_what_broke_since_when_and_how_to_replay_is_on_the_first_screen(watched: Watched) -> None:
    page = watched.open()
    head = page.locator("header .verdict")
    box = head.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 450
    text = head.inner_text()
    assert "1 case broke since" in text
    assert TORN in text
    assert f"fails since {sha('acme 5')[:10]}" in text
    assert "brownout run --boot build/boot.elf" in text
    assert page.title().startswith("1 case broke since")


def test_the_failure_that_broke_is_open_with_its_evidence(watched: Watched) -> None:
    page = watched.open()
    card = page.locator("#broke details.case[open]")
    assert card.count() == 1
    picture = card.locator(".picture svg")
    cut = picture.locator("g.power-cut line")
    assert cut.bounding_box()["width"] > 0.8 * picture.bounding_box()["width"]  # type: ignore[index]
    assert "Power cut: kernel.program#90/torn" in str(picture.text_content())
    assert card.locator(".s-half-done").count() == 2  # in the legend and in the map
    log = card.locator("pre[aria-label='UART log']")
    assert "boot: halted" in log.inner_text()
    assert log.evaluate("pre => pre.scrollTop > 0"), "the end of the log is in sight"


def test_filter_by_text_result_series_and_tag(watched: Watched) -> None:
    page = watched.open()
    everything = len(visible(page))
    page.fill("#filter-text", "torn KERNEL")
    assert visible(page) == [TORN]
    assert page.locator("#flaky").is_hidden()
    assert page.locator("#filter-count").inner_text().startswith("3 of")  # and two figures of it
    page.fill("#filter-text", "")
    page.select_option("#filter-result", "still-failing")
    assert visible(page) == ["S3.1 A Stale Manifest Is Refused"]
    page.select_option("#filter-result", "")
    page.select_option("#filter-series", label="sweep swap on nrf52840-dk, unicorn")
    assert visible(page) == ["brick after torn program in slot0"]
    page.select_option("#filter-series", "")
    page.select_option("#filter-tag", "debug")
    assert set(visible(page)) == {"S1.5 GDB Stops At A Breakpoint"}
    page.select_option("#filter-tag", "")
    assert len(visible(page)) == everything


def test_links_of_the_page_lead_somewhere(watched: Watched) -> None:
    page = watched.open()
    for link in page.locator("header a").all():
        anchor = str(link.get_attribute("href"))
        link.click()
        assert page.locator(anchor).is_visible()
        assert page.evaluate("location.hash") == anchor


def test_a_deep_link_opens_its_case_also_behind_a_filter(watched: Watched) -> None:
    page = watched.open()
    anchor = str(page.locator("#still-failing details.case").get_attribute("id"))
    page = watched.open(f"#{anchor}")
    card = page.locator(f"#{anchor}")
    assert card.evaluate("card => card.open")
    box = card.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 900
    page.fill("#filter-text", "nothing has this")
    assert card.is_hidden()
    page.evaluate("location.hash = ''")
    page.evaluate(f"location.hash = '{anchor}'")
    card.wait_for(state="visible")


def test_by_keyboard_alone(watched: Watched) -> None:
    page = watched.open()
    page.keyboard.press("j")
    assert TORN in focused(page)
    card = page.locator("#broke details.case")
    page.keyboard.press("Enter")
    assert not card.evaluate("card => card.open")
    page.keyboard.press("Space")
    assert card.evaluate("card => card.open")
    page.keyboard.press("j")
    second = focused(page)
    assert TORN not in second
    page.keyboard.press("ArrowDown")
    assert focused(page) != second
    page.keyboard.press("k")
    assert focused(page) == second
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus is to be seen"
    page.keyboard.press("/")
    assert focused(page) == "filter-text"
    page.keyboard.type("gdb j")  # keys are text here
    assert page.input_value("#filter-text") == "gdb j"
    page.keyboard.press("Escape")
    assert page.input_value("#filter-text") == ""
    assert TORN in visible(page)


def test_tab_reaches_everything_that_can_be_used(watched: Watched) -> None:
    page = watched.open()
    seen = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("(at => at.className || at.id || at.tagName)(document.activeElement)"))
    assert {
        "filter-text",
        "filter-result",
        "filter-series",
        "filter-tag",
        "copy",
        "cell",
        "scroll picture",
    } <= seen


def test_arrows_walk_through_the_flash_map(watched: Watched) -> None:
    page = watched.open()
    cells = page.locator("button.cell")
    cells.first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert "half-done, by an operation that was cut" in page.locator(".readout").first.inner_text()
    assert "program 90 at 0x12100" in page.locator(".readout").first.inner_text()
    page.locator("button.cell").nth(0).hover()
    assert "data, unchanged" in page.locator(".readout").first.inner_text()


def test_copy_gives_the_command(watched: Watched) -> None:
    page = watched.open()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.locator("#broke button.copy").first
    button.click()
    page.locator("#broke button.copy", has_text="Copied").wait_for()
    command = page.locator("#broke .command code").first.inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == command
    page.locator("#broke button.copy", has_text="Copy").first.wait_for()


def test_copy_selects_where_there_is_no_clipboard(watched: Watched) -> None:
    page = watched.open()
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    page.locator("#broke button.copy").first.click()
    page.locator("#broke button.copy", has_text="Selected").wait_for()
    assert page.evaluate("String(getSelection())").startswith("brownout run --boot")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_usable_on_a_phone(browser: Browser, report: Path, scheme: str) -> None:
    context = browser.new_context(viewport=PHONE, color_scheme=scheme, has_touch=True)  # type: ignore[arg-type]
    watched = Watched(context.new_page(), report)
    page = watched.open()
    page.evaluate("document.querySelectorAll('details').forEach(item => { item.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    too_wide = page.evaluate(
        "[...document.querySelectorAll('body *')]"
        ".filter(item => !item.closest('.scroll, pre'))"
        ".filter(item => item.getBoundingClientRect().right > innerWidth + 1)"
        ".map(item => item.outerHTML.slice(0, 80))"
    )
    assert too_wide == []
    page.tap("#still-failing details.case summary")
    page.fill("#filter-text", "gdb")
    assert len(visible(page)) == 2
    watched.check()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser: Browser, report: Path, scheme: str) -> None:
    """4.5 to 1 for text, as WCAG AA asks for."""
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = Watched(context.new_page(), report).open()
    colours: dict[str, str] = page.evaluate(
        "names => Object.fromEntries(names.map(name => "
        "[name, getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()]))",
        [*COLOURS, *BEHIND],
    )
    for name in COLOURS:
        for behind in BEHIND:
            assert contrast(colours[name], colours[behind]) >= 4.5, (scheme, name, behind)
    context.close()


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_nothing_is_lost_without_javascript(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{report}")
    assert page.locator("#broke details.case[open]").count() == 1
    assert page.locator("#still-failing details.case summary").is_visible()
    context.close()
