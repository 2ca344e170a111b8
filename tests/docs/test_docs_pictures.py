"""The pictures say what the code and the recorded runs say, are right in light and dark, and are on a page."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.util import find_spec

import pytest
from emulators import plain_client
from listed import DOCS

import resilient_ddb as rddb
from resilient_ddb.cli.demo.tally import Tally

ROOT = DOCS.parent


@pytest.fixture(scope="module")
def drawings():
    sys.path.insert(0, str(DOCS))
    try:
        return pytest.importorskip("pictures", reason="needs docutils, which comes with Sphinx")
    finally:
        sys.path.remove(str(DOCS))


DRAWN = ["call", "circuit", "shards", "lost-reply", "pauses", "lambda"]
RECORDED = ["load", "demo"]
NAMES = DRAWN + RECORDED


def texts(svg):
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 - our own


def test_each_picture_is_on_one_page(drawings):
    assert list(drawings.PICTURES) == NAMES
    used = [name for page in DOCS.glob("*.rst") for name in re.findall(r"\.\. picture:: (\S+)", page.read_text())]
    assert sorted(used) == sorted(NAMES)


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_has_the_colours_of_the_page(drawings, name):
    assert set(re.findall(r"(?:fill|stroke): (\w+)", drawings.PICTURES[name]())) == {"currentColor", "none"}


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_has_a_title_and_nothing_outside_it(drawings, name):
    svg = drawings.PICTURES[name]()
    tree = ET.fromstring(svg)  # noqa: S314 - our own
    _, _, width, height = map(float, tree.get("viewBox").split())
    assert len(tree.find("{http://www.w3.org/2000/svg}title").text) > 10
    assert len(texts(svg)) > 5
    for element in tree:
        assert 0 <= float(element.get("x", 0)) + float(element.get("width", 0)) <= width
        assert 0 <= float(element.get("y", 0)) + float(element.get("height", 0)) <= height


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_in_a_file_of_its_own_brings_its_colours_and_needs_nothing_else(drawings, name):
    svg = drawings.alone(drawings.PICTURES[name]())
    ET.fromstring(svg)  # noqa: S314 - our own
    assert "prefers-color-scheme: dark" in svg
    assert not re.search(r"url\(|href|@import|<script", svg)


def test_the_readmes_picture_and_numbers_are_those_of_the_recorded_run(drawings):
    assert (DOCS / "_static" / "demo.svg").read_text("utf-8") == drawings.alone(drawings.demo())
    readme = (ROOT / "README.md").read_text("utf-8")
    assert readme == drawings.fill_readme(readme)
    plain, _ = drawings.demo_tallies()
    assert f"counted {plain.counted_twice} calls twice" in readme
    assert "docs/_static/demo.svg" in readme


def test_the_picture_of_the_demo_says_what_was_counted(drawings):
    plain, ours = drawings.demo_tallies()
    assert isinstance(plain, Tally)
    assert ours.wrong == 0
    said = " ".join(filter(None, texts(drawings.demo())))
    assert f"boto3 was wrong {plain.wrong} times" in said
    assert f"{ours.failed_calls} calls failed with an error" in said


def test_the_readmes_ratios_are_those_of_the_page_on_performance():
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    told = re.search(
        r"`get_item` takes ([\d.]+) .*, a page of 1 MB ([\d.]+), and a batch ([\d.]+)\. "
        r"The first call .* takes ([\d.]+)\.",
        readme,
    )
    page = (DOCS / "performance.md").read_text("utf-8")
    rows = (
        "get_item, 0.9 KB",
        "query, a page of 1 MB",
        "batch_writer, 25 items of 1 KB",
        "import and first call, fresh process",
    )
    ratios = [
        re.search(rf"^\| {re.escape(row)}: CPU time \| [^|]+ \| ([\d.]+) ", page, re.MULTILINE)[1] for row in rows
    ]
    assert list(told.groups()) == ratios


def test_the_pauses_are_the_policys(drawings):
    said = texts(drawings.pauses())
    assert [text for text in said if text in ("25 ms", "50 ms", "5 s")] == ["25 ms", "50 ms", "5 s"]
    assert str(rddb.Retry().max_attempts) not in said  # after the last attempt there is none
    assert str(rddb.Retry().max_attempts - 1) in said


def test_the_picture_of_the_freeze_has_the_defaults(drawings):
    said = " ".join(texts(drawings.PICTURES["lambda"]()))
    assert f"waited over {rddb.Timeouts().connection_max_idle:g} s" in said
    assert "less 0.5 s" in said


def masked(lines):
    """Return lines without their numbers, and without those that say how far a load is."""
    return [re.sub(r"\d[\d,:.]*", "#", line) for line in lines if not re.match(r"\W*load orders", line)]


@pytest.mark.skipif(find_spec("rich") is None, reason="needs the extra `demo`")
def test_the_recorded_load_says_what_a_load_says(drawings, moto_server, table_name, tmp_path):
    record = pytest.importorskip("record", reason="needs a terminal, which Windows has not")
    recorded = drawings.recorded("load")[-1][1]
    plain_client(moto_server.endpoint_url).create_table(
        TableName=table_name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    (tmp_path / "orders.jsonl").write_text("".join(list(record.rows())[record.BAD_LINE - 50 : record.BAD_LINE + 50]))
    arguments = [table_name if argument == "orders" else argument for argument in record.COMMAND]
    environment = {"AWS_ENDPOINT_URL_DYNAMODB": moto_server.endpoint_url, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(  # noqa: S603 - this interpreter, and this package
        [sys.executable, "-m", "resilient_ddb", *arguments],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    told = masked(done.stderr.replace(table_name, "orders").splitlines())
    assert len(told) == 3
    assert told == masked(recorded)[-3:]
    assert recorded.count(f"$ resilient-ddb {' '.join(record.COMMAND)}") == 2


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
