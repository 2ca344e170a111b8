"""`resilient-ddb load --shards` writes what `table.sharded(...)` reads."""

import json

import pytest

import resilient_ddb as rddb
from resilient_ddb.cli.bulk import load as load_module
from resilient_ddb.cli.bulk.errors import BulkError
from resilient_ddb.cli.bulk.limits import KeyAttribute
from resilient_ddb.cli.bulk.options import Access, LoadOptions
from resilient_ddb.cli.bulk.prepare import Preparation
from resilient_ddb.testing import FaultProxy, faults

ROWS = [{"pk": "day", "sk": f"{number:03}", "n": number} for number in range(200)]


@pytest.fixture
def events(make, tmp_path):
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return make(sort_key="sk")


def stored(table):
    return table.plain.scan(ConsistentRead=True)["Items"]


def test_what_was_loaded_is_found_by_the_sharded_table(command, events):
    assert command("load", *events.to, "events.jsonl", "--shards", "4").code == 0
    assert len({item["pk"] for item in stored(events)}) == 4
    layout = rddb.ShardLayout(4, by="sk")
    assert {(item["pk"], item["sk"]) for item in stored(events)} == {
        (layout.stored_key(row["pk"], row), row["sk"]) for row in ROWS
    }
    table = rddb.table(events.name, endpoint_url=events.url, region_name="eu-west-1").sharded(4)
    assert table.get_item(Key={"pk": "day", "sk": "007"})["Item"]["n"] == 7
    found = table.query(KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": "day"})["Items"]
    assert [item["sk"] for item in found] == [row["sk"] for row in ROWS]


def test_rows_that_are_written_again_meet_their_own_items(command, events, monkeypatch):
    monkeypatch.setattr(load_module, "_STRETCH_ROWS", 30)
    options = ("--shards", "4", "--shard-by", "n", "--shard-separator", "|", "--shard-pad", "2", "--max-workers", "1")
    with FaultProxy(events.url) as proxy:
        where = (events.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1")
        proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", operations={"BatchWriteItem"}, every=6)]
        assert command("load", *where, "events.jsonl", *options).code == 4
        proxy.plan = []
        assert "differs in shards" in command("load", *where, "events.jsonl", *options, "--shards", "5").err
        assert command("load", *where, "events.jsonl", *options).code == 0
    assert len(stored(events)) == len(ROWS)
    assert {item["pk"] for item in stored(events)} == {"day|00", "day|01", "day|02", "day|03"}


def test_rows_without_a_place_in_a_shard_are_refused(command, events, tmp_path, monkeypatch):
    rows = [{"pk": "a#b", "sk": "1"}, {"pk": "a", "sk": "2"}, {"pk": "a", "sk": "3", "by": "x"}]
    (tmp_path / "odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = command("load", *events.to, "odd.jsonl", "--shards", "2", "--shard-by", "by")
    assert done.code == 3
    assert len(stored(events)) == 1
    found = command("load", *events.to, "odd.jsonl", "--shards", "2", "--shard-by", "by", "--dry-run")
    assert (found.code, "refused     2" in found.out) == (3, True)
    assert "must not contain the separator" in done.err
    assert "must have the attribute 'by'" in done.err


def test_a_row_that_dynamodb_refuses_is_found_again_under_its_shards_key(command, events, tmp_path, monkeypatch):
    monkeypatch.setattr("resilient_ddb.cli.bulk.prepare.check_item", lambda _item, _keys: 100)
    (tmp_path / "odd.jsonl").write_text('{"pk": "a", "sk": "1"}\n{"pk": "a", "sk": "2", "": 0}\n')
    done = command("load", *events.to, "odd.jsonl", "--shards", "2")
    assert done.code == 3
    assert "odd.jsonl, line 2: " in done.err


def test_without_a_sort_key_the_attribute_must_be_given(command, make, tmp_path):
    (tmp_path / "events.jsonl").write_text('{"pk": "a"}\n')
    table = make()
    for more in ((), ("--dry-run",)):
        done = command("load", *table.to, "events.jsonl", "--shards", "4", *more)
        assert (done.code, "--shards needs --shard-by" in done.err) == (2, True)


def test_the_key_alone_chooses_no_shard(command, events):
    for more in ((), ("--dry-run",)):  # the table that is sharded so refuses it as well
        done = command("load", *events.to, "events.jsonl", "--shards", "4", "--shard-by", "pk", *more)
        assert done.code == 1
        assert "--shards: by must name an attribute in which the items of one key differ: by 'pk' alone" in done.err
    assert stored(events) == []


def test_a_key_that_takes_no_suffix_is_said_at_once():
    options = LoadOptions(files=["events.jsonl"], access=Access(table="t"), shards=4, shard_by="x")
    keys = (KeyAttribute(name="id", kind="N", role="the table's partition key", max_bytes=2048),)
    with pytest.raises(BulkError, match="'id', the table's partition key, is no string"):
        Preparation(options, keys)
