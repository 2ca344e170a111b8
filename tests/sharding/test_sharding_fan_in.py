"""Reading many queries as one, held against a plain model: which items come, in which order, and where it goes on."""

import json
from decimal import Decimal
from functools import cmp_to_key

import pytest
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError
from fan_in_support import Shelf, making, page, rank, requested
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from resilient_ddb.calls.flows import run
from resilient_ddb.fallback.response_info import response_info
from resilient_ddb.sharding.fan_in_reading import joined_facts

NAMES = ["a#0", "a#1", "a#2", "a#3"]
SORT_KEYS = {
    "S": st.text("aßz\U0001f600￼", min_size=1, max_size=2),
    "N": st.integers(-3, 3) | st.sampled_from([Decimal("0.5"), Decimal("1E+3")]),
    "B": st.binary(min_size=1, max_size=2),
}


@st.composite
def shelves(draw, kinds=("S", "N", "B"), *, keeps=True, sort=True):
    """Draw sources; in a table a sort key comes once a source, in an index as often as it likes."""
    in_index, values = draw(st.booleans()), SORT_KEYS[draw(st.sampled_from(kinds))]
    if not sort:
        in_index = True
    sources, number = {}, 0
    for name in NAMES[: draw(st.integers(1, 4))]:
        keys = draw(st.lists(values, max_size=8, unique_by=None if in_index else rank))
        sources[name] = []
        for value in keys:
            item = {"id": f"{draw(st.integers(0, 99)):02}-{number}", "n": draw(st.integers(0, 2))}
            sources[name].append({**item, "sk": value} if sort else item)
            number += 1
    kept = draw(st.sets(st.integers(0, 2), min_size=1)) if keeps else {0, 1, 2}
    return Shelf(sources, lambda item: item["n"] in kept, in_index=in_index, most=draw(st.integers(1, 6)))


def expected(shelf, forward):
    """Return what one query would, over all sources: by sort key, then by source."""
    found = []
    for index, items in enumerate(shelf.sources.values()):
        kept = sorted(filter(shelf.keep, items), key=shelf.order, reverse=not forward)
        found += [(rank(item["sk"]) if "sk" in item else 0, index, item["id"]) for item in kept]
    position = {one: at for at, one in enumerate(found)}
    sign = _sign(forward)
    found.sort(key=lambda one: (sign(one[0]), one[1], position[one]))
    return [identity for _, _, identity in found]


def _sign(forward):
    def compare(one, other):
        return ((one > other) - (one < other)) * (1 if forward else -1)

    return cmp_to_key(compare)


def paged(shelf, forward, limits, sort="sk", **params):
    """Return the responses, page after page."""
    start, pages = None, []
    while True:
        limit = limits[len(pages) % len(limits)]
        more = {} if limit is None else {"Limit": limit}
        pages.append(page(shelf, list(shelf.sources), start, sort=sort, ScanIndexForward=forward, **more, **params))
        start = pages[-1].get("LastEvaluatedKey")
        assert len(pages) < 200
        if start is None:
            return pages


def ids(pages):
    return [item["id"] for page in pages for item in page["Items"]]


LIMITS = st.lists(st.none() | st.integers(1, 7), min_size=1, max_size=3)


@given(shelf=shelves(), forward=st.booleans(), limits=LIMITS)
def test_pages_are_those_of_one_query(shelf, forward, limits):
    pages = paged(shelf, forward, limits)
    assert ids(pages) == expected(shelf, forward)
    for number, found in enumerate(pages):
        limit = limits[number % len(limits)]
        assert limit is None or found["Count"] <= limit
        assert found["Count"] == len(found["Items"]) <= found["ScannedCount"]


@given(shelf=shelves(sort=False), forward=st.booleans(), limits=LIMITS)
def test_without_a_sort_key_source_follows_source(shelf, forward, limits):
    assert ids(paged(shelf, forward, limits, sort=None)) == expected(shelf, forward)


@pytest.mark.parametrize("select", [{}, {"Select": "COUNT"}])
@pytest.mark.parametrize("limit", [None, 1, 2])
def test_a_page_may_end_with_the_one_item_of_each_source(limit, select):
    """DynamoDB may say that there is more where there is not: also of a table whose key has one attribute."""
    shelf = Shelf({name: [{"id": name, "n": 0}] for name in NAMES}, most=1)
    pages = paged(shelf, True, [limit], sort=None, **select)
    assert sum(found["Count"] for found in pages) == len(NAMES)
    assert select or ids(pages) == NAMES


@given(shelf=shelves(), forward=st.booleans(), limits=LIMITS)
def test_counts_add_up(shelf, forward, limits):
    pages = paged(shelf, forward, limits, Select="COUNT")
    assert sum(found["Count"] for found in pages) == len(expected(shelf, forward))
    assert sum(found["ScannedCount"] for found in pages) == sum(map(len, shelf.sources.values()))
    for number, found in enumerate(pages):
        limit = limits[number % len(limits)]
        assert limit is None or found["ScannedCount"] <= limit
        assert limit in (None, found["ScannedCount"]) or found is pages[-1]
        assert "Items" not in found


@given(shelf=shelves(), forward=st.booleans(), limit=st.none() | st.integers(1, 30), size=st.none() | st.integers(1, 7))
def test_an_iterator_gives_the_same(shelf, forward, limit, size):
    request = requested(shelf, list(shelf.sources), ScanIndexForward=forward)
    reading = making(shelf, request)(limit=limit, page=size)
    found = []
    while not reading.is_over:
        run(reading.more())
        found += [item["id"] for item in reading.items()]
    assert found == expected(shelf, forward)[:limit]


@st.composite
def changes(draw):
    """Draw what happens between two pages: items that come, and how many go."""
    number = st.integers(-4, 4) | st.sampled_from([Decimal("0.5"), Decimal("-2.5")])
    return draw(st.lists(st.tuples(st.integers(0, 3), number), max_size=4)), draw(st.integers(0, 2))


@given(
    shelf=shelves(kinds=("N",), keeps=False),
    forward=st.booleans(),
    limits=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    between=st.lists(changes(), max_size=5),
)
def test_writes_meanwhile_neither_repeat_nor_skip(shelf, forward, limits, between):
    names, start, given_ids, seen, number = list(shelf.sources), None, [], [], 1000
    required = {item["id"] for items in shelf.sources.values() for item in items}
    sign = 1 if forward else -1
    while True:
        found = page(shelf, names, start, ScanIndexForward=forward, Limit=limits[len(seen) % len(limits)])
        seen.append(found)
        given_ids += ids([found])
        start = found.get("LastEvaluatedKey")
        if start is None:
            break
        puts, gone = between.pop(0) if between else ([], 0)
        last = next((item for page in reversed(seen) for item in reversed(page["Items"])), None)
        for at, value in puts:
            items = shelf.sources[names[at % len(names)]]
            if not shelf.in_index and any(rank(item["sk"]) == value for item in items):
                continue
            number += 1
            items.append({"id": f"50-{number}", "n": 0, "sk": value})
            if last is None or value * sign > last["sk"] * sign:
                required.add(f"50-{number}")
        for items in list(shelf.sources.values())[:gone]:
            if items:
                required.discard(items.pop()["id"])
    assert len(set(given_ids)) == len(given_ids)
    assert required <= set(given_ids)
    ranks = [item["sk"] * sign for page in seen for item in page["Items"]]
    assert ranks == sorted(ranks)


@given(
    shelf=shelves(),
    forward=st.booleans(),
    limit=st.none() | st.integers(1, 6),
    failing=st.lists(st.sets(st.integers(0, 3)), max_size=8),
)
def test_what_was_missing_comes_late_and_once(shelf, forward, limit, failing):
    names, start, pages = list(shelf.sources), None, []
    more = {} if limit is None else {"Limit": limit}
    for _ in range(200):
        shelf.failing = {names[at % len(names)] for at in (failing.pop(0) if failing else ())}
        try:
            found = page(shelf, names, start, on_shard_error="skip", ScanIndexForward=forward, **more)
        except ClientError:
            assert shelf.failing
            continue
        missing = found["ResponseMetadata"].get("Resilience", {}).get("missing_shards", [])
        assert set(missing) <= shelf.failing
        assert not missing or "LastEvaluatedKey" in found  # what is missing can be had by going on
        pages.append(found)
        start = found.get("LastEvaluatedKey")
        if start is None:
            break
    assert sorted(ids(pages)) == sorted(expected(shelf, forward))


@pytest.mark.parametrize("select", [{}, {"Select": "COUNT"}])
def test_a_missing_source_is_read_when_the_caller_goes_on(select):
    shelf = Shelf({"a#0": [{"id": "0", "sk": 1}], "a#1": [{"id": "1", "sk": 0}]})
    shelf.failing = {"a#1"}
    first = page(shelf, NAMES[:2], on_shard_error="skip", **select)
    assert first["ResponseMetadata"]["Resilience"]["missing_shards"] == ["a#1"]
    assert first["Count"] == 1
    with pytest.raises(ClientError) as caught:  # nothing of the rest can be read
        page(shelf, NAMES[:2], first["LastEvaluatedKey"], on_shard_error="skip", **select)
    assert "a#1" in caught.value.__notes__[0]
    shelf.failing = set()
    second = page(shelf, NAMES[:2], first["LastEvaluatedKey"], on_shard_error="skip", **select)
    assert second["Count"] == 1
    assert "LastEvaluatedKey" not in second
    assert "Resilience" not in second["ResponseMetadata"]


def test_an_error_that_is_not_of_the_moment_is_raised():
    shelf = Shelf({name: [] for name in NAMES})

    def refuse(**params):
        raise ClientError({"Error": {"Code": "ValidationException", "Message": "no"}}, "Query")

    shelf.query = refuse
    with pytest.raises(ClientError, match="ValidationException"):
        page(shelf, NAMES, on_shard_error="skip")


# How much is read.


def test_a_limit_of_20_over_100_sources_reads_little_more():
    names = [f"a#{number}" for number in range(100)]
    spread = Shelf(
        {name: [{"id": f"{name}-{i}", "sk": i * 100 + at} for i in range(50)] for at, name in enumerate(names)}
    )
    assert page(spread, names, Limit=20)["ScannedCount"] == spread.scanned <= 220
    one = {"a#7": [{"id": f"{i:03}", "sk": i} for i in range(500)]}
    lopsided = Shelf({**{name: [{"id": name, "sk": 1000}] for name in names}, **one})
    found = page(lopsided, names, Limit=20)
    assert [item["sk"] for item in found["Items"]] == list(range(20))
    assert found["ScannedCount"] == lopsided.scanned <= 250
    assert len(lopsided.calls) <= 105


def test_one_source_reads_no_more_than_its_limit():
    shelf = Shelf({"a#0": [{"id": f"{i:03}", "sk": i} for i in range(100)]})
    assert page(shelf, ["a#0"], Limit=20)["ScannedCount"] == 20


def test_a_limit_counts_what_a_filter_leaves_out():
    items = {name: [{"id": f"{i:04}", "sk": i, "n": 0} for i in range(500)] for name in NAMES}
    shelf = Shelf(items, lambda item: item["n"] == 1)
    found = page(shelf, NAMES, Limit=20)
    assert (found["Count"], found["Items"]) == (0, [])
    assert 20 <= found["ScannedCount"] <= 28
    assert "LastEvaluatedKey" in found


@pytest.mark.parametrize("count", [1, 10])
def test_pages_grow_where_a_filter_leaves_little(count):
    names = [f"a#{number}" for number in range(count)]
    items = {name: [{"id": f"{i:04}", "sk": i, "n": 0} for i in range(2000)] for name in names}
    items["a#0"][-1]["n"] = 1
    shelf = Shelf(items, lambda item: item["n"] == 1)
    reading = making(shelf, requested(shelf, names))(limit=1)
    found = []
    while not reading.is_over:
        run(reading.more())
        found += reading.items()
    assert [item["sk"] for item in found] == [1999]
    assert len(shelf.calls) <= 13 * count


def test_no_more_than_a_page_of_each_source_is_held():
    shelf = Shelf({name: [{"id": f"{i:03}", "sk": i} for i in range(100)] for name in NAMES}, most=10)
    reading = making(shelf, requested(shelf, NAMES))()
    given_items = 0
    while not reading.is_over:
        run(reading.more())
        assert shelf.scanned - given_items <= 10 * len(NAMES)
        given_items += len(list(reading.items()))
    assert given_items == 400


def test_binary_sort_keys_come_as_boto3_gives_them():
    values = [b"\x00", b"\x7f", b"\x80", b"\xff"]
    shelf = Shelf({"a#0": [], "a#1": []})
    for number, value in enumerate(values):
        shelf.sources[f"a#{number % 2}"].append({"id": str(number), "sk": Binary(value)})
    assert ids(paged(shelf, False, [1])) == ["3", "2", "1", "0"]


# Resume tokens.


@pytest.fixture
def token():
    shelf = Shelf({name: [{"id": f"{i}", "sk": i} for i in range(5)] for name in NAMES})
    return shelf, page(shelf, NAMES, Limit=3)["LastEvaluatedKey"]


def test_a_token_is_plain(token):
    _, found = token
    assert json.loads(json.dumps(found)) == found
    assert list(found) == ["rddb_cursor"]


@pytest.mark.parametrize(
    "other",
    [
        {"ScanIndexForward": False},
        {"KeyConditionExpression": "sk > :x", "ExpressionAttributeValues": {":x": 1}},
        {"Select": "COUNT"},
    ],
)
def test_a_token_of_another_query_is_refused(token, other):
    shelf, found = token
    with pytest.raises(ValueError, match=r"ExclusiveStartKey must be .*; got that of another query"):
        page(shelf, NAMES, found, **other)


def test_a_token_of_other_shards_is_refused(token):
    shelf, found = token
    with pytest.raises(ValueError, match="number of shards was changed"):
        page(shelf, NAMES[:3], found)


@pytest.mark.parametrize("start", [{"pk": "a", "sk": 1}, {}, "x", {"rddb_cursor": 1}, {"rddb_cursor": {}, "pk": "a"}])
def test_what_is_no_token_is_refused(token, start):
    with pytest.raises(ValueError, match="ExclusiveStartKey must be"):
        page(token[0], NAMES, start)


DAMAGES = {
    "no positions": lambda inner: inner.pop("positions"),
    "positions are none": lambda inner: inner.update(positions=None),
    "a source too many": lambda inner: inner["positions"].update({"4": {"sk": {"N": "1"}}}),
    "a source below": lambda inner: inner["positions"].update({"-1": {"sk": {"N": "1"}}}),
    "a source that is no number": lambda inner: inner["positions"].update({"x": {"sk": {"N": "1"}}}),
    "another attribute": lambda inner: inner["positions"].update({"0": {"sort": {"N": "1"}}}),
    "an attribute too many": lambda inner: inner["positions"].update({"0": {"sk": {"N": "1"}, "x": {"N": "1"}}}),
    "no typed value": lambda inner: inner["positions"].update({"0": {"sk": 1}}),
    "another type": lambda inner: inner["positions"].update({"0": {"sk": {"S": "1"}}}),
    "all at their end": lambda inner: inner.update(positions={str(index): None for index in range(4)}),
    "a late source too many": lambda inner: inner.update(late=[9]),
    "late is none": lambda inner: inner.update(late=None),
    "the last of another attribute": lambda inner: inner.update(last={"x": {"N": "1"}}),
    "the last of another type": lambda inner: inner.update(last={"sk": {"S": "1"}}),
    "the last is a number": lambda inner: inner.update(last=5),
    "a source of the last too many": lambda inner: inner.update(source=4),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_token_is_refused_before_anything_is_sent(token, damage):
    shelf, found = token
    shelf.calls.clear()
    DAMAGES[damage](found["rddb_cursor"])
    with pytest.raises(ValueError, match="got one that was changed"):
        page(shelf, NAMES, found)
    assert shelf.calls == []


@examples(30)
@given(limit=st.sampled_from([0, -1, True, 1.5, "3"]))
def test_a_limit_is_a_number(limit):
    with pytest.raises((TypeError, ValueError), match="Limit"):
        page(Shelf({"a#0": []}), ["a#0"], Limit=limit)


STALE, REPLICA = {"stale": True, "age": 10.0}, {"replica": "us-west-2"}
OWN, OWN_CACHE = {"fallback": "f"}, {"fallback": "f", "cache": True, "age": 30}


@pytest.mark.parametrize(
    ("marks", "source", "age", "region"),
    [
        ([None, None], "dynamodb", None, None),
        ([None, STALE], "stale", 10.0, None),
        ([OWN_CACHE, None], "cache", 30, None),
        ([OWN_CACHE, STALE], "stale", 30, None),
        ([REPLICA, STALE], "replica", 10.0, "us-west-2"),
        ([STALE, OWN, None], "fallback", 10.0, None),  # nobody knows of when the second is
        ([OWN, OWN_CACHE, REPLICA], "fallback", 30, None),
    ],
)
def test_what_several_shards_gave_is_what_the_least_fresh_of_them_is(marks, source, age, region):
    responses = [{"ResponseMetadata": {} if one is None else {"Resilience": one}} for one in marks]
    for order in (responses, responses[::-1]):
        info = response_info(joined_facts(order))
        assert (info.source, info.age, info.region) == (source, age, region)
