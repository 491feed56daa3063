"""What is written: HTML, Markdown, JUnit, SARIF and JSON, whatever a device printed."""

from __future__ import annotations

import html.parser
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from junitparser import Failure, JUnitXml
from regression_runs import HALTED, NASTY, SWEEP, cases_of, nothing, sha
from sarif_pydantic import Sarif

from brownout.regression.build import Wish, build_document
from brownout.regression.html import render_html
from brownout.regression.junit import render_junit
from brownout.regression.markdown import LIMIT, MARKER, escape, render_markdown
from brownout.regression.output import render_all, render_json
from brownout.regression.sarif import render_sarif, uri
from brownout.results.model import Case, Location, Result

if TYPE_CHECKING:
    from regression_runs import History

    from brownout.regression.model import Document
    from brownout.results.store import ResultStore


@pytest.fixture
def document(acme_store: ResultStore) -> Document:
    return build_document(
        acme_store,
        Wish(baseline=sha("acme 4")),
        resolve=nothing,
        locate=lambda _, place: replace(place, file="boot/nvmc.c", line=42) if place.symbol else place,
        tool="brownout 1.2",
    )


def of_cases(store: ResultStore, history: History, *cases: Case) -> Document:
    history.add()
    history.add(cases=cases)
    for run in history.runs:
        store.add(run)
    return build_document(store, Wish(baseline="previous"), resolve=nothing)


def nasty_case() -> Case:
    return Case(
        name=f"name {NASTY}",
        result=Result.FAIL,
        message=f"message {NASTY}\n``` \n<details>",
        detail=f"detail {NASTY}",
        tags=[f"tag {NASTY}"],
        command=f"echo {NASTY}",
        location=Location(file=f"file {NASTY}", line=3, symbol=f"symbol {NASTY}"),
    )


def check_sarif(log: dict[str, object]) -> None:
    """What SARIF 2.1.0 asks for, by models that others wrote; they know more keys than we may write."""
    read = Sarif.model_validate(log)
    assert read.version == "2.1.0"
    written = json.loads(read.model_dump_json(by_alias=True, exclude_none=True))
    assert unknown_keys(log, written) == []
    (run,) = read.runs
    rules = [rule.id for rule in run.tool.driver.rules or []]
    for result in run.results or []:
        assert rules[result.rule_index] == result.rule_id
        assert result.locations


def unknown_keys(wanted: object, known: object, where: str = "") -> list[str]:
    """Keys that the models dropped: such as no SARIF has."""
    if isinstance(wanted, dict) and isinstance(known, dict):
        gone = [f"{where}/{key}" for key in wanted if key not in known]
        return gone + [
            path
            for key in wanted
            if key in known
            for path in unknown_keys(wanted[key], known[key], f"{where}/{key}")
        ]
    if isinstance(wanted, list) and isinstance(known, list):
        return [
            path for one, other in zip(wanted, known, strict=True) for path in unknown_keys(one, other, where)
        ]
    return []


class Tags(html.parser.HTMLParser):
    """Elements of a page, and whether each was closed in turn."""

    VOID = frozenset({"meta", "link", "input", "br", "circle", "path", "line", "rect", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.count: dict[str, int] = {}
        self.ids: list[str] = []
        self.links: list[str] = []
        self.urls: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            elif name == "href" and str(value).startswith("#"):
                self.links.append(str(value)[1:])
            elif name in ("href", "src", "srcset", "action"):
                self.urls.append(str(value))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


def test_page_answers_in_the_order_of_the_questions(document: Document) -> None:
    page = render_html(document)
    order = ['id="broke"', 'id="fixed"', 'id="flaky"', 'id="figures"', 'id="still-failing"', 'id="runs"']
    places = [page.index(text) for text in order]
    assert places == sorted(places)
    assert page.index("1 case broke since") < places[0]
    assert f"fails since {sha('acme 5')[:10]} (2026-11-01), 2 runs; last passed {sha('acme 4')[:10]}" in page


def test_page_holds_the_evidence(document: Document) -> None:
    page = render_html(document)
    for text in (
        "Power cut: kernel.program#90/torn",
        "\u00d740",
        "the power went in program 90 at 0x12100",
        "UART log",
        "Where the processor was at the end, spin+0x2 (boot.c:7): 2 lines",
        "Trace of the recovery: 300 lines",
        "brownout run --boot build/boot.elf",
        "\u00d71.34 slower",
    ):
        assert text in page


def test_page_is_well_formed_and_needs_nothing_from_outside(document: Document) -> None:
    tags = parsed(render_html(document))
    assert tags.urls == ["data:,"]
    assert len(tags.ids) == len(set(tags.ids))
    assert set(tags.links) <= set(tags.ids)
    assert tags.count["script"] == 1


def test_page_takes_nothing_of_a_device_as_markup(store: ResultStore, history: History) -> None:
    page = render_html(of_cases(store, history, nasty_case()))
    tags = parsed(page)
    assert tags.count["script"] == 1
    assert "<script>window.hacked" not in page
    assert "&lt;script&gt;window.hacked" in page
    assert "\x00" not in page
    assert "\x1b" not in page


def test_page_without_anything_to_say(store: ResultStore, history: History) -> None:
    page = render_html(of_cases(store, history, *cases_of("p")))
    parsed(page)
    assert "Nothing broke since" in page


def test_comment_is_short_and_starts_with_the_conclusion(document: Document) -> None:
    text = render_markdown(document)
    lines = text.splitlines()
    assert lines[0] == MARKER
    assert lines[1] == f"## \u274c 1 case broke since {sha('acme 4')[:10]}."
    assert "### S2.4 A Torn Copy Of The Kernel Is Repeated" in text
    assert f"fails since {sha('acme 5')[:10]}" in text
    assert "```sh\nbrownout run --boot" in text
    assert text.count("<details>") == text.count("</details>")
    assert len(text) < 12_000


def test_comment_stays_below_the_limit_and_says_what_it_left_out(
    store: ResultStore, history: History
) -> None:
    cases = [
        Case(name=f"case {number} " + "x" * 3000, result=Result.FAIL, command="y" * 9000)
        for number in range(40)
    ]
    text = render_markdown(of_cases(store, history, *cases))
    assert len(text) < LIMIT
    assert "did not fit into a comment" in text
    assert "index.html" in text.splitlines()[-1]


def test_comment_takes_nothing_of_a_device_as_markup(store: ResultStore, history: History) -> None:
    text = render_markdown(of_cases(store, history, replace(nasty_case(), command="")))
    assert "<script>" not in text
    assert text.count("<details>") == text.count("</details>")
    assert (
        escape("@admin [x](y) <b> `c` a*b_c|d") == "@\u200badmin \\[x\\](y) &lt;b&gt; \\`c\\` a\\*b\\_c\\|d"
    )


def test_a_command_cannot_end_its_block(store: ResultStore, history: History) -> None:
    case = Case(name="a", result=Result.FAIL, command="echo\n```\n# heading")
    assert "````sh\necho\n```\n# heading\n````" in render_markdown(of_cases(store, history, case))


def test_junit_lists_every_case(document: Document) -> None:
    read = JUnitXml.fromstring(render_junit(document).encode())
    suites = {suite.name: suite for suite in read}
    robot = suites["robot Suites on mps2-an385, qemu"]
    assert (robot.tests, robot.failures, robot.errors, robot.skipped) == (5, 2, 0, 0)
    (torn,) = [case for case in robot if case.name.startswith("S2.4")]
    (failure,) = torn.result
    assert isinstance(failure, Failure)
    assert failure.type == "broke"
    assert failure.message.startswith("ViolationError: dev-1")
    assert "fails since" in str(failure.text)
    assert "replay: brownout run --boot" in str(failure.text)
    assert read.tests == sum(suite.tests for suite in suites.values())
    assert read.failures == sum(suite.failures for suite in suites.values())


def test_junit_is_xml_whatever_a_device_printed(store: ResultStore, history: History) -> None:
    text = render_junit(
        of_cases(store, history, nasty_case(), Case(name="s", result=Result.SKIP, message="why"))
    )
    (suite,) = JUnitXml.fromstring(text.encode())
    names = [case.name for case in suite]
    assert names[0].startswith("name <script>window.hacked = 1</script>")
    assert suite.skipped == 1


def test_sarif_names_the_lines(document: Document) -> None:
    log = json.loads(render_sarif(document))
    check_sarif(log)
    results = log["runs"][0]["results"]
    places = {
        (place["artifactLocation"]["uri"], place["region"]["startLine"]): result["level"]
        for result in results
        for place in (result["locations"][0]["physicalLocation"],)
    }
    assert places == {("robot/suites/upgrade/s2_4.robot", 17): "error", ("boot/nvmc.c", 42): "error"}
    broke = next(result for result in results if result["baselineState"] == "new")
    assert broke["message"]["text"].startswith("ViolationError: dev-1")
    assert "Replay: brownout run" in broke["message"]["text"]
    symbol = next(result for result in results if result["ruleId"] == "power-cut")
    assert symbol["locations"][0]["logicalLocations"][0]["name"] == "nvmc_page_erase"


def test_sarif_leaves_out_what_has_no_place(store: ResultStore, history: History) -> None:
    log = json.loads(render_sarif(of_cases(store, history, *cases_of("f"))))
    check_sarif(log)
    assert log["runs"][0]["results"] == []


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("./boot/main.c", "boot/main.c"),
        ("a b/c#1.c", "a%20b/c%231.c"),
        ("/src/x.c", "file:///src/x.c"),
        ("boot\\main.c", "boot/main.c"),
    ],
)
def test_paths_as_uris(file: str, expected: str) -> None:
    assert uri(file) == expected


def test_json_is_the_document(document: Document) -> None:
    value = json.loads(render_json(document))
    assert (value["format"], value["version"], value["broke"]) == ("brownout-report", 1, True)
    assert value["conclusion"] == document.conclusion
    torn = next(case for case in value["cases"] if case["change"] == "broke")
    assert torn["since"]["runs"] == 2
    assert torn["message"] == HALTED.replace("\x00", torn["message"][HALTED.index("\x00")])
    assert torn["evidence"][0]["uart_lines"] == 81


def test_every_file_is_made_and_is_text(store: ResultStore, history: History) -> None:
    history.add(SWEEP)
    files = render_all(of_cases(store, history, nasty_case()))
    assert set(files) == {"index.html", "report.md", "junit.xml", "findings.sarif", "report.json"}
    for data in files.values():
        assert "\x00" not in data.decode()
