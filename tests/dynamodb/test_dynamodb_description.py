"""What is taken of DescribeTable's answer."""

import pytest

from resilient_ddb.dynamodb.description import Index, KeySchema, description_of


def elements(*key):
    return [{"AttributeName": name, "KeyType": role} for name, role in key]


def index(name, *key, projection="ALL", **more):
    return {"IndexName": name, "KeySchema": elements(*key), "Projection": {"ProjectionType": projection, **more}}


TABLE = description_of(
    {
        "KeySchema": elements(("sk", "RANGE"), ("pk", "HASH")),
        "GlobalSecondaryIndexes": [
            index("all", ("day", "HASH")),
            index("keys", ("day", "HASH"), ("at", "RANGE"), projection="KEYS_ONLY"),
            index("some", ("day", "HASH"), projection="INCLUDE", NonKeyAttributes=["exp"]),
            index("several", ("year", "HASH"), ("day", "HASH"), ("at", "RANGE"), projection="KEYS_ONLY"),
        ],
        "LocalSecondaryIndexes": [index("local", ("pk", "HASH"), ("at", "RANGE"), projection="KEYS_ONLY")],
    }
)


def test_the_keys_of_a_table_and_its_indexes_are_known():
    assert TABLE.key_of(None) == KeySchema("pk", "sk")
    assert TABLE.key_of("all") == KeySchema("day")
    assert TABLE.key_of("local") == KeySchema("pk", "at")
    assert TABLE.key_of("absent") is None
    assert KeySchema("pk", "sk").names == ["pk", "sk"]
    assert KeySchema("pk").names == ["pk"]


def test_a_key_of_several_attributes_is_none_to_go_by():
    assert TABLE.indexes["several"].keys == {"year", "day", "at"}
    assert TABLE.key_of("several") is None


@pytest.mark.parametrize(("attribute", "is_one"), [("pk", True), ("day", True), ("sk", False), ("year", False)])
def test_partition_keys_are_known(attribute, is_one):
    assert TABLE.has_partition(attribute) is is_one


def test_what_an_index_has_is_known():
    assert TABLE.indexes["local"] == Index(
        is_global=False,
        keys=frozenset({"pk", "at"}),
        key=KeySchema("pk", "at"),
        projected=frozenset({"pk", "sk", "at"}),
    )
    assert {name for name, index in TABLE.indexes.items() if index.has("exp")} == {"all", "some"}
    assert all(index.has("sk") for index in TABLE.indexes.values())
    assert {name for name, index in TABLE.indexes.items() if not index.is_global} == {"local"}


def test_a_table_without_indexes_has_none():
    assert description_of({"KeySchema": elements(("pk", "HASH"))}).indexes == {}


@pytest.mark.parametrize("answer", [{}, {"KeySchema": []}, {"KeySchema": elements(("sk", "RANGE"))}])
def test_an_answer_without_a_key_is_none(answer):
    with pytest.raises(KeyError):
        description_of(answer)
