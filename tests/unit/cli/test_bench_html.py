"""The HTML report: it stands alone, is well formed, and draws what was measured."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from inferd.cli import main
from inferd.cli.bench import WITH_PAGE
from inferd.cli.bench.charts import LABELS, RIGHT, WIDTH, Bar, Series, bars, lines, shaded, ticks
from inferd.cli.bench.html import PALETTE, Chart, Page, render
from inferd.cli.bench.measures import Goodput
from inferd.cli.bench.outcome import Outcome
from inferd.cli.bench.pages import PAGES
from inferd.cli.bench.serving import summarize
from inferd.testing.tiny import write_checkpoint

REACHES_OUT = re.compile(r"<script|<link|src=|href=|@import|url\(|https?://")


def drawings(html):
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]


def of_class(svg, kind):
    return [each for each in svg.iter() if each.get("class") == kind]


def test_bars_are_stacked_on_one_scale_with_their_limit():
    (svg,) = drawings(bars([Bar("a", [1.0, 3.0], "4"), Bar("b", [2.0], "2", mark=8.0)], ["x", "y"]))
    (first, last), (stacked,) = of_class(svg, "c0"), of_class(svg, "c1")
    unit = (WIDTH - LABELS - RIGHT) / 8
    assert float(first.get("width")) == pytest.approx(unit, abs=0.1)
    assert float(stacked.get("x")) == pytest.approx(LABELS + unit, abs=0.1)
    assert float(last.get("width")) == pytest.approx(2 * unit, abs=0.1)
    assert float(of_class(svg, "limit")[0].get("x1")) == pytest.approx(LABELS + 8 * unit, abs=0.1)


def test_points_of_a_line_keep_their_proportions():
    (svg,) = drawings(lines([Series("a", [(0, 0), (50, 10), (100, 20)])], "x", "y"))
    path = of_class(svg, "s0")[0].get("points").split()
    (x0, y0), (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in path)
    assert x1 - x0 == pytest.approx(x2 - x1) and y0 - y1 == pytest.approx(y1 - y2)
    assert x2 > x0 and y2 < y0  # upwards


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (4.1, [0, 1, 2, 3, 4, 5]),
        (100, [0, 20, 40, 60, 80, 100]),
        (0.03, [0, 0.01, 0.02, 0.03]),
        (0, [0, 1]),
    ],
)
def test_ticks_are_round_and_reach_the_most(most, expected):
    assert ticks(most) == pytest.approx(expected)


def test_shades_follow_the_share():
    table = shaded(["", "a"], [("row", [("x", 2.0), ("y", 0.0), ("z", None)])])
    assert re.findall(r"/ ([\d.]+)\)", table) == ["0.550", "0.000"] and "<td>z</td>" in table


def test_text_is_escaped_and_every_colour_has_its_classes():
    chart = Chart("<b>", "&", bars([Bar("<i>", [1], "1 < 2")]))
    page = render(Page("t<", "s&", [("<n>", "<v>")], [chart]), "a < b", {"x": "<y>"})
    for raw in ("<b></h2>", "<i>", "1 < 2", "<n>", "<v>", "a < b", "<y>"):
        assert raw not in page
    assert all(f".{kind}{i} " in page for kind in "csk" for i in range(len(PALETTE)))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny")
    write_checkpoint(path, num_hidden_layers=2)
    return str(path)


@pytest.mark.parametrize(
    ("word", "sizes", "charts"),
    [
        ("latency", ["--input-len", "8", "16", "--output-len", "3", "--batch-size", "1", "2"], 2),
        ("throughput", ["--num-prompts", "40", "--input-len", "16", "--output-len", "24"], 3),
    ],
)
def test_a_report_of_a_real_run_stands_alone(tiny, tmp_path, capsys, word, sizes, charts):
    file = tmp_path / "report.html"
    words = ["--model", tiny, "--dtype", "float32", *sizes, "--html", str(file)]
    assert main(["bench", word, *words]) == 0
    page = file.read_text(encoding="utf-8")
    assert not REACHES_OUT.search(page)
    assert len(drawings(page)) == charts
    assert capsys.readouterr().out.splitlines()[0] in page  # the text, below


def test_a_report_of_serving_has_a_curve_for_each_time():
    outcomes = []
    for i in range(1, 5):
        pieces = [i * 0.1, i * 0.2, i * 0.4]
        done = Outcome(0.0, 8, pieces, num_output=3, ended=i * 0.4, finished=True)
        outcomes.append(done)
    values = summarize(outcomes, 2.0, Goodput.parse(["ttft:250"]))
    values |= {"model": "m", "url": "u", "request_rate": None, "max_concurrency": 2}
    page = PAGES["serve"](values)
    assert len(page.charts) == 4 and ("goodput", "50.0%") in page.tiles
    assert values["curves_ms"]["e2el"][-1] == (100, 1600.0)
    single = summarize([Outcome(0.0, 8, [0.1], num_output=1, ended=0.1)], 1.0, None)
    assert len(PAGES["serve"](values | single).charts) == 2  # one token: no TPOT, no ITL


def test_every_word_with_a_page_has_one():
    assert set(PAGES) == set(WITH_PAGE)


def test_a_file_that_cannot_be_written_is_said(tiny, tmp_path, capsys):
    words = ["--model", tiny, "--input-len", "8", "--output-len", "2", "--num-iters", "1"]
    assert main(["bench", "latency", *words, "--html", str(tmp_path / "no" / "x.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["bench", "latency", *words, "--html", str(tmp_path)]) == 2
    assert "Is a directory" in capsys.readouterr().err
