"""What a writer's requests weigh: numbers are measured only if the units, or the limit of an item, depend on them."""

from decimal import Decimal

import pytest
from boto3.dynamodb.types import Binary
from hypothesis import given
from hypothesis import strategies as st

from resilient_ddb.bulk import requests
from resilient_ddb.bulk.queue import Queue
from resilient_ddb.bulk.requests import least_size_of, weight_of
from resilient_ddb.dynamodb import capacity
from resilient_ddb.dynamodb.capacity import MAX_ITEM_BYTES, write_units

NUMBERS = st.integers(-(10**38) + 1, 10**38 - 1) | st.decimals(
    allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20
)
TEXTS = st.text(max_size=5) | st.sampled_from(["x" * 900, "é" * 500, "\ud800"])
ODD = st.floats() | st.binary() | st.binary().map(Binary) | st.sets(NUMBERS, min_size=1) | st.tuples(NUMBERS)
VALUES = st.recursive(
    TEXTS | NUMBERS | st.booleans() | st.none() | ODD,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXTS, inner, max_size=6),
)
ITEMS = st.dictionaries(TEXTS, VALUES, max_size=6)


@pytest.fixture
def measured(monkeypatch):
    """Numbers that were measured."""
    numbers = []

    def number_size(number):
        numbers.append(number)
        return original(number)

    original = capacity.number_size
    monkeypatch.setattr(capacity, "number_size", number_size)
    return numbers


def put(item):
    return {"PutRequest": {"Item": item}}


@given(ITEMS)
def test_units_are_those_of_the_size(item):
    size, units = weight_of(put(item))
    exact = least_size_of(put(item))
    assert units == write_units(exact)
    assert size >= exact


@given(ITEMS)
def test_a_delete_costs_one_unit(key):
    assert weight_of({"DeleteRequest": {"Key": key}})[1] == 1


@pytest.mark.parametrize("numbers", [0, 1, 40])
@pytest.mark.parametrize("by", [-30, -2, -1, 0, 1, 2, 30])
@pytest.mark.parametrize("limit", [1024, 2048, MAX_ITEM_BYTES])
def test_units_are_exact_about_a_limit(limit, by, numbers):
    item = {"n": [Decimal("12.5")] * numbers, "s": ""}
    item["s"] = "x" * (limit + by - capacity.item_size(item))
    assert weight_of(put(item))[1] == write_units(limit + by)


def test_bytes_are_exact_beyond_the_limit_of_an_item():
    item = {"n": [1] * 1000, "s": "x" * (MAX_ITEM_BYTES - 1000)}
    assert weight_of(put(item))[0] == capacity.item_size(item) > MAX_ITEM_BYTES


@pytest.mark.parametrize(("text", "wants"), [("x" * 100, 0), ("x" * 1500, 0), ("x" * 1000, 2)])
def test_numbers_are_measured_only_if_units_depend_on_them(measured, text, wants):
    queue = Queue(25, None)
    queue.add(put({"pk": "a", "text": text, "n": [Decimal("12.5"), 3]}))
    assert len(queue.cut().requests) == 1
    assert len(measured) == wants


@pytest.mark.parametrize("request_", [{}, {"PutRequest": {"Item": 5}}, {"PutRequest": {}}])
def test_what_is_no_request_is_refused_as_before(request_):
    outcomes = []
    for weigh in (requests.weight_of, requests.least_size_of):
        try:
            weigh(request_)
            outcomes.append(None)
        except Exception as error:  # noqa: BLE001 - compared
            outcomes.append(type(error))
    assert outcomes[0] == outcomes[1]
