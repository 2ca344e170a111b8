"""What may be sent again, held against a small interpreter of update expressions."""

from __future__ import annotations

import copy
from decimal import Decimal

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from resilient_ddb.dynamodb.operations import (
    entries_of,
    is_read,
    is_safe_to_repeat,
    operation_kind,
    table_of,
    tables_in,
)


def update(expression, values=None, **more):
    return {"UpdateExpression": expression, "ExpressionAttributeValues": values or {}, **more}


N, SS, LIST = {"N": "1"}, {"SS": ["a"]}, {"L": []}
UPDATES = [
    ("SET a = :v", {}, True),
    ("SET a = :v, b = :w", {}, True),
    ("SET a.b.c = :v", {}, True),
    ("SET #set = :add", {}, True),
    ("SET #remove = :delete, #add = :set", {}, True),
    ("set a = :v remove b", {}, True),
    ("Set a=:v\nREMOVE b, c", {}, True),
    ("REMOVE a", {}, True),
    ("REMOVE a.b, #delete", {}, True),
    ("REMOVE l[0]", {}, False),
    ("remove a, l[1].x", {}, False),
    ("SET l[0] = :v", {}, False),
    ("SET l[0].x = :v", {}, False),
    ("SET a = b", {}, False),
    ("SET a = b, b = a", {}, False),
    ("SET a = a + :n", {}, False),
    ("SET a = :n + a", {}, False),
    ("SET a = a - :n", {}, False),
    ("SET a = :n - :m", {}, False),
    ("SET a = list_append(a, :l)", {}, False),
    ("SET a = list_append(:l, a)", {}, False),
    ("SET a = list_append(if_not_exists(a, :e), :l)", {}, False),
    ("SET a = if_not_exists(a, :v)", {}, True),
    ("SET a=IF_NOT_EXISTS( a , :v ), b = :w", {}, True),
    ("SET #a = if_not_exists(#a, :v)", {}, True),
    ("SET a.b = if_not_exists(a.b, :v)", {}, True),
    ("SET a = if_not_exists(b, :v)", {}, False),
    ("SET a = if_not_exists(a, b)", {}, False),
    ("SET a = if_not_exists(a, :z) + :n", {}, False),
    ("SET a = :v ADD c :n", {":n": N}, False),
    ("SET a = :v, b = b + :n", {":n": N}, False),
    ("ADD c :n", {":n": N}, False),
    ("ADD c :n", {":n": 1}, False),
    ("ADD c :n", {":n": Decimal(1)}, False),
    ("ADD s :s", {":s": SS}, True),
    ("ADD s :s", {":s": {"NS": ["1"]}}, True),
    ("ADD s :s", {":s": {"BS": [b"1"]}}, True),
    ("ADD s :s", {":s": {"a"}}, True),
    ("ADD s :s", {":s": frozenset({"a"})}, True),
    ("add s :s, c :n", {":s": SS, ":n": N}, False),
    ("ADD s :s, t :s", {":s": SS}, True),
    ("ADD s :unknown", {}, False),
    ("DELETE s :s", {":s": SS}, True),
    ("delete s :s SET a = :v", {":s": SS}, True),
    ("ADD remove :n", {":n": N}, False),
    ("", {}, False),
    ("   ", {}, False),
    ("nonsense", {}, False),
    ("a = :v", {}, False),
    ("garbage SET a = :v", {}, False),
    ("SET", {}, False),
    ("SET a = ", {}, False),
]


@pytest.mark.parametrize(("expression", "values", "safe"), UPDATES)
def test_an_update_may_be_repeated_only_if_it_leaves_the_same_item(expression, values, safe):
    assert is_safe_to_repeat("UpdateItem", update(expression, values)) is safe


@pytest.mark.parametrize(
    ("operation", "params", "safe"),
    [
        ("GetItem", None, True),
        ("Query", {}, True),
        ("Scan", {}, True),
        ("BatchGetItem", {}, True),
        ("TransactGetItems", {}, True),
        ("TransactWriteItems", {}, True),
        ("ExecuteTransaction", {}, True),
        ("BatchWriteItem", {}, True),
        ("PutItem", None, True),
        ("PutItem", {"Item": {}}, True),
        ("DeleteItem", {"Key": {}}, True),
        ("UpdateItem", None, False),
        ("UpdateItem", {"Key": {}}, True),
        ("UpdateItem", {"UpdateExpression": None}, False),
        ("ExecuteStatement", {"Statement": "SELECT * FROM t"}, True),
        ("ExecuteStatement", {"Statement": "  select * from t"}, True),
        ("ExecuteStatement", {"Statement": "SELECTED"}, False),
        ("ExecuteStatement", {"Statement": "UPDATE t SET a=1 WHERE pk='1'"}, False),
        ("ExecuteStatement", {"Statement": "INSERT INTO t VALUE {'pk':'1'}"}, False),
        ("ExecuteStatement", {"Statement": "DELETE FROM t WHERE pk='1'"}, False),
        ("ExecuteStatement", {}, False),
        ("ExecuteStatement", None, False),
        ("BatchExecuteStatement", {"Statements": [{"Statement": "SELECT * FROM t"}] * 2}, True),
        (
            "BatchExecuteStatement",
            {"Statements": [{"Statement": "SELECT * FROM t"}, {"Statement": "DELETE FROM t"}]},
            False,
        ),
        ("DescribeTable", None, True),
        ("ListTables", None, True),
        ("CreateTable", {}, False),
        ("UpdateTable", {}, False),
        ("DeleteTable", {}, False),
    ],
)
def test_an_operation_may_be_repeated_as_the_table_says(operation, params, safe):
    assert is_safe_to_repeat(operation, params) is safe


@pytest.mark.parametrize("operation", ["PutItem", "DeleteItem", "UpdateItem"])
@pytest.mark.parametrize(
    ("returned", "safe"),
    [("NONE", True), ("ALL_NEW", True), ("UPDATED_NEW", True), ("ALL_OLD", False), ("UPDATED_OLD", False)],
)
def test_a_write_that_returns_the_old_item_would_return_its_own_the_second_time(operation, returned, safe):
    assert is_safe_to_repeat(operation, update("SET a = :v", ReturnValues=returned)) is safe


@pytest.mark.parametrize(
    ("updates", "safe"),
    [
        ({"a": {"Action": "PUT", "Value": N}}, True),
        ({"a": {"Value": N}}, True),
        ({"a": {"Action": "DELETE"}}, True),
        ({"a": {"Action": "DELETE", "Value": SS}}, True),
        ({"a": {"Action": "ADD", "Value": SS}}, True),
        ({"a": {"Action": "ADD", "Value": {"x"}}}, True),
        ({"a": {"Action": "ADD", "Value": N}}, False),
        ({"a": {"Action": "ADD", "Value": 1}}, False),
        ({"a": {"Action": "ADD"}}, False),
        ({"a": {"Value": N}, "b": {"Action": "ADD", "Value": LIST}}, False),
        ({"a": "nonsense"}, False),
        ({}, True),
    ],
)
def test_legacy_attribute_updates_are_judged_alike(updates, safe):
    assert is_safe_to_repeat("UpdateItem", {"AttributeUpdates": updates}) is safe


# A plain reference model: update expressions, applied.

VALUES = {
    ":n": Decimal(2),
    ":m": Decimal(-3),
    ":s": frozenset({"x", "y"}),
    ":t": frozenset({"y", "z"}),
    ":l": (Decimal(7),),
    ":c": "constant",
}
NUMBERS, SETS, LISTS = ("n1", "n2"), ("s1", "s2"), ("l1", "l2")
ANY = (*NUMBERS, *SETS, *LISTS)
OF_TYPE = dict.fromkeys(NUMBERS, (":n", ":m")) | dict.fromkeys(SETS, (":s", ":t")) | dict.fromkeys(LISTS, (":l",))


def constant(path):
    return st.sampled_from(OF_TYPE[path]).map(lambda name: (f"{path} = {name}", path, ("value", name)))


def set_action(path):
    """Draw one SET action on `path`: its text, its path, and what it means."""
    kin = NUMBERS if path in NUMBERS else SETS if path in SETS else LISTS
    value, other = st.sampled_from(OF_TYPE[path]), st.sampled_from(kin)
    choices = [
        constant(path),
        other.map(lambda o: (f"{path} = {o}", path, ("path", o))),
        st.tuples(other, value).map(
            lambda p: (f"{path} = if_not_exists({p[0]}, {p[1]})", path, ("if", p[0], ("value", p[1])))
        ),
    ]
    if path in NUMBERS:
        choices += [
            st.tuples(other, value).map(lambda p: (f"{path} = {p[0]} + {p[1]}", path, ("+", ("path", p[0]), p[1]))),
            st.tuples(other, value).map(
                lambda p: (
                    f"{path} = if_not_exists({p[0]},{p[1]}) + {p[1]}",
                    path,
                    ("+", ("if", p[0], ("value", p[1])), p[1]),
                )
            ),
        ]
    if path in LISTS:
        choices += [
            other.map(lambda o: (f"{path} = list_append({o}, :l)", path, ("append", ("path", o), ":l"))),
            other.map(
                lambda o: (
                    f"{path} = list_append(if_not_exists({o}, :l), :l)",
                    path,
                    ("append", ("if", o, ("value", ":l")), ":l"),
                )
            ),
        ]
    return st.one_of(choices)


class AbsentError(Exception):
    """DynamoDB would refuse the update: an operand does not exist."""


def evaluate(meaning, item):
    match meaning:
        case ("value", name):
            return VALUES[name]
        case ("path", path):
            if path not in item:
                raise AbsentError
            return item[path]
        case ("if", path, default):
            return item[path] if path in item else evaluate(default, item)
        case ("+" | "append", left, name):
            return evaluate(left, item) + VALUES[name]


def apply(actions, item):  # noqa: C901 - one branch for each kind of action
    """Apply actions as DynamoDB does: every operand is read from the item as it was."""
    after = dict(item)
    for word, path, meaning in actions:
        if word == "SET":
            after[path] = evaluate(meaning, item)
        elif word == "REMOVE":
            after.pop(path, None)
        elif word == "REMOVE INDEX" and len(item.get(path, ())) > 0:
            after[path] = item[path][1:]
        elif word == "SET INDEX":
            if path not in item:
                raise AbsentError
            after[path] = (*item[path], VALUES[":c"])  # past the end: appended
        elif word == "ADD" and path in NUMBERS:
            after[path] = item.get(path, Decimal(0)) + VALUES[meaning]
        elif word == "ADD":
            after[path] = item.get(path, frozenset()) | VALUES[meaning]
        elif word == "DELETE" and path in item:
            left = item[path] - VALUES[meaning]
            after.pop(path)
            if left:
                after[path] = left
    return after


@st.composite
def updates(draw):
    """Draw an update expression and what it means. No two actions share a path: DynamoDB refuses that."""
    actions, clauses = [], {}
    for path in draw(st.lists(st.sampled_from(ANY), unique=True, min_size=1, max_size=4)):
        words = ["SET", "SET", "REMOVE"]
        words += ["ADD"] if path in (*NUMBERS, *SETS) else ["REMOVE INDEX", "SET INDEX"]
        words += ["DELETE"] if path in SETS else []
        word = draw(st.sampled_from(words))
        if word == "SET":
            text, _, meaning = draw(set_action(path))
        elif word == "REMOVE":
            text, meaning = path, None
        elif word == "REMOVE INDEX":
            text, meaning = f"{path}[0]", None
        elif word == "SET INDEX":
            text, meaning = f"{path}[99] = :c", None
        else:
            meaning = draw(st.sampled_from(OF_TYPE[path]))
            text = f"{path} {meaning}"
        actions.append((word, path, meaning))
        clauses.setdefault(word.split()[0], []).append(text)
    order = draw(st.permutations(list(clauses)))
    lower = draw(st.booleans())
    return " ".join(f"{word.lower() if lower else word} {', '.join(clauses[word])}" for word in order), actions


number, string_set = st.integers(-5, 5).map(Decimal), st.frozensets(st.sampled_from("wxyz"), min_size=1)
number_list = st.lists(st.integers(0, 3).map(Decimal), max_size=3).map(tuple)
items = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(NUMBERS, number) | dict.fromkeys(SETS, string_set) | dict.fromkeys(LISTS, number_list),
)


@examples(1500)
@given(updates(), items)
def test_whatever_is_called_safe_leaves_the_same_item_when_it_is_applied_twice(drawn, item):
    expression, actions = drawn
    if not is_safe_to_repeat("UpdateItem", update(expression, VALUES)):
        return
    try:
        once = apply(actions, copy.copy(item))
    except AbsentError:
        return  # refused, and so never applied
    assert apply(actions, once) == once, expression


@examples(300)
@given(
    st.lists(st.sampled_from(ANY), unique=True, min_size=1, max_size=4).flatmap(
        lambda paths: st.tuples(*[constant(path) for path in paths])
    )
)
def test_an_update_of_constants_is_always_called_safe(actions):
    expression = "SET " + ", ".join(text for text, _, _ in actions)
    assert is_safe_to_repeat("UpdateItem", update(expression, VALUES))


# What each operation is.

READ = {"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"}
WRITE = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems", "ExecuteTransaction"}
PARTIQL = {"ExecuteStatement", "BatchExecuteStatement"}
DATA_PLANE_LATER = {"SearchVectors"}
"""Came with botocore 1.43.117: not in older models."""


def model():
    return botocore.session.get_session().get_service_model("dynamodb")


def test_every_operation_of_the_model_is_of_the_kind_that_is_expected():
    kinds = {name: operation_kind(name, {}) for name in model().operation_names}
    assert {name for name, kind in kinds.items() if kind == "read"} - DATA_PLANE_LATER == READ
    assert {name for name, kind in kinds.items() if kind == "write"} == WRITE | PARTIQL


def test_every_control_operation_is_about_tables_and_not_about_items():
    words = (
        "Backup", "Backups", "Bulk", "Contributor", "Endpoints", "Export", "Exports", "Global", "Import", "Imports",
        "Kinesis", "Limits", "PointInTime", "Policy", "Replica", "Resource", "Table", "Tables", "Tags", "TimeToLive",
    )  # fmt: skip
    control = {name for name in model().operation_names if operation_kind(name, {}) == "control"}
    assert {name for name in control - DATA_PLANE_LATER if not any(word in name for word in words)} == set()


@pytest.mark.skipif("SearchVectors" not in model().operation_names, reason="this botocore has no SearchVectors")
def test_a_vector_search_is_a_read():
    assert operation_kind("SearchVectors", {"TableName": "t"}) == "read"
    assert is_read("SearchVectors")


@pytest.mark.parametrize("name", sorted(model().operation_names))
def test_an_operation_that_takes_one_table_is_known_by_it(name):
    members = model().operation_model(name).input_shape
    if members is None or "TableName" not in members.members:
        assert table_of(name, {}) is None
    else:
        assert table_of(name, {"TableName": "orders"}) == "orders"


@pytest.mark.parametrize(
    ("operation", "params", "table"),
    [
        ("GetItem", {}, None),
        ("GetItem", {"TableName": 5}, None),
        ("BatchGetItem", {"RequestItems": {"a": {}}}, "a"),
        ("BatchGetItem", {"RequestItems": {"a": {}, "b": {}}}, None),
        ("BatchWriteItem", {"RequestItems": {"a": []}}, "a"),
        ("BatchWriteItem", {"RequestItems": 5}, None),
        ("BatchWriteItem", {}, None),
        ("TransactWriteItems", {"TransactItems": [{"Put": {"TableName": "a"}}, {"Delete": {"TableName": "a"}}]}, "a"),
        ("TransactWriteItems", {"TransactItems": [{"Put": {"TableName": "a"}}, {"Put": {"TableName": "b"}}]}, None),
        ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "a"}}]}, "a"),
        ("TransactGetItems", {"TransactItems": [5, {"Get": 6}]}, None),
        ("ExecuteStatement", {"Statement": 'SELECT * FROM "orders"."by-date" WHERE a=1'}, "orders"),
        ("ExecuteStatement", {"Statement": "INSERT INTO orders VALUE {}"}, "orders"),
        ("ExecuteStatement", {"Statement": 'update "my-table.x" set a=1'}, "my-table.x"),
        ("ExecuteStatement", {"Statement": "DELETE FROM orders WHERE a=1"}, "orders"),
        ("ExecuteStatement", {}, None),
        ("BatchExecuteStatement", {"Statements": [{"Statement": "SELECT * FROM a"}] * 2}, "a"),
        (
            "BatchExecuteStatement",
            {"Statements": [{"Statement": "SELECT * FROM a"}, {"Statement": "SELECT * FROM b"}]},
            None,
        ),
        ("ExecuteTransaction", {"TransactStatements": [{"Statement": "UPDATE a SET b=1"}]}, "a"),
        ("ListTables", {}, None),
    ],
)
def test_the_one_table_of_a_request_is_found(operation, params, table):
    assert table_of(operation, params) == table


@pytest.mark.parametrize(
    ("statement", "kind"), [("SELECT 1", "read"), ("DELETE FROM t", "write"), ("EXISTS(SELECT 1)", "write")]
)
def test_partiql_is_a_read_only_where_it_selects(statement, kind):
    assert operation_kind("ExecuteStatement", {"Statement": statement}) == kind
    assert is_read("ExecuteStatement", {"Statement": statement}) is (kind == "read")


@pytest.mark.parametrize(
    ("name", "read"),
    [("DescribeTable", True), ("ListTables", True), ("GetResourcePolicy", True), ("UpdateTable", False)],
)
def test_a_control_operation_that_only_looks_is_a_read(name, read):
    assert is_read(name) is read


KEY, OTHER = {"pk": "a"}, {"pk": "b"}
ENTRY = {"TableName": "t", "Item": {"pk": "a"}}
ENTRIES = [
    ("GetItem", {"TableName": "t", "Key": KEY}, [("t", "GetItem", {"TableName": "t", "Key": KEY})]),
    (
        "BatchGetItem",
        {"RequestItems": {"t": {"Keys": [KEY, OTHER], "ConsistentRead": True}, "u": {"Keys": [KEY]}}},
        [("t", "Get", {"Key": KEY}), ("t", "Get", {"Key": OTHER}), ("u", "Get", {"Key": KEY})],
    ),
    (
        "BatchWriteItem",
        {"RequestItems": {"t": [{"PutRequest": {"Item": KEY}}, {"DeleteRequest": {"Key": OTHER}}]}},
        [("t", "PutRequest", {"Item": KEY}), ("t", "DeleteRequest", {"Key": OTHER})],
    ),
    ("TransactWriteItems", {"TransactItems": [{"Put": ENTRY}]}, [("t", "Put", ENTRY)]),
    ("TransactGetItems", {"TransactItems": ({"Get": ENTRY},)}, [("t", "Get", ENTRY)]),
]
NO_ENTRIES = [
    ("BatchGetItem", {}),
    ("BatchGetItem", {"RequestItems": ["t"]}),
    ("BatchGetItem", {"RequestItems": {"t": {"Keys": 1}}}),
    ("BatchWriteItem", {"RequestItems": {"t": None}}),
    ("BatchWriteItem", {"RequestItems": {"t": ["x", {"PutRequest": 1}]}}),
    ("TransactWriteItems", {"TransactItems": "x"}),
    ("TransactWriteItems", {"TransactItems": [None, {"Put": None}]}),
]


@pytest.mark.parametrize(("operation", "params", "entries"), ENTRIES, ids=[each[0] for each in ENTRIES])
def test_each_items_entry_is_known(operation, params, entries):
    assert list(entries_of(operation, params)) == entries
    assert set(tables_in(operation, params)) == {table for table, _, _ in entries}


@pytest.mark.parametrize(("operation", "params"), NO_ENTRIES)
def test_what_is_no_entry_is_left_to_botocore(operation, params):
    assert list(entries_of(operation, params)) == []


def test_a_table_is_named_also_where_nothing_is_asked_of_it():
    assert tables_in("BatchGetItem", {"RequestItems": {"t": {"Keys": []}, 1: {}}}) == ["t"]
    assert tables_in("ListTables", {}) == []
