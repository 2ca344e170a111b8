"""Keys as JSON and back: the same key to DynamoDB, and nothing else is taken for one."""

import contextlib
import json
from decimal import Decimal

import pytest
from boto3.dynamodb.types import Binary, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from resilient_ddb.dynamodb import keys as cursors

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
DECIMALS = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent), st.integers(-(10**15), 10**15), st.integers(-80, 80)
)
VALUES = st.one_of(TEXTS, DECIMALS, st.integers(-(10**37), 10**37), st.binary(), st.binary().map(Binary))
KEYS = st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4)


def on_the_wire(key):
    """Return what DynamoDB compares: plain boto3's own form, with numbers as numbers."""
    typed = {name: TypeSerializer().serialize(value) for name, value in key.items()}
    return {name: Decimal(value["N"]) if "N" in value else value for name, value in typed.items()}


@given(key=KEYS)
def test_what_comes_back_is_the_same_key(key):
    text = json.dumps(cursors.to_json(key))
    back = cursors.from_json(json.loads(text))
    assert on_the_wire(back) == on_the_wire(key)
    assert json.dumps(cursors.to_json(back)) == text
    assert {type(value) for value in back.values()} <= {str, Decimal, Binary}


@given(one=KEYS, other=KEYS)
def test_two_keys_have_one_identity_where_they_are_one_to_dynamodb(one, other):
    assert (cursors.identity(one) == cursors.identity(other)) == (on_the_wire(one) == on_the_wire(other))


def test_spellings_of_one_key_share_their_identity():
    for spellings in (
        [{"pk": 1, "sk": b"\x00"}, {"sk": Binary(b"\x00"), "pk": Decimal("1.00")}],
        [{"pk": 100}, {"pk": Decimal("1E+2")}],
        [{"pk": 0}, {"pk": Decimal("-0.0")}],
    ):
        assert len(set(map(cursors.identity, spellings))) == 1
    assert len(set(map(cursors.identity, [{"pk": 1}, {"pk": "1"}, {"pk": b"1"}, {"sk": 1}, {"pk": "1", "sk": 1}]))) == 5


SECRET = "a-secret"


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (SECRET, TypeError),
        ({1: SECRET}, TypeError),
        ({"pk": 1.5}, TypeError),
        ({"pk": None}, TypeError),
        ({"pk": True}, TypeError),
        ({"pk": {SECRET}}, TypeError),
        ({"pk": [SECRET]}, TypeError),
        ({"pk": Decimal("NaN")}, ValueError),
        ({"pk": Decimal("Infinity")}, ValueError),
        ({"pk": 10**38 + 1}, ValueError),
        ({"pk": Decimal("1E+127")}, ValueError),
    ],
)
def test_what_is_no_key_is_refused_without_its_values(key, error):
    with pytest.raises(error, match="a key") as raised:
        cursors.to_json(key)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "data",
    [
        None,
        SECRET,
        [],
        {},
        {"pk": SECRET},
        {"pk": {}},
        {"pk": {"S": SECRET, "N": "1"}},
        {"pk": {"S": 1}},
        {"pk": {"S": None}},
        {"pk": {"SS": [SECRET]}},
        {"pk": {"BOOL": SECRET}},
        {"pk": {"N": SECRET}},
        {"pk": {"N": "NaN"}},
        {"pk": {"N": "-Infinity"}},
        {"pk": {"N": "1" * 39}},
        {"pk": {"B": "a"}},
        {"pk": {"B": SECRET}},
        {"pk": {"S": "\ud800"}},
        {1: {"S": SECRET}},
    ],
)
def test_what_was_not_written_here_is_refused_without_its_values(data):
    with pytest.raises(ValueError, match="a key") as raised:
        cursors.from_json(data)
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


@given(data=st.recursive(st.none() | st.booleans() | TEXTS | st.integers(), lambda s: st.dictionaries(TEXTS, s)))
def test_any_other_json_is_a_value_error(data):
    with contextlib.suppress(ValueError):
        cursors.from_json(data)


def test_a_digest_stays_what_it_is_as_it_is_kept_in_states_to_go_on_from():
    assert cursors.digest(["t", [None, "\ud800"], {"a": 1}]) == "2b541dae57296b883adb0481"
