"""Which page is asked for next, and what of it is given."""

from decimal import Decimal

import pytest
from botocore.exceptions import PaginationError
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from resilient_ddb.bulk.paging import Pages, Trail


def read(pages, store):
    """Read a store of pages (items, cursor) to the end, and give the items and what was asked for."""
    found, asked = [], []
    while not pages.is_over:
        asked.append(pages.params)
        items, cursor = store[len(asked) - 1]
        found += pages.items({"Items": items, **({"LastEvaluatedKey": cursor} if cursor else {})})
    return found, asked


def test_pages_are_read_to_the_end():
    store = [([1, 2], "a"), ([], "b"), ([3], None)]
    found, asked = read(Pages("scan", {"IndexName": "i"}, None, table="orders"), store)
    assert found == [1, 2, 3]
    assert asked == [
        {"IndexName": "i", **start} for start in ({}, {"ExclusiveStartKey": "a"}, {"ExclusiveStartKey": "b"})
    ]


def test_no_page_is_read_beyond_the_limit():
    assert read(Pages("scan", {}, 3, table="orders"), [([1, 2], "a"), ([3, 4], "b")])[0] == [1, 2, 3]
    assert read(Pages("scan", {}, 2, table="orders"), [([1, 2], "a")])[0] == [1, 2]


def test_pages_grow_while_little_is_found():
    store = [([], str(page)) for page in range(8)] + [(list(range(500)), None)]
    _, asked = read(Pages("scan", {}, 10, table="orders"), store)
    assert [params["Limit"] for params in asked] == [10, 20, 40, 80, 160, 320, 640, 1000, 1000]
    _, asked = read(Pages("scan", {}, 5000, table="orders"), [([], "a"), ([], None)])
    assert [params["Limit"] for params in asked] == [5000, 5000]


def test_the_callers_own_page_size_stands():
    params = {"Limit": 7}
    _, asked = read(Pages("scan", params, 10, table="orders"), [([], "a"), ([], None)])
    assert [page["Limit"] for page in asked] == [7, 7]
    assert params == {"Limit": 7}


@pytest.mark.parametrize(("limit", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_a_limit_that_can_not_be_meant_is_refused(limit, error):
    with pytest.raises(error, match="max_items must be"):
        Pages("query", {}, limit, table="orders")


def test_counts_are_no_items():
    with pytest.raises(ValueError, match=r"Select must not be 'COUNT'.*call query\(\.\.\.\) instead"):
        Pages("query", {"Select": "COUNT"}, None, table="orders")


# Rings.


def keys(tail, length):
    """Return keys, the last of which lead back to one of before, for ever."""
    yield from ({"pk": "a", "sk": Decimal(number)} for number in range(tail))
    while True:
        yield from ({"pk": "a", "sk": Decimal(tail + number)} for number in range(length))


def steps(tail, length):
    """Return how many pages were read when the ring was seen."""
    trail = Trail("orders")
    for number, key in enumerate(keys(tail, length), 1):
        try:
            trail.follow(key)
        except PaginationError:
            return number
        assert len(trail._recent) <= 16  # noqa: SLF001 - memory that must not grow
    return None


@given(st.integers(0, 300), st.integers(1, 300))
@examples(60)
def test_a_ring_is_seen_soon_after_it_closes(tail, length):
    seen = steps(tail, length)
    assert seen > tail + length
    assert seen <= tail + length + 1 if length <= 16 else seen <= 3 * max(tail, length) + 2 * length + 1


def test_what_goes_on_is_no_ring():
    trail = Trail("orders", {"pk": "a", "sk": -1})
    for number in range(10_000):
        trail.follow({"pk": "a", "sk": number})


def test_the_key_that_was_begun_after_counts_too():
    with pytest.raises(
        PaginationError, match=r"table 'orders' gives a LastEvaluatedKey \(of 'pk', 'sk'\) a second time"
    ):
        Trail("orders", {"pk": "a", "sk": 1}).follow({"pk": "a", "sk": Decimal("1.0")})


def test_no_item_of_a_page_that_leads_back_is_given():
    pages = Pages("scan", {}, None, table="orders")
    assert list(pages.items({"Items": [1], "LastEvaluatedKey": {"pk": "a"}})) == [1]
    with pytest.raises(PaginationError):
        pages.items({"Items": [1], "LastEvaluatedKey": {"pk": "a"}})


def test_a_page_that_leads_back_is_no_matter_where_none_is_wanted_after_it():
    pages = Pages("query", {"ExclusiveStartKey": {"pk": "a"}}, 1, table="t")
    assert list(pages.items({"Items": [1], "LastEvaluatedKey": {"pk": "a"}})) == [1]
    assert pages.is_over
