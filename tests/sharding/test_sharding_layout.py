"""`ShardLayout`: how items are laid out, as a value that needs no table; and what `sharded(...)` takes beside it."""

from __future__ import annotations

import copy
import pickle
from collections import UserDict
from dataclasses import FrozenInstanceError, replace
from types import SimpleNamespace

import pytest

import resilient_ddb as rddb
from resilient_ddb.sharding import RANDOM
from resilient_ddb.sharding.shard_layout import ShardLayout
from resilient_ddb.sync.sharded_tables import ShardedTable
from resilient_ddb.sync.tables import ResilientTable

METADATA = {"ResponseMetadata": {"HTTPStatusCode": 200}}


def schema(*names):
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)]


class Table:
    """What `ShardedTable` needs of a table: its keys, asked for once they are needed, and its puts."""

    name = "t"

    def __init__(self, *names, indexes=()):
        self.puts, self.described = [], 0
        self.meta = SimpleNamespace(client=SimpleNamespace(describe_table=self.describe, meta=SimpleNamespace()))
        self.keys = names
        self.indexes = [{"IndexName": name, "KeySchema": schema(name)} for name in indexes]

    def describe(self, **_):
        self.described += 1
        return {"Table": {"KeySchema": schema(*self.keys), "GlobalSecondaryIndexes": self.indexes}}

    def put_item(self, Item, **_):
        self.puts.append(Item)
        return dict(METADATA)

    def sharded(self, *arguments, **options):
        return ResilientTable.sharded(self, *arguments, **options)


# The value.


def test_it_is_to_be_had_at_the_top():
    assert rddb.ShardLayout is ShardLayout
    assert "ShardLayout" in rddb.__all__


def test_a_stored_key_is_told_without_a_table():
    layout = rddb.ShardLayout(10, by="order_id")
    item = {"order_id": "o-1", "other": 1.5}
    assert layout.stored_key("acme", item) == "acme#1"  # must never change: items are found by it
    assert layout.shard_of("acme", item) == layout.shard_of("acme#1") == 1
    assert layout.key_of("acme#1") == "acme"
    assert layout.stored_keys("acme") == [f"acme#{number}" for number in range(10)]
    assert layout.shard_of("acme") is layout.shard_of("acme#10") is layout.shard_of(5) is None


def test_separator_padding_and_earlier_shards_are_part_of_it():
    layout = rddb.ShardLayout(4, by=["order_id"], separator="|", pad=3, previous=[1])
    stored = layout.stored_key("acme#a", {"order_id": "o-1"})
    assert stored in layout.stored_keys("acme#a")[:4]
    assert layout.stored_keys("acme#a") == ["acme#a|000", "acme#a|001", "acme#a|002", "acme#a|003", "acme#a"]
    assert layout.key_of(stored) == "acme#a"


def test_an_attribute_of_its_own_holds_numbers_as_text():
    layout = rddb.ShardLayout(4, by="id", key="day", attribute="day_shard")
    stored = layout.stored_key(20261121, {"id": "x"})
    assert stored in layout.stored_keys(20261121) == [f"20261121#{number}" for number in range(4)]
    assert layout.shard_of(20261121, {"id": "x"}) == layout.shard_of(stored)


@pytest.mark.parametrize(("by", "says"), [(None, "knows no table's sort key"), (RANDOM, "drawn at each put")])
def test_a_shard_that_is_not_calculated_is_not_told(by, says):
    layout = rddb.ShardLayout(4, by=by)
    for ask in (layout.stored_key, layout.shard_of):
        with pytest.raises(ValueError, match=f"by must name the attributes .*{says}"):
            ask("a", {"sk": "1"})
    assert layout.shard_of("a#3") == 3  # this needs no attribute


def test_what_is_missing_or_takes_no_suffix_is_told():
    layout = rddb.ShardLayout(4, by="id")
    with pytest.raises(ValueError, match="must have the attribute 'id'"):
        layout.stored_key("a", {})
    with pytest.raises(ValueError, match="must not contain the separator"):
        layout.stored_key("a#b", {"id": "1"})
    with pytest.raises(TypeError, match="must be a string, to have a suffix"):
        layout.stored_key(5, {"id": "1"})


def test_it_is_frozen():
    shards = {"whale": 4}
    layout = rddb.ShardLayout(shards, by="id", previous=[2])
    with pytest.raises(FrozenInstanceError):
        layout.pad = 2
    shards["minnow"] = 8
    assert layout.stored_keys("minnow") == ["minnow", "minnow#0", "minnow#1"]
    assert rddb.ShardLayout(UserDict({"whale": 4})).stored_keys("whale") == layout.stored_keys("whale")[:4]


@pytest.mark.parametrize("by", [None, RANDOM, "id", ("id", "n")])
@pytest.mark.parametrize("shards", [4, {"whale": 4}])
def test_it_is_compared_hashed_copied_and_pickled(by, shards):
    layout = rddb.ShardLayout(shards, by=by, previous=(2, {"whale": 3}))
    others = [rddb.ShardLayout(shards, by=by, previous=[2, {"whale": 3}]), copy.deepcopy(layout), replace(layout)]
    for other in (*others, pickle.loads(pickle.dumps(layout))):  # noqa: S301 - our own
        assert (other, hash(other), repr(other)) == (layout, hash(layout), repr(layout))
        assert (other.by is RANDOM) == (by is RANDOM)
    assert replace(layout, pad=2) != layout
    assert rddb.ShardLayout(4, by="id") == rddb.ShardLayout(4, by=("id",))
    assert repr(rddb.ShardLayout(4, by=RANDOM)).startswith("ShardLayout(shards=4, by=resilient_ddb.sharding.RANDOM, ")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"key": ""}, "key must be the name of an attribute"),
        ({"key": "day", "attribute": 5}, "shard_attribute must be the name of an attribute"),
        ({"attribute": "day_shard"}, "key must name the attribute whose values are spread"),
        ({"by": "day", "key": "day"}, "by 'day' alone"),
        ({"by": [RANDOM]}, r"by must be the name .*or resilient_ddb\.sharding\.RANDOM"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings, says):
    with pytest.raises((TypeError, ValueError), match=says):
        rddb.ShardLayout(4, **settings)


# What a table makes of it.


def test_a_table_that_is_given_one_asks_nothing_and_stores_what_it_says():
    layout = rddb.ShardLayout(10, by="order_id", pad=2)
    table = Table("pk", "sk")
    docs = table.sharded(layout, on_shard_error="skip")
    assert table.described == 0
    assert isinstance(docs, ShardedTable)
    assert repr(layout) in repr(docs)
    item = {"pk": "acme", "sk": "1", "order_id": "o-1"}
    docs.put_item(Item=item)
    assert table.puts == [{**item, "pk": layout.stored_key("acme", item)}]


@pytest.mark.parametrize("given", [{}, {"by": "sk"}, {"previous": (2,)}, {"pad": 3}])
def test_setting_by_setting_is_the_same_as_whole(given):
    table = Table("pk", "sk")
    assert repr(table.sharded(10, **given)) == repr(table.sharded(rddb.ShardLayout(10, **given)))


@pytest.mark.parametrize(
    "given", [{"by": "sk"}, {"by": RANDOM}, {"separator": "|"}, {"pad": 1}, {"previous": (1,)}, {"key": "x"}]
)
def test_a_setting_beside_a_layout_is_refused(given):
    [name] = given
    with pytest.raises(TypeError, match=rf"{name} must be left out beside a ShardLayout.*replace\(layout, {name}="):
        Table("pk", "sk").sharded(rddb.ShardLayout(4), **given)
    with pytest.raises(TypeError, match="shard_attribute must be left out"):
        Table("pk", "sk").sharded(rddb.ShardLayout(4), shard_attribute="x")


def stored_by(table, docs, items):
    for item in items:
        docs.put_item(Item=item)
    return {(item["pk"], item.get("sk")) for item in table.puts}


SAME = [{"pk": "a", "sk": "1", "n": number} for number in range(40)]


def test_by_default_the_sort_key_tells_the_shard():
    table = Table("pk", "sk")
    assert stored_by(table, table.sharded(10), SAME) == {(rddb.ShardLayout(10, by="sk").stored_key("a", SAME[0]), "1")}
    others = [{"pk": "a", "sk": str(number)} for number in range(40)]
    assert len({key for key, _ in stored_by(table, table.sharded(10), others)}) > 5


def test_random_is_said_in_words():
    table = Table("pk", "sk")
    assert len(stored_by(table, table.sharded(10, by=RANDOM), SAME)) > 2


@pytest.mark.parametrize(
    ("table", "options"),
    [
        (Table("pk"), {}),
        (Table("pk"), {"previous": (2,)}),
        (Table("pk"), {"shards": {"whale": 4}}),
        (Table("pk", indexes=["day"]), {"key": "day"}),
        (Table("pk", "sk", indexes=["s"]), {"key": "sk", "shard_attribute": "s"}),
    ],
)
def test_without_a_sort_key_it_must_be_said(table, options):
    docs = table.sharded(**{"shards": 4, **options})
    for _ in range(2):
        with pytest.raises(ValueError, match=r"by must be given .*resilient_ddb\.sharding\.RANDOM"):
            docs.put_item(Item={"pk": "a", "sk": "1", "day": "x"})
    assert table.puts == []


def test_an_index_is_spread_by_the_tables_sort_key():
    table = Table("pk", "sk", indexes=["day"])
    table.sharded(4, key="day").put_item(Item={"pk": "a", "sk": "1", "day": "x"})
    assert table.puts == [{"pk": "a", "sk": "1", "day": rddb.ShardLayout(4, by="sk").stored_key("x", {"sk": "1"})}]


def test_where_the_keys_change_so_does_the_default():
    table = Table("pk", "sk")
    docs = table.sharded(1000)
    docs.put_item(Item={"pk": "a", "sk": "1"})
    table.keys = ("pk", "at")  # it was deleted, and made anew
    docs.put_item(Item={"pk": "a", "at": "2"})
    assert table.puts[1]["pk"] == rddb.ShardLayout(1000, by="at").stored_key("a", {"at": "2"})


# Names.


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_partial", "on_shard_error, 'raise' or 'skip'"),
        ("unknown_shard", "on_unknown_shard, 'find' or 'raise'"),
        ("attribute", "shard_attribute"),
        ("num_shards", "shards"),
    ],
)
def test_a_name_that_is_meant_for_another_is_told(name, meant):
    with pytest.raises(TypeError, match=rf"sharded\(\) has no argument '{name}'; did you mean {meant}\?"):
        Table("pk", "sk").sharded(4, **{name: "x"})


def test_any_other_name_is_refused():
    with pytest.raises(TypeError, match=r"sharded\(\) has no argument 'wibble'; it takes shards, by, key,"):
        Table("pk", "sk").sharded(4, wibble=1)


@pytest.mark.parametrize(
    "options", [{"on_shard_error": "return"}, {"on_unknown_shard": "refuse"}, {"on_duplicate": None}]
)
def test_a_value_that_is_none_is_refused(options):
    [name] = options
    with pytest.raises((TypeError, ValueError), match=f"^{name} must be .*'raise'"):
        Table("pk", "sk").sharded(4, **options)


def test_the_module_holds_three_names():
    assert set(dir(rddb.sharding)) == set(rddb.sharding.__all__) == {"RANDOM", "ReshardReport", "time_buckets"}
    with pytest.raises(AttributeError, match=r"no attribute 'reshard'; call reshard\(partition_keys\) of the sharded"):
        rddb.sharding.reshard  # noqa: B018 - asked for
