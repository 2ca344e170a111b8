"""The parts of the benchmarks that compute: no timing is asserted anywhere."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
import zlib
from decimal import Decimal

import pytest

from benchmarks import bulk_writes, chart, contenders, driver, fan_in, figures, hot_key, items, report, scenarios, stub
from benchmarks.__main__ import choose
from benchmarks.processes import last_line

BASE, OURS = "boto3 1.43 Table", "resilient_ddb Table, boto3 1.43"


FACTS = {"ttl": True, "past": 120, "through": {"the first call": 6}}


def samples(*values):
    return [None if value is None else {"cpu": value} for value in values]


def a_document(**figure):
    entry = {"base": BASE, "async": False, "typed": False, "ours": False, "facts": {}, "versions": {"boto3": "1.43.9"}}
    shown = {"median": 0.0005, "ratio": 0.6, "low": 0.5, "high": 0.7, "rounds": 5} | figure
    base = {"median": 0.0008, "ratio": 1.0, "low": 1.0, "high": 1.0, "rounds": 5}
    return {
        "date": "2025-03-14",
        "python": "3.11",
        "machine": "M",
        "load": 0.25,
        "contenders": {BASE: entry, OURS: {**entry, "ours": True, "facts": FACTS}},
        "scenarios": {"get_item": {"title": "get_item, <0.9 KB>", "metrics": ["cpu"], "in_chart": True}},
        "figures": {"get_item": {BASE: {"cpu": base}, OURS: {"cpu": shown}}},
        "own": {OURS: {"decisions": 7.5e-6, "overrun": 0.004}},
        "missing": {"aioboto3": "no such version"},
        "refused": {"pydynox": "get_item gives something else than the items"},
        "failed": {OURS: {"query": "it broke"}},
    }


def test_an_item_has_twenty_attributes_and_the_stated_size():
    item = items.native()
    assert len(item) == 20
    assert {type(value) for value in item.values()} == {str, bool, Decimal, dict, list}
    assert len(items.encode(items.typed(item))) == items.ITEM_BYTES
    assert all(len(items.encode(items.typed(each))) == items.BATCH_ITEM_BYTES for each in items.batch())
    assert len(items.batch()) == 25


def test_items_differ_and_are_the_same_in_every_process():
    assert items.native(3) == items.native(3)
    assert len({items.digest([item]) for item in items.several()}) == items.SEVERAL
    assert len({item["total"] for item in items.several()}) > items.SEVERAL / 2
    assert items.native()["total"] == Decimal("708.04")


def test_a_page_is_as_full_as_it_can_be():
    page = items.page()
    body = items.encode({"Items": page, "Count": len(page), "ScannedCount": len(page)})
    assert items.PAGE_BYTES - items.ITEM_BYTES - 8 <= len(body) <= items.PAGE_BYTES
    assert len({item["sk"]["S"] for item in page}) == len(page) == 1138


def test_items_in_turn_begin_anew_after_the_last():
    given = items.InTurn(lambda: [1, 2])
    assert [given() for _ in range(5)] == [1, 2, 1, 2, 1]


def test_typed_items_come_back_as_they_were():
    assert items.untyped(items.typed(items.native(7))) == items.native(7)
    with pytest.raises(TypeError, match="no typed form"):
        items.typed({"a": object()})


def test_a_digest_is_of_values_and_not_of_number_types():
    assert items.digest([{"a": Decimal("2.50"), "b": Decimal(3)}]) == items.digest([{"b": 3, "a": 2.5}])
    assert items.digest([{"a": Decimal(1)}]) != items.digest([{"a": "1"}])
    assert items.digest([{"a": True}]) != items.digest([{"a": 1}])
    assert items.digest([{"a": 1}, {"a": 2}]) != items.digest([{"a": 2}, {"a": 1}])


def test_the_stub_answers_with_the_headers_of_dynamodb():
    for operation, answer in ((name, each) for name, several in stub.answers().items() for each in several):
        head, _, body = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        assert head.startswith(b"HTTP/1.1 200 OK\r\n"), operation
        assert int(headers["Content-Length"]) == len(body)
        assert int(headers["x-amz-crc32"]) == zlib.crc32(body)
        assert {"Server", "Date", "Content-Type", "Connection", "x-amzn-RequestId"} < set(headers)
        json.loads(body)


def test_requests_are_split_wherever_they_were_cut():
    whole = b"POST / HTTP/1.1\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\ncontent-length: 4\r\n\r\nbody"
    for cut in range(len(whole)):
        assert stub.split(whole[:cut]) is None
    head, body, rest = stub.split(whole + b"POST")
    assert head.endswith(b"content-length: 4")
    assert (body, rest) == (b"body", b"POST")
    assert stub.split(b"GET /last/PutItem HTTP/1.1\r\n\r\n") == (b"GET /last/PutItem HTTP/1.1", b"", b"")


def test_a_ratio_is_of_medians_and_its_quartiles_are_of_rounds():
    measured = {"base": samples(1.0, 2.0, 4.0), "ours": samples(0.5, 1.5, 1.0)}
    figure = figures.figure(measured, "ours", "base", "cpu")
    assert (figure.median, figure.ratio, figure.rounds) == (1.0, 0.5, 3)
    assert figures.round_ratios(measured, "ours", "base", "cpu") == [0.5, 0.75, 0.25]
    assert (figure.low, figure.high) == (0.375, 0.625)
    assert figures.figure(measured, "base", "base", "cpu").ratio == 1.0


def test_rounds_that_failed_are_left_out():
    measured = {"base": samples(None, 2.0, 2.0), "ours": samples(1.0, None, 3.0)}
    figure = figures.figure(measured, "ours", "base", "cpu")
    assert (figure.median, figure.ratio, figure.rounds) == (2.0, 1.0, 2)
    assert (figure.low, figure.high) == (1.5, 1.5)
    assert figures.figure(measured, "nobody", "base", "cpu") is None
    assert figures.figure(measured, "ours", "nobody", "cpu").ratio is None


@pytest.mark.parametrize(
    ("value", "metric", "expected"),
    [
        (0.00086, "cpu", "860 µs"),
        (0.1465, "wall", "146.5 ms"),
        (1183.6, "rate", "1184/s"),
        (20.84e6, "bytes", "20.8 MB"),
    ],
)
def test_an_amount_has_its_unit(value, metric, expected):
    assert report.amount(value, metric) == expected


def test_the_tables_have_ratios_and_what_was_left_out():
    for render in (report.text, report.markdown):
        text = render(a_document())
        assert text.startswith("Measured on 2025-03-14: Python 3.11, M; load average 0.2 before the run.")
        assert "800 µs" in text
        assert "0.60 (0.50-0.70)" in text
        assert "7.5 µs" in text
        assert f"TTL: {OURS} on" in text.replace(f"{BASE} not there, ", "")
        assert f"{OURS}: 120 calls went past the SDK's inside, and through it 6 (the first call)." in text
        for words in ("aioboto3: no such version", "pydynox: get_item gives something else", "query: it broke"):
            assert words in text
    assert "0.60 |" in report.markdown(a_document(rounds=1))


def test_results_come_between_the_markers_and_nothing_else_changes():
    page = f"before\n\n{report.BEGIN}\nold\n{report.END}\n\nafter\n"
    filled = report.fill(page, "new")
    assert filled == f"before\n\n{report.BEGIN}\n\nnew\n\n{report.END}\n\nafter\n"
    assert report.fill(filled, "new") == filled
    with pytest.raises(ValueError, match="the page has no"):
        report.fill("no markers", "new")


def test_the_chart_is_xml_with_a_title_and_a_bar_as_long_as_its_ratio():
    root = ET.fromstring(chart.svg(a_document()))  # noqa: S314 - our own
    names = {"svg": "http://www.w3.org/2000/svg"}
    assert "measured against boto3" in root.find("svg:title", names).text
    [bar] = [rect for rect in root.findall("svg:rect", names) if rect.get("class") == "ours"]
    line = root.find("svg:line", names)
    assert float(bar.get("width")) == pytest.approx(0.6 * (float(line.get("x1")) - float(bar.get("x"))))
    assert any(text.text == "get_item, <0.9 KB>: CPU time" for text in root.findall("svg:text", names))
    style = root.find("svg:style", names).text
    assert "prefers-color-scheme: dark" in style
    assert "currentColor" in style


def test_contenders_name_environments_and_base_lines_that_exist():
    everybody = contenders.contenders()
    names = [each.name for each in everybody]
    environments = [each.name for each in contenders.environments()]
    assert len(set(names)) == len(names)
    for at, each in enumerate(everybody):
        assert each.environment in environments
        assert each.base in names[: at + 1]
    for environment in contenders.environments():
        for other in environment.same.values():
            assert environments.index(other) < environments.index(environment.name)


def test_a_base_line_comes_along_with_who_is_chosen():
    chosen, measured = choose(["aiodynamo", "query"])
    assert [each.name for each in chosen] == ["aioboto3 Table", "aiodynamo"]
    assert [each.name for each in measured] == ["query"]
    assert choose([]) == (contenders.contenders(), list(scenarios.SCENARIOS))
    with pytest.raises(ValueError, match="'nobody' is no scenario"):
        choose(["nobody"])


def test_written_items_are_read_from_a_request_whatever_their_order():
    puts = [{"PutRequest": {"Item": items.typed(each)}} for each in reversed(items.batch())]
    assert driver.written({"RequestItems": {items.TABLE: puts}}) == items.batch()
    assert driver.written({"Item": items.typed(items.native())}) == [items.native()]


def test_the_reason_of_a_failure_is_its_last_line_that_says_something():
    assert last_line("Traceback:\n  here\nKeyError: 'a'\n\n") == "KeyError: 'a'"
    assert last_line("\n") == ""


def test_bulk_writes_are_measured_over_the_same_items():
    written = {"boto3": [], "ours": []}
    writers = {name: lambda first, count, to=to: to.append((first, count)) for name, to in written.items()}
    taken = bulk_writes.measure(writers, 120, turn=50)
    assert set(taken) == set(writers)
    assert written["boto3"] == written["ours"] == [(0, 25), (0, 50), (50, 50), (100, 20)]


@pytest.mark.long
def test_a_hot_key_throttles_and_ten_shards_take_it():
    assert hot_key.throttled(None, seconds=1.0) == pytest.approx(0.6, abs=0.01)  # a second's worth was saved up
    assert hot_key.throttled(hot_key.SHARDS, seconds=1.0) == 0


def test_a_fan_in_holds_a_page_of_each_shard():
    found = fan_in.iterate(3_000)
    assert found["items"] == 30_000
    assert found["held"] <= fan_in.SHARDS * fan_in.ITEMS_A_PAGE
