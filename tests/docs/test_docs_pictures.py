"""The pictures say what the code says, have the page's colours, and are on a page."""

import re
import sys
import xml.etree.ElementTree as ET

import pytest
from listed import DOCS

import resilient_ddb as rddb


@pytest.fixture(scope="module")
def drawings():
    sys.path.insert(0, str(DOCS))
    try:
        return pytest.importorskip("pictures", reason="needs docutils, which comes with Sphinx")
    finally:
        sys.path.remove(str(DOCS))


NAMES = ["call", "circuit", "shards", "lost-reply"]


def texts(svg):
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 - our own


def test_each_picture_is_on_one_page(drawings):
    assert list(drawings.PICTURES) == NAMES
    used = [name for page in DOCS.glob("*.rst") for name in re.findall(r"\.\. picture:: (\S+)", page.read_text())]
    assert sorted(used) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_has_the_colours_of_the_page_and_a_title(drawings, name):
    svg = drawings.PICTURES[name]()
    assert set(re.findall(r"(?:fill|stroke): (\w+)", svg)) == {"currentColor", "none"}
    assert len(re.findall(r"<title>.{10,}</title>", svg)) == 1
    assert len(texts(svg)) > 5


def test_the_circuits_numbers_are_the_defaults(drawings):
    said = " ".join(texts(drawings.circuit()))
    rules = rddb.CircuitBreaker()
    for number in (rules.minimum_calls, rules.window_calls, rules.half_open_permits):
        assert f"{number}" in said
    assert "after 2 to 3 s" in said


def test_each_kind_of_failure_is_in_the_picture_of_a_call(drawings):
    said = " ".join(texts(drawings.call()))
    assert all(kind.value in said for kind in rddb.ErrorKind)
    assert f"{rddb.Retry().max_attempts} attempts" in said


def test_each_item_is_in_one_shard_and_once_in_the_merge(drawings):
    words = " ".join(texts(drawings.shards())).split()
    times = [f"09:{minute:02d}" for minute in range(9)]
    assert [words.count(at) for at in times[1:-1]] == [2] * 7


def test_what_is_sent_again_is_what_is_safe_to_repeat(drawings):
    again, not_again = drawings.sent_again()
    assert "PutItem, DeleteItem" in again
    assert "UpdateItem: ADD a number" in not_again
    assert {*again, *not_again} <= set(texts(drawings.lost_reply()))
