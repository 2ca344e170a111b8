"""What items weigh and cost, by AWS's published rules."""

from decimal import Decimal

import pytest
from boto3.dynamodb.types import Binary, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from resilient_ddb.dynamodb.capacity import item_size, number_size, read_units, value_size, write_units

NUMBERS = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20),
)
SCALARS = st.one_of(st.text(), st.binary(), NUMBERS, st.booleans(), st.none())
SETS = st.one_of(st.sets(st.text(), min_size=1), st.sets(NUMBERS, min_size=1), st.sets(st.binary(), min_size=1))
VALUES = st.recursive(
    SCALARS | SETS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


def reference(typed):  # noqa: PLR0911 - one row for each type of value
    """Do what the guide says, from the typed form, with strings and nothing clever."""
    [(kind, value)] = typed.items()
    if kind in ("NULL", "BOOL"):
        return 1
    if kind == "S":
        return len(value.encode())
    if kind == "B":
        return len(bytes(value))
    if kind == "N":
        digits = "".join(map(str, Decimal(value).as_tuple().digits)).strip("0")
        return max(1, -(-len(digits) // 2)) + 1 + (Decimal(value) < 0)
    if kind in ("SS", "NS", "BS"):
        return sum(reference({kind[0]: member}) for member in value)
    if kind == "L":
        return 3 + sum(1 + reference(member) for member in value)
    return 3 + sum(1 + len(name.encode()) + reference(member) for name, member in value.items())


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_an_item_weighs_what_the_guide_says(item):
    typed = {name: TypeSerializer().serialize(value) for name, value in item.items()}
    expected = sum(len(name.encode()) + reference(value) for name, value in typed.items())
    assert item_size(item) == expected


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("", 0),
        ("abc", 3),
        ("né", 3),
        (b"abc", 3),
        (bytearray(b"abc"), 3),
        (Binary(b"abc"), 3),
        (0, 2),
        (Decimal(0), 2),
        (7, 2),
        (99, 2),
        (100, 2),
        (123, 3),
        (-7, 3),
        (1000000, 2),
        (Decimal("0.00001"), 2),
        (Decimal("1.50"), 2),
        (int("9" * 38), 20),
        (True, 1),
        (None, 1),
        ([], 3),
        ({}, 3),
        ((), 3),
        (["ab"], 6),
        ({"k": "ab"}, 7),
        ({"a", "bc"}, 3),
        (frozenset({1, 2}), 4),
    ],
)
def test_values_weigh(value, size):
    assert value_size(value) == size


@pytest.mark.parametrize("value", [1.5, object(), Decimal("NaN"), Decimal("Infinity"), [{"a": 1.5}], range(3)])
def test_what_has_no_place_is_refused_by_its_type_only(value):
    with pytest.raises(TypeError, match="DynamoDB has no place for"):
        value_size(value)


def test_a_number_of_any_length_is_answered():
    assert number_size(10**37) == 2
    with pytest.raises(TypeError, match="no place for such an int"):
        number_size(10**5000)


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1, 1), (1024, 1), (1025, 2), (20 * 1024, 20), (400 * 1024, 400)])
def test_writes_cost(size, units):
    assert write_units(size) == units


@pytest.mark.parametrize(
    ("size", "consistent", "units"),
    [(0, True, 1), (4096, True, 1), (4097, True, 2), (4096, False, 0.5), (0, False, 0.5)],
)
def test_reads_cost(size, consistent, units):
    assert read_units(size, consistent=consistent) == units
