import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from resilient_ddb.cli.demo.airports import read_airports
from resilient_ddb.cli.demo.charts import nice, tag, timeline, wait_share
from resilient_ddb.cli.demo.figures import figures
from resilient_ddb.cli.demo.report import fault_words, page, write_report
from resilient_ddb.cli.demo.scenario import make_scenario
from resilient_ddb.cli.demo.style import CHART
from resilient_ddb.cli.demo.tally import tally
from resilient_ddb.cli.demo.track import track
from resilient_ddb.testing import faults

VOID = {"meta", "br", "img", "link"}


class Tags(HTMLParser):
    """Checks that every element that is opened is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def html(made_up_run):
    scenario = make_scenario(read_airports(50), 1)
    return page(scenario, [made_up_run], figures([tally(made_up_run)]), footer="<now> & here")


def test_the_page_is_well_formed_and_whatever_is_shown_is_escaped(html):
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert "<b>" not in html
    assert "boto3 &lt;b&gt;&amp;" in html
    assert "&lt;now&gt; &amp; here" in html


def test_the_page_needs_nothing_but_itself(html):
    tags = Tags()
    tags.feed(html)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in tags.seen}
    assert not any({"src", "href"} & set(attributes) for _, attributes in tags.seen)
    assert "url(" not in html
    assert "@import" not in html
    assert set(re.findall(r"https?://[^\"<\s]+", html)) == {"http://www.w3.org/2000/svg"}  # a name, never fetched


def test_the_page_shows_every_line_with_its_meaning_and_the_plan(html, made_up_run):
    for line in figures([tally(made_up_run)]):
        assert f"<summary>{escape(line.label)}</summary><p>{escape(line.meaning)}</p>" in html
    assert "Outage(start=" in html
    assert "seed 1" in html


def test_the_report_is_written_as_utf8(tmp_path, made_up_run):
    path = tmp_path / "report.html"
    write_report(path, make_scenario(read_airports(50), 1), [made_up_run], figures([tally(made_up_run)]))
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.fixture
def drawn(made_up_run):
    tracks = [track(made_up_run, width=0.1), track(replace(made_up_run, client="other 1", circuits=[]), width=0.1)]
    return ET.fromstring(timeline(tracks, width=960, kind="wide"))  # noqa: S314 - our own text


def test_the_picture_has_one_axis_one_outage_and_both_runs(drawn):
    kinds = [element.get("class") for element in drawn.iter()]
    assert kinds.count("outage") == 1
    assert kinds.count("axis") == 1
    assert kinds.count("ok") == kinds.count("wrong") == 2
    assert [kind for kind in kinds if kind and kind.startswith("circuit")] == [
        "circuit closed",
        "circuit open",
        "circuit half-open",
        "circuit closed",
    ]


def test_the_picture_has_the_numbers_of_both_runs_for_every_tenth(drawn):
    kinds = [element.get("class") for element in drawn.iter()]
    assert kinds.count("hover") == 40
    words = "".join(drawn.itertext())
    assert (
        "2.0 s. boto3: 1 answered, 0 from cache, 0 failed, 0 wrong, 0 requests, longest wait 2.00 s. other: 1 " in words
    )


def test_nothing_that_is_drawn_is_outside_the_picture(drawn):
    _, _, width, height = map(float, drawn.get("viewBox").split())
    for element in drawn.iter():
        for name, most in (("x", width), ("x1", width), ("x2", width), ("y", height), ("y1", height), ("y2", height)):
            assert 0 <= float(element.get(name, 0)) <= most


def test_every_colour_of_the_page_has_its_word_in_the_legend(html):
    legend = html.split('<ul class="legend">')[1].split("</ul>")[0]
    for kind in ("ok", "cached", "failed", "wrong", "outage", "circuit closed", "circuit half-open", "circuit open"):
        assert legend.count(f'class="{kind}"') == 1
    colours = [colour for rule in CHART.splitlines() for colour in re.findall(r"fill: (#\w+)", rule)]
    assert len(colours) == len(set(colours)) == 6  # the four ends of a call, requests, circuits


def test_wide_windows_and_narrow_ones_have_a_picture_each(html):
    assert re.findall(r'class="timeline (\w+)"', html) == ["wide", "narrow"]
    assert ".narrow { display: none; }" in html


def test_notes_of_the_machine_stand_above_the_table(made_up_run):
    html = page(make_scenario(read_airports(50), 1), [made_up_run], [], ["slow <here>"], footer="")
    assert html.index('<p class="note">slow &lt;here&gt;</p>') < html.index("<table>")


@pytest.mark.parametrize(("value", "end"), [(0, 2), (1, 2), (2, 2), (3, 4), (9, 10), (11, 20), (41, 60), (999, 1000)])
def test_axes_end_at_round_numbers(value, end):
    assert nice(value) == end


def test_waits_are_placed_on_a_logarithmic_scale_that_holds_them_all():
    assert wait_share(0.0) == wait_share(0.001) == 0.0
    assert wait_share(30.0) == wait_share(1000.0) == pytest.approx(1.0)
    assert wait_share(0.1) - wait_share(0.01) == pytest.approx(wait_share(1.0) - wait_share(0.1))


def test_text_and_attributes_are_escaped():
    assert (
        tag("a", "<&>", class_='"x"', stroke_width=2) == '<a class="&quot;x&quot;" stroke-width="2">&lt;&amp;&gt;</a>'
    )
    assert tag("rect", x=1) == '<rect x="1"/>'


def test_faults_are_written_with_what_was_chosen():
    assert fault_words(faults.Throttle(rate=0.05)) == "Throttle(rate=0.05)"
    assert fault_words(faults.LoseReply(operations={"UpdateItem"})) == "LoseReply(operations=UpdateItem)"
    assert fault_words(faults.Outage(start=3.0, duration=3.0)) == "Outage(start=3, duration=3)"
