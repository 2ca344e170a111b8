"""DynamoDB JSON in all the forms that people have: AWS's export, items alone, the output of `aws dynamodb scan`."""

import gzip
import io
import json
from types import SimpleNamespace

import pytest

from resilient_ddb.cli.bulk import load as load_module
from resilient_ddb.cli.bulk import scan_rows
from resilient_ddb.cli.bulk.errors import BulkError
from resilient_ddb.cli.bulk.json_rows import dynamodb_json, is_dynamodb_json
from resilient_ddb.cli.bulk.limits import MAX_LINE_BYTES
from resilient_ddb.cli.bulk.scan_rows import is_scan_output
from resilient_ddb.cli.bulk.sources import Position, Source
from resilient_ddb.testing import FaultProxy, faults


def typed(number):
    return {"pk": {"S": f"{number}"}, "n": {"N": f"{number}.50"}, "ss": {"SS": ["a"]}, "m": {"M": {"t": {"S": "é]}"}}}}


ITEMS = [typed(number) for number in range(5)]
DOCUMENT = {"Items": ITEMS, "Count": 5, "ScannedCount": 5, "ConsumedCapacity": None}
PAGES = [
    {"Items": ITEMS[:2], "Count": 2, "ScannedCount": 2, "LastEvaluatedKey": {"pk": {"S": "1"}}},
    {"Items": [], "Count": 0, "ScannedCount": 9, "LastEvaluatedKey": {"pk": {"S": "1"}}},
    {"ResponseMetadata": {"RetryAttempts": 0}, "Count": 3, "Items": ITEMS[2:], "ScannedCount": 3},
]
FORMS = {
    "export": "".join(json.dumps({"Item": item}) + "\n" for item in ITEMS),
    "items alone": "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in ITEMS),
    "scan": json.dumps(DOCUMENT, indent=4),
    "scan with a BOM": "\ufeff" + json.dumps(DOCUMENT, indent=4, ensure_ascii=False),
    "scan in one line": json.dumps(DOCUMENT),
    "sorted": json.dumps(DOCUMENT, sort_keys=True, indent=2),
    "pages": "\n".join(json.dumps(page, indent=4) for page in PAGES),
    "pages in lines": "".join(json.dumps(page) + "\n" for page in PAGES),
    "carriage returns": json.dumps(DOCUMENT, indent=4).replace("\n", "\r\n"),
}


@pytest.mark.parametrize(
    ("name", "form"),
    [*(("items.json", form) for form in FORMS), *((name, "scan") for name in ("items.json.gz", "-", "items.txt"))],
)
def test_every_form_is_read(name, form, command, table, tmp_path, monkeypatch):
    text = FORMS[form].encode()
    if name == "-":
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    else:
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    done = command("load", *table.to, name)
    assert (done.code, "5 items written" in done.err) == (0, True), done.err
    assert len(table.stored()) == 5
    assert table.stored()["3"]["m"] == {"t": "é]}"}


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Return a function that reads a text as DynamoDB JSON, a few bytes at a time."""
    monkeypatch.setattr(scan_rows, "_READ_BYTES", 7)
    sources = []

    def read(text, position=Position()):  # noqa: B008 - it can't change
        (tmp_path / "items.json").write_bytes(text)
        sources.append(Source(str(tmp_path / "items.json")))
        return dynamodb_json(sources[-1], position)

    yield read
    for source in sources:
        source.close()


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("export", "items alone")])
def test_reading_goes_on_behind_every_item(form, rows):
    text = FORMS[form].encode()
    reader = rows(text)
    found, places = [], []
    for row in reader:
        found.append(row)
        places.append(reader.position)
    assert [row.item["pk"] for row in found] == ["0", "1", "2", "3", "4"]
    assert [row.number for row in found] == [1, 2, 3, 4, 5]
    assert all(json.loads(row.text) == item for row, item in zip(found, ITEMS, strict=True))
    lines = text.split(b"\n")
    for number, (row, place) in enumerate(zip(found, places, strict=True)):
        assert text[: place.offset].endswith(row.text)
        assert b"{" in lines[row.line - 1]
        again = rows(text, place)
        assert [later.item for later in again] == [later.item for later in found[number + 1 :]]
        assert again.position.row == 5


def test_a_load_of_it_that_is_stopped_goes_on(command, table, tmp_path, monkeypatch):
    monkeypatch.setattr(load_module, "_STRETCH_ROWS", 50)
    (tmp_path / "items.json").write_text(json.dumps({"Items": [typed(number) for number in range(300)]}, indent=4))
    with FaultProxy(table.url) as proxy:
        through = (table.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1")
        proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", operations={"BatchWriteItem"}, every=7)]
        assert command("load", *through, "items.json").code == 4
        proxy.plan = []
        done = command("load", *through, "items.json")
    assert (done.code, "rows were done before" in done.err) == (0, True)
    assert len(table.stored()) == 300


BAD_ITEMS = [
    (b'{"pk": {"X": "a"}}', "type that DynamoDB has not"),
    (b'{"pk": {"S": "a"}, "pk": {"S": "b"}}', "has 'pk' twice"),
    (b'{"pk": {"S": "\xff"}}', "not UTF-8"),
    (b'{"pk": {"N": "1e400"}}', "range"),
    (b'{"pk": ' + b"9" * 5000 + b"}", "longer than 512"),
    (b"5", "not a JSON object"),
    (b'{"pk": {"S": "a\x01"}}', "not JSON"),
]


@pytest.mark.parametrize(("item", "says"), BAD_ITEMS)
def test_a_bad_item_is_refused_and_the_next_one_read(item, says, rows):
    head = b'{"Items": [{"pk": {"S": "a"}}, '
    before, bad, after = rows(head + item + b', {"pk": {"S": "b"}}], "Count": 3}')
    assert (before.item, after.item) == ({"pk": "a"}, {"pk": "b"})
    assert (bad.item, says in bad.reason) == (None, True)
    assert bad.text == item


@pytest.mark.parametrize("cut", [40, 58, 60, 75, 80])
def test_a_file_that_is_cut_ends_with_a_row_that_says_so(cut, rows):
    text = json.dumps({"Items": [{"pk": {"S": "a"}}, {"pk": {"S": "b"}}, {"pk": {"S": "c"}}], "Count": 3})[:cut]
    *whole, last = rows(text.encode())
    assert [row.item["pk"] for row in whole] == ["a", "b", "c"][: len(whole)]
    assert (last.item, "not whole" in last.reason) == (None, True)
    assert text.endswith(last.text.decode())


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        (b'], "pk": "x"}', "'pk' beside a list of items"),
        (b"]}x", "'x' stands where"),
        (b'], "Count" 3}', "stands where"),
        (b', {"pk": {"S": "' + b"x" * (MAX_LINE_BYTES + 500_000) + b'"}}]}', "longer than"),
        (b", " + b"[" * 100_000, "nested far too deep"),
    ],
)
def test_what_can_not_be_told_apart_stops_the_load(rest, says, rows, monkeypatch):
    monkeypatch.setattr(scan_rows, "_READ_BYTES", 500_000)
    monkeypatch.setattr("resilient_ddb.cli.bulk.json_rows.is_scan_output", lambda _head: True)
    reader = iter(rows(b'{"Items": [{"pk": {"S": "a"}}' + rest))
    assert next(reader).item == {"pk": "a"}
    with pytest.raises(BulkError, match="can't be told apart") as raised:
        list(reader)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("text", "is_typed"),
    [
        *((text, True) for text in FORMS.values()),
        ('{"pk": "a", "m": {"S": "x"}}', False),
        ('{"Items": [1, 2], "pk": "a"}', False),
        ('{"Items": [{"sku": {"S": "x"}}], "pk": "a"}', False),
        ('{"Items": [{"sku": "x"}], "Count": 1}', False),
        ('{"pk": "a", "Items": []}', False),
        ("{}", False),
        ("", False),
        ("{", False),
        ('{"Items": [', False),
        ("[1]", False),
    ],
)
def test_the_form_is_told_by_the_beginning(text, is_typed):
    assert is_dynamodb_json(text.encode()) == is_typed


def test_a_long_scan_is_told_by_its_beginning():
    text = json.dumps({"Items": [typed(number) for number in range(2000)]}, indent=4).encode()
    assert all(is_scan_output(text[:size]) for size in (1000, 100_000, len(text) - 1, len(text)))
