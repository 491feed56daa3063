"""The HTML report: complete, self-contained, safe, and drawn without an error."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from brownout.report import FAILURES, ranges_text, render_html, render_json
from brownout.report.pack import pack, touched_extents
from brownout.sweep.result import OperationInfo

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import ResultFactory

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Outline(HTMLParser):
    """Checks that tags nest, and collects what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def data_of(page: str) -> dict[str, object]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    document: dict[str, object] = json.loads(match[1])
    return document


@pytest.mark.parametrize("shape", [{}, {"findings": 20, "depth": 2}, {"operations": 0}])
def test_a_report_is_one_well_formed_page_that_loads_nothing(
    make_result: ResultFactory, shape: dict[str, int]
) -> None:
    page = render_html(make_result(**shape), target_file="target.toml")
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert outline.loaded == ["data:,"]
    assert "url(" not in page
    assert "@import" not in page


def test_nothing_in_a_result_becomes_markup(make_result: ResultFactory) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u2028"
    result = make_result(operations=30, findings=3)
    operations = [replace(operation, symbol=evil, region=evil, state=evil) for operation in result.operations]
    findings = [replace(finding, detail=evil, trail=(evil,), where=(evil,)) for finding in result.findings]
    result = replace(result, target=evil, operations=operations, findings=findings, machine_log=[evil])
    page = render_html(result, target_file=evil, command=evil)
    outline = Outline()
    outline.feed(page)
    assert outline.loaded == ["data:,"]
    assert page.count("<script") == 2
    assert "\u2028" not in page.split('id="data">')[1].split("</script>")[0]
    assert evil in data_of(page)["strings"]  # type: ignore[operator]


def test_findings_come_with_commands_that_can_be_pasted(make_result: ResultFactory) -> None:
    result = make_result(findings=12)
    page = render_html(result, target_file="my boards/target.toml")
    for group in result.groups:
        example = next(finding for finding in result.findings if finding.id == group.example)
        assert f"brownout sweep 'my boards/target.toml' --replay {example.shrunk}" in html.unescape(page)
        assert f"{html.escape(group.title)} <span" in page
    assert "24 findings in" in page


def test_few_words_say_how_it_went(make_result: ResultFactory) -> None:
    assert "No findings." in render_html(make_result(), target_file="t.toml")
    assert "Nothing was cut." in render_html(make_result(operations=0), target_file="t.toml")
    assert "The run had no flash operation" in render_html(make_result(operations=0), target_file="t.toml")
    result = make_result(findings=1)
    only_second = replace(result, points=make_result().points)
    assert "cutting the recovery as well is not" in render_html(only_second, target_file="t.toml")


def test_a_sample_says_that_it_is_one(make_result: ResultFactory) -> None:
    result = make_result()
    assert "A sample:" not in render_html(result, target_file="t.toml")
    some = replace(result, points=[point for point in result.points if point.operation % 10 == 0])
    assert "A sample: 30 of 300 flash operations were hit." in render_html(some, target_file="t.toml")


def test_every_failure_has_a_meaning_a_letter_and_a_colour(make_result: ResultFactory) -> None:
    result = make_result(operations=len(FAILURES))
    points = [replace(point, verdict=name) for point, name in zip(result.points, FAILURES, strict=False)]
    page = render_html(replace(result, points=points), target_file="t.toml")
    letters = set()
    for style in data_of(page)["verdicts"]:  # type: ignore[attr-defined]
        assert f"--{style['css']}:" in page
        letters.add(style["letter"])
    assert len(letters) == len(FAILURES) + 1
    for meaning in FAILURES.values():
        assert meaning in html.unescape(page)


def test_failures_are_those_of_the_sweep() -> None:
    assess = pytest.importorskip("brownout.sweep.assess")
    assert set(FAILURES) == set(assess.FAILURES)


def test_states_that_were_never_cut_are_said(make_result: ResultFactory) -> None:
    result = make_result()
    coverage = {**result.coverage, "confirming": {"before": 3, "after": 2}}
    page = render_html(replace(result, coverage=coverage), target_file="t.toml")
    assert '<td class="zero">never</td>' in page
    assert "1 combination of state and phase never cut." in page


def test_a_live_difference_is_shown(make_result: ResultFactory) -> None:
    result = make_result()
    bad = replace(result.live[0], same=19, different=("nrf-boot:unicorn:1:op=3/torn/random",))
    page = render_html(replace(result, live=[bad]), target_file="t.toml")
    assert "1 of 20" in page
    assert "op=3/torn/random" in page


def test_a_live_check_that_was_not_finished_is_shown(make_result: ResultFactory) -> None:
    result = make_result()
    check = replace(result.live[0], engine="renode", sampled=3, same=3, problem="Renode ended by itself")
    page = render_html(replace(result, live=[check]), target_file="t.toml")
    assert "The rest were not run</strong> on renode: Renode ended by itself" in page


def test_points_are_packed_in_columns(make_result: ResultFactory) -> None:
    result = make_result(operations=40, findings=5)
    packed = json.loads(json.dumps(pack(result)))
    assert packed["rows"] == [
        ["before", ""],
        *(["torn", s] for s in ("random", "one_bit", "only_last_word")),
        ["after", ""],
    ]
    assert [packed["verdicts"][index]["name"] for index in packed["point"]["verdict"]] == [
        p.verdict for p in result.points
    ]
    assert packed["op"]["offset"] == [operation.offset for operation in result.operations]


def test_untouched_parts_of_the_array_are_left_out(make_result: ResultFactory) -> None:
    result = make_result(operations=1)
    at = [
        OperationInfo(
            number=n, kind="program", offset=o, length=4, pc=0, symbol="", region="", state="", boot=1
        )
        for n, o in ((1, 0x1000), (2, 0x1FFC), (3, 0x2000), (4, 0xFF000))
    ]
    assert touched_extents(replace(result, operations=at)) == [(0x1000, 0x3000), (0xFF000, 0x100000)]
    uneven = replace(result, operations=at, sector_sizes=((4, 0x400), (1, 0xFF000)))
    assert touched_extents(uneven) == [(0x1000, 0x100000)]


def test_ranges_are_short() -> None:
    assert ranges_text([]) == ""
    assert ranges_text([5, 3, 4, 9]) == "3-5, 9"
    assert ranges_text([1, 3, 5, 7, 8], shown=2) == "1, 3 and 3 more"


def test_the_json_is_the_result_as_it_is(make_result: ResultFactory) -> None:
    result = make_result(operations=20, findings=4)
    text = render_json(result)
    document = json.loads(text)
    assert document["format"] == "brownout-sweep"
    assert document["points"][3]["variant"] == "only_last_word"
    assert document["findings"][0]["trail"] == list(result.findings[0].trail)
    assert document["regions"]["boot"] == [0, 0xC000]
    assert document["coverage"] == {state: dict(counts) for state, counts in result.coverage.items()}
    assert sum(line.startswith('{"operation"') for line in text.splitlines()) == len(result.points)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium to run the page's script")
@pytest.mark.parametrize(
    "shape", [{"operations": 0}, {"operations": 3}, {"operations": 6000, "findings": 90}]
)
def test_the_page_draws_and_answers_without_an_error(
    make_result: ResultFactory, tmp_path: Path, shape: dict[str, int]
) -> None:
    """Steps through it as a person does; the script's own words come back through the document."""
    probe = """<script>
const wrong = [];
addEventListener("error", (event) => wrong.push(event.message));
addEventListener("load", () => setTimeout(() => {
  const map = document.getElementById("map"), click = (id) => document.getElementById(id).click();
  const key = (name) => map.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  let told = "", drawn = 0;
  if (map !== null) {
    click("next-finding"); click("zoom-in"); click("zoom-in");
    for (const name of ["ArrowRight", "ArrowLeft", "ArrowDown", "+", "-", "Home", "n", "Escape"]) key(name);
    const box = map.getBoundingClientRect();
    for (const type of ["pointermove", "pointerdown", "pointerup"])
      map.dispatchEvent(new PointerEvent(type, { clientX: box.left + 400, clientY: box.top + 30 }));
    click("zoom-all");
    told = document.getElementById("readout").innerText;
    const pixels = map.getContext("2d").getImageData(0, 0, map.width, map.height).data;
    drawn = new Set(new Uint32Array(pixels.buffer)).size;
  }
  dispatchEvent(new Event("beforeprint")); dispatchEvent(new Event("afterprint"));
  document.title = "PROBE" + JSON.stringify({ wrong, told, drawn });
}, 50));
</script></head>"""
    page = render_html(make_result(**shape), target_file="t.toml").replace("</head>", probe, 1)
    # setPointerCapture refuses pointers that do not exist.
    page = page.replace("canvas.setPointerCapture(event.pointerId);", "")
    file = tmp_path / "report.html"
    file.write_text(page)
    done = subprocess.run(
        [
            str(CHROMIUM),
            *FLAGS,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    match = re.search(r"<title>PROBE(.*?)</title>", done.stdout, re.DOTALL)
    assert match is not None, done.stdout[:2000]
    said = json.loads(html.unescape(match[1]))
    assert said["wrong"] == []
    if shape["operations"]:
        assert "replay" in said["told"]
        assert said["drawn"] > 4
