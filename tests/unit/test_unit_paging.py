"""Which page is asked for next, and what of it is given."""

import pytest

from resilient_ddb.paging import Pages


def read(pages, store):
    """Read a store of pages (items, cursor) to the end, and give the items and what was asked for."""
    given, asked = [], []
    while not pages.is_over:
        asked.append(pages.params)
        items, cursor = store[len(asked) - 1]
        given += pages.items({"Items": items, **({"LastEvaluatedKey": cursor} if cursor else {})})
    return given, asked


def test_pages_are_read_to_the_end():
    store = [([1, 2], "a"), ([], "b"), ([3], None)]
    given, asked = read(Pages("scan", {"IndexName": "i"}, None), store)
    assert given == [1, 2, 3]
    assert asked == [
        {"IndexName": "i", **start} for start in ({}, {"ExclusiveStartKey": "a"}, {"ExclusiveStartKey": "b"})
    ]


def test_no_page_is_read_beyond_the_limit():
    assert read(Pages("scan", {}, 3), [([1, 2], "a"), ([3, 4], "b")])[0] == [1, 2, 3]
    assert read(Pages("scan", {}, 2), [([1, 2], "a")])[0] == [1, 2]


def test_pages_grow_while_little_is_found():
    store = [([], str(page)) for page in range(8)] + [(list(range(500)), None)]
    _, asked = read(Pages("scan", {}, 10), store)
    assert [params["Limit"] for params in asked] == [10, 20, 40, 80, 160, 320, 640, 1000, 1000]
    _, asked = read(Pages("scan", {}, 5000), [([], "a"), ([], None)])
    assert [params["Limit"] for params in asked] == [5000, 5000]


def test_the_callers_own_page_size_stands():
    params = {"Limit": 7}
    _, asked = read(Pages("scan", params, 10), [([], "a"), ([], None)])
    assert [page["Limit"] for page in asked] == [7, 7]
    assert params == {"Limit": 7}


@pytest.mark.parametrize(("limit", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_a_limit_that_can_not_be_meant_is_refused(limit, error):
    with pytest.raises(error, match="limit must be"):
        Pages("query", {}, limit)


def test_counts_are_no_items():
    with pytest.raises(ValueError, match=r"Select must not be 'COUNT'.*call query\(\.\.\.\) instead"):
        Pages("query", {"Select": "COUNT"}, None)
