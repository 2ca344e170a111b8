import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from resilient_ddb.cli.demo.airports import read_airports
from resilient_ddb.cli.demo.charts import Scales, nice, spans, tag, timeline, wait_share
from resilient_ddb.cli.demo.figures import figures
from resilient_ddb.cli.demo.report import fault_words, page, write_report
from resilient_ddb.cli.demo.scenario import make_scenario
from resilient_ddb.cli.demo.tally import tally
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
        assert f">{line.label}<" in html
    assert "Outage(start=" in html
    assert "seed 1" in html


def test_the_report_is_written_as_utf8(tmp_path, made_up_run):
    path = tmp_path / "report.html"
    write_report(path, make_scenario(read_airports(50), 1), [made_up_run], figures([tally(made_up_run)]))
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_picture_has_the_outage_the_circuit_and_a_word_for_every_tenth(made_up_run):
    svg = ET.fromstring(timeline(made_up_run, Scales.of([made_up_run])))  # noqa: S314 - our own text
    kinds = [element.get("class") for element in svg.iter()]
    assert kinds.count("outage") == 1
    assert [kind for kind in kinds if kind and kind.startswith("circuit")] == [
        "circuit closed",
        "circuit open",
        "circuit half-open",
        "circuit closed",
    ]
    assert kinds.count("hover") == 45
    words = "".join(svg.itertext())
    assert "3.0 s: 1 ok, 0 from cache, 0 failed, 0 requests, longest wait 2.00 s" in words


def test_spans_begin_closed_and_reach_to_the_end(made_up_run):
    assert spans(made_up_run.circuits, 4.5) == [
        ("closed", 0.0, 2.2),
        ("open", 2.2, 3.2),
        ("half-open", 3.2, 3.3),
        ("closed", 3.3, 4.5),
    ]
    assert spans([], 2.0) == [("closed", 0.0, 2.0)]


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
