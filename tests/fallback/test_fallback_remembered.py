"""Answers in memory: within their bounds, and gone once a write may have changed them."""

from __future__ import annotations

import pickle
from decimal import Decimal

import pytest
from boto3.dynamodb.conditions import Key
from boto3.dynamodb.types import Binary
from botocore import exceptions as bx
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from unit_support import ADD, GET, KEY, PUT, Made, SleepingClock, attempt_all, call, failed, good, make_core, python

from resilient_ddb import fallback
from resilient_ddb.calls.ending import cancel, recover
from resilient_ddb.calls.execution import Execution
from resilient_ddb.calls.flows import run
from resilient_ddb.fallback import Call
from resilient_ddb.fallback.item_marks import marks_of_read, value_of, written_by
from resilient_ddb.fallback.remembered import Remembered
from resilient_ddb.policy.retry import Retry
from resilient_ddb.testing import FakeClock

ONCE = Retry(max_attempts=1)
LOST = bx.ReadTimeoutError(endpoint_url="https://dynamodb")
THROTTLED = failed("ThrottlingException")
PUT_OTHER = ("PutItem", {"TableName": "t", "Item": {"pk": {"S": "2"}}})


def make_call(clock, operation="GetItem", *, began=float("inf"), **params):
    params = {"TableName": "t", **({"Key": {"pk": "1"}} if not params else {}), **params}
    return Call(
        operation=operation,
        params=params,
        table="t",
        identity=("who",),
        clock=clock,
        elsewhere=lambda region, endpoint_url: None,
        began=began,
    )


def numbered(clock, number):
    return make_call(clock, Key={"pk": str(number)})


def is_known(stale, made):
    return stale(made, ValueError()) is not None


def answers(core):
    """Return whether a read that DynamoDB does not answer is answered by what is remembered."""
    return call(core, *GET, [THROTTLED] * 10).error is None


# Age.


def test_an_answer_ages_while_the_machine_sleeps():
    stale, clock = fallback.stale(max_age=4000), SleepingClock()
    stale.remember(make_call(clock), {"Item": {}})
    clock.advance(5)
    clock.slept += 3600
    assert stale(make_call(clock), ValueError())["ResponseMetadata"]["Resilience"]["age"] == 3605.0
    clock.slept += 390
    assert is_known(stale, make_call(clock))
    clock.advance(6)
    assert not is_known(stale, make_call(clock))


def test_a_time_of_day_that_is_set_back_makes_no_answer_younger():
    stale, clock = fallback.stale(max_age=4000), SleepingClock()
    stale.remember(make_call(clock), {"Item": {}})
    clock.advance(100)
    clock.slept -= 7200
    assert stale(make_call(clock), ValueError())["ResponseMetadata"]["Resilience"]["age"] == 100.0
    clock.slept += 3600  # it sleeps now
    assert stale(make_call(clock), ValueError())["ResponseMetadata"]["Resilience"]["age"] == 3700.0


# Bounds.


def test_large_answers_are_kept_within_their_bytes_and_the_oldest_go_first():
    clock, stale = FakeClock(), fallback.stale(max_bytes=5_000_000)
    for number in range(20):
        stale.remember(numbered(clock, number), good(Item={"a": "x" * 1_000_000}))
    assert [number for number in range(20) if is_known(stale, numbered(clock, number))] == [16, 17, 18, 19]


def test_the_default_is_64_megabytes():
    clock, stale = FakeClock(), fallback.stale()
    for number in range(70):
        stale.remember(numbered(clock, number), good(Item={"a": "x" * 1024**2}))
    assert [number for number in range(70) if is_known(stale, numbered(clock, number))] == [*range(7, 70)]


def test_what_is_asked_takes_memory_too():
    clock, stale = FakeClock(), fallback.stale(max_bytes=1_000_000)
    scans = [make_call(clock, "Scan", FilterExpression=f"{number}" + "x" * 100_000) for number in range(100)]
    for scan in scans:
        stale.remember(scan, good(Items=[]))
    assert sum(is_known(stale, scan) for scan in scans) == 9


def test_an_answer_too_large_to_keep_takes_the_place_of_the_older_one_all_the_same():
    clock, stale = FakeClock(), fallback.stale(max_bytes=10_000)
    stale.remember(numbered(clock, 1), good(Item={"a": 1}))
    stale.remember(numbered(clock, 2), good(Item={"a": 1}))
    stale.remember(numbered(clock, 1), good(Item={"a": "x" * 20_000}))
    assert not is_known(stale, numbered(clock, 1))
    assert is_known(stale, numbered(clock, 2))


@pytest.mark.parametrize("use", ["remember", "ask"])
def test_what_has_expired_does_not_stay_in_memory(use):
    clock, stale = FakeClock(), fallback.stale(max_age=60)
    for number in range(10):
        stale.remember(numbered(clock, number), good())
        clock.advance(10)
    other = make_call(clock, "Scan", Limit=1)
    stale.remember(other, good()) if use == "remember" else stale(other, ValueError())
    kept, _, _ = stale.memory()
    assert kept == 6 + (use == "remember")


def test_the_recipe_has_the_bounds():
    given, clock = fallback.stale(max_age=7, max_items=3, max_bytes=10_000), FakeClock()
    stale = pickle.loads(pickle.dumps(given))  # noqa: S301 - our own
    for number in range(4):
        stale.remember(numbered(clock, number), good())
    stale.remember(numbered(clock, 4), good(Item={"a": "x" * 10_000}))
    assert [number for number in range(5) if is_known(stale, numbered(clock, number))] == [1, 2, 3]
    clock.advance(7)
    assert is_known(stale, numbered(clock, 3))
    clock.advance(0.1)
    assert not is_known(stale, numbered(clock, 3))


@pytest.mark.parametrize(("max_bytes", "error"), [(0, ValueError), (1.5, TypeError), ("1", TypeError)])
def test_bounds_that_can_not_be_meant_are_refused(max_bytes, error):
    with pytest.raises(error, match="max_bytes"):
        fallback.stale(max_bytes=max_bytes)


MARKS = st.lists(
    st.tuples(st.sampled_from("tu"), st.frozensets(st.tuples(st.sampled_from("ab"), st.integers(0, 1)), max_size=2)),
    max_size=3,
)
STEPS = st.one_of(
    st.tuples(st.just("keep"), st.integers(0, 5), st.integers(0, 3_000)),
    st.tuples(st.just("drop_before"), st.integers(0, 30)),
    st.tuples(
        st.just("written"),
        st.sampled_from(["t", "u", None]),
        st.none() | st.dictionaries(st.sampled_from("abc"), st.sampled_from(["0", "1"]), max_size=3),
    ),
)


@examples(100)
@given(st.lists(STEPS, max_size=30), st.lists(MARKS, min_size=6, max_size=6))
def test_the_tables_beside_the_answers_hold_what_these_have_and_no_more(steps, marks_of_key):
    kept = Remembered(4, 8_000)
    for at, (step, *rest) in enumerate(steps):
        if step == "keep":
            key, size = rest
            marks = [
                (table, frozenset((name, ("S", str(number))) for name, number in dict(mark).items()))
                for table, mark in marks_of_key[key]
            ]
            kept.keep(key, b"x" * size, marks, began=at, at=at)
        elif step == "drop_before":
            kept.drop_before(*rest)
        else:
            kept.drop_written(*rest, at)
        answers, marked, names = tables_of(kept)
        assert len(answers) <= 4
        assert kept.size == sum(answer.size for answer in answers.values()) <= 8_000
        assert [answer.at for answer in answers.values()] == sorted(answer.at for answer in answers.values())
        assert marked == {mark: {key for key, answer in answers.items() if mark in answer.marks} for mark in marked}
        named = {}
        for answer in answers.values():
            for table, mark in answer.marks:
                of_table = named.setdefault(table, {})
                of_mark = frozenset(name for name, _ in mark)
                of_table[of_mark] = of_table.get(of_mark, 0) + 1
        assert names == named
        assert set(marked) == {mark for answer in answers.values() for mark in answer.marks}


def tables_of(kept):
    return kept._answers, kept._marked, kept._names  # noqa: SLF001 - memory that must not grow


@pytest.mark.parametrize(("writes", "is_kept"), [(1_000, True), (1_001, False)])
def test_writes_without_end_take_no_memory(writes, is_kept):
    """A read that began before the oldest write that is known may have been overtaken: its answer is not kept."""
    clock, stale = FakeClock(), fallback.stale()
    stale.remember(numbered(clock, -1), good())  # by which attributes items are told apart
    clock.advance(1.0)
    read = make_call(clock, Key={"pk": "read"}, began=clock.monotonic() - 0.5)
    for number in range(writes):
        clock.advance(0.001)
        stale.forget(make_call(clock, "PutItem", Item={"pk": str(number)}))
    stale.remember(read, good())
    assert is_known(stale, read) is is_kept


# What a write may have changed. A model: one table, whose items have a partition key and a sort key.

KEYS = st.fixed_dictionaries({"pk": st.sampled_from("ab"), "sk": st.integers(0, 2)})
NATIVE_READS = st.one_of(
    st.tuples(st.just("GetItem"), KEYS),
    st.tuples(st.just("BatchGetItem"), st.lists(KEYS, min_size=1, max_size=2)),
    st.tuples(st.just("TransactGetItems"), st.lists(KEYS, min_size=1, max_size=2)),
    st.tuples(st.sampled_from(["Query", "Query by text", "Query by KeyConditions"]), st.sampled_from("ab")),
    st.tuples(st.just("Query of one"), KEYS),
    st.tuples(st.just("Scan"), st.none()),
    st.tuples(st.just("Query of an index"), st.integers(0, 1)),
)
NATIVE_WRITES = st.tuples(
    st.sampled_from(["PutItem", "UpdateItem", "DeleteItem", "Put", "Update", "Delete", "PutRequest", "DeleteRequest"]),
    KEYS,
    st.integers(0, 1),
)


def read_of(kind, what):
    """Return operation, parameters, and which items the answer holds."""
    if kind.startswith("Query by") or kind == "Query":
        return "Query", QUERIES[kind](what), lambda item: item["pk"] == what
    params, holds = {
        "GetItem": lambda: ({"Key": what}, lambda item: same_key(item, what)),
        "BatchGetItem": lambda: (
            {"RequestItems": {"t": {"Keys": what}}},
            lambda item: any(same_key(item, key) for key in what),
        ),
        "TransactGetItems": lambda: (
            {"TransactItems": [{"Get": {"TableName": "t", "Key": key}} for key in what]},
            lambda item: any(same_key(item, key) for key in what),
        ),
        "Query of one": lambda: (
            {"KeyConditionExpression": Key("pk").eq(what["pk"]) & Key("sk").eq(what["sk"])},
            lambda item: same_key(item, what),
        ),
        "Query of an index": lambda: (
            {"IndexName": "by-v", "KeyConditionExpression": Key("v").eq(what)},
            lambda item: item["v"] == what,
        ),
        "Scan": lambda: ({}, lambda item: True),
    }[kind]()
    return kind.split()[0], params, holds


QUERIES = {
    "Query": lambda pk: {"KeyConditionExpression": Key("sk").gt(-1) & Key("pk").eq(pk)},
    "Query by text": lambda pk: {
        "KeyConditionExpression": "sk BETWEEN :a AND :b AND :p=#p",
        "ExpressionAttributeNames": {"#p": "pk"},
        "ExpressionAttributeValues": {":a": 0, ":b": 9, ":p": pk},
    },
    "Query by KeyConditions": lambda pk: {
        "KeyConditions": {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [pk]}}
    },
}


def same_key(item, key):
    return (item["pk"], item["sk"]) == (key["pk"], key["sk"])


def write_of(kind, key, value):
    item = {**key, "sk": Decimal(key["sk"]), "v": value}  # a number in another type
    of_kind = {
        "PutItem": {"Item": item},
        "UpdateItem": {"Key": key},
        "DeleteItem": {"Key": key},
        "Put": {"TransactItems": [{"Put": {"TableName": "t", "Item": item}}, {"ConditionCheck": {"TableName": "t"}}]},
        "Update": {"TransactItems": [{"Update": {"TableName": "arn:aws:dynamodb:r:1:table/t", "Key": key}}]},
        "Delete": {"TransactItems": [{"Delete": {"TableName": "t", "Key": key}}]},
        "PutRequest": {"RequestItems": {"t": [{"PutRequest": {"Item": item}}]}},
        "DeleteRequest": {"RequestItems": {"t": [{"DeleteRequest": {"Key": key}}]}},
    }[kind]
    operation = kind if kind.endswith("Item") else "BatchWriteItem" if "Request" in kind else "TransactWriteItems"
    after = None if kind.startswith("Delete") else item
    return operation, of_kind, after


@examples(100)
@given(st.lists(KEYS, max_size=4), st.lists(NATIVE_READS, min_size=1, max_size=8), st.lists(NATIVE_WRITES, max_size=4))
def test_after_an_own_write_no_answer_is_given_that_it_has_changed(stored, reads, writes):
    clock, stale = FakeClock(), fallback.stale()
    items = {(key["pk"], key["sk"]): {**key, "v": 0} for key in stored}
    asked = {}
    for kind, what in reads:
        operation, params, holds = read_of(kind, what)
        made = make_call(clock, operation, **params)
        asked[repr((kind, what))] = (made, holds, answer := [item for item in items.values() if holds(item)])
        stale.remember(made, good(Items=answer))
    written = []
    for kind, key, value in writes:
        operation, params, after = write_of(kind, key, value)
        written.append(key)
        items.pop((key["pk"], key["sk"]), None)
        if after is not None:
            items[key["pk"], key["sk"]] = after
        stale.forget(make_call(clock, operation, **params))
    for made, holds, answer in asked.values():
        now = [item for item in items.values() if holds(item)]
        if sorted(map(repr, map(sorted_items, now))) != sorted(map(repr, map(sorted_items, answer))):
            assert not is_known(stale, made)
        elif made.operation != "Scan" and not any(holds({**key, "v": 0}) or holds({**key, "v": 1}) for key in written):
            assert is_known(stale, made) or "IndexName" in made.params


def sorted_items(item):
    return sorted((name, Decimal(value) if isinstance(value, int) else value) for name, value in item.items())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", {"S": "a"}),
        (1, {"N": "1.0"}),
        (1, Decimal("1.00")),
        (b"a", Binary(b"a")),
        (bytearray(b"a"), {"B": b"a"}),
        (Decimal("1E+100"), {"N": "1" + "0" * 100}),
    ],
)
def test_a_key_is_the_same_in_all_its_forms(one, other):
    assert value_of(one) == value_of(other)
    assert hash(value_of(one)) == hash(value_of(other))


@pytest.mark.parametrize("value", [True, None, 1.5, {"a": 1}, [1], {"N": "x"}, {"BOOL": True}])
def test_what_can_be_no_key_leaves_it_open_which_item_is_meant(value):
    with pytest.raises((TypeError, ArithmeticError)):
        value_of(value)
    assert marks_of_read("GetItem", {"TableName": "t", "Key": {"pk": value}}) == [("t", frozenset())]


@pytest.mark.parametrize(
    ("operation", "params", "tables"),
    [
        ("ExecuteStatement", {"Statement": "DELETE FROM \"t\" WHERE pk = 'a'"}, ["t"]),
        ("BatchExecuteStatement", {"Statements": [{"Statement": "UPDATE t SET a = 1"}]}, ["t"]),
        ("ExecuteTransaction", {"TransactStatements": [{"Statement": "INSERT INTO t VALUE {'pk': 'a'}"}]}, ["t"]),
        ("ExecuteStatement", {"Statement": "?"}, [None]),
        ("DeleteTable", {"TableName": "arn:aws:dynamodb:r:1:table/t"}, ["t"]),
    ],
)
def test_a_write_that_does_not_say_which_item_may_have_changed_any_of_its_table(operation, params, tables):
    assert written_by(operation, params) == [(table, None) for table in tables]
    clock, stale = FakeClock(), fallback.stale()
    stale.remember(make_call(clock), good())
    stale.remember(make_call(clock, TableName="u", Key={"pk": "1"}), good())
    call = make_call(clock, operation)
    stale.forget(call.replaced(params=params))
    assert not is_known(stale, make_call(clock))
    assert is_known(stale, make_call(clock, TableName="u", Key={"pk": "1"})) is (tables != [None])


@pytest.mark.parametrize(
    ("key", "kept"),
    [({"pk": "1"}, False), ({"pk": "2"}, True), ({"pk": True}, False)],
    ids=["that item", "another", "nobody knows"],
)
def test_a_read_that_was_under_way_beside_a_write_is_not_remembered(key, kept):
    """What it found may be of before: which of the two came first can't be told."""
    clock, stale = FakeClock(), fallback.stale()
    stale.remember(make_call(clock, Key={"pk": "9"}), good())  # which attributes are keys is known
    began = clock.monotonic()
    clock.advance(1)
    stale.forget(make_call(clock, "PutItem", Item={**key, "a": 1}))
    clock.advance(1)
    stale.remember(make_call(clock, began=began), good())
    assert is_known(stale, make_call(clock)) is kept
    stale.remember(make_call(clock, began=clock.monotonic()), good())
    assert is_known(stale, make_call(clock))


def test_a_read_that_was_under_way_for_longer_than_writes_are_known_is_not_remembered():
    clock, stale = FakeClock(), fallback.stale()
    began = clock.monotonic()
    for number in range(1_001):
        clock.advance(0.001)
        stale.forget(make_call(clock, "PutItem", Item={"pk": f"other {number}"}))
    stale.remember(make_call(clock, began=began), good())
    assert not is_known(stale, make_call(clock))


# Calls.


@pytest.mark.parametrize(
    ("write", "outcomes", "policy", "kept"),
    [
        (PUT, [good()], {}, False),
        (ADD, [good()], {}, False),
        (PUT_OTHER, [good()], {}, True),
        (ADD, [LOST], {}, False),  # it may have been applied
        (PUT, [LOST, failed("ValidationException")], {}, False),
        (ADD, [THROTTLED], {"retry": ONCE}, True),  # surely not
        (PUT, [failed("ConditionalCheckFailedException")], {}, True),
    ],
)
@pytest.mark.parametrize("by", ["the same", "a view", "the client", "another view"])
def test_a_write_that_was_made_or_may_have_been_drops_what_it_changed(write, outcomes, policy, kept, by):
    stale = fallback.stale()
    core = make_core(fallback=None, **policy)
    reading = core.with_policy(core.policy.replace(fallback=stale), "t")
    writing = {
        "the same": reading,
        "the client": core,
        "a view": core.with_ttl(None),
        "another view": core.with_ttl(None),
    }[by]
    call(reading, *GET, [good(Item=KEY)])
    call(writing, *write, outcomes)
    answered = call(reading, *GET, [THROTTLED] * 10)
    assert (answered.error is None) is kept


def test_an_own_write_that_is_found_drops_what_it_changed():
    stale = fallback.stale()
    core = make_core(fallback=stale)
    call(core, *GET, [good(Item=KEY)])
    put = {**PUT[1], "ConditionExpression": "attribute_not_exists(pk)"}
    made = call(core, "PutItem", put, [LOST, failed("ConditionalCheckFailedException", Item=put["Item"])])
    assert made.error is None
    assert not answers(core)


def test_a_write_that_was_cancelled_in_the_air_drops_what_it_may_have_changed():
    stale = fallback.stale()
    core = make_core(fallback=stale)
    call(core, *GET, [good(Item=KEY)])
    execution = Execution(core, *PUT)
    cancel(execution)
    assert answers(core)  # nothing was sent
    execution = Execution(core, *PUT)
    execution.admit()
    cancel(execution)
    assert not answers(core)


def test_a_write_that_was_cancelled_once_it_was_answered_drops_what_it_changed():
    stale, told = fallback.stale(), []
    core = make_core(fallback=stale, observers=[told.append])
    call(core, *GET, [good(Item=KEY)])
    made = Made(core, *PUT)
    attempt_all(made, [good()])
    cancel(made.execution)
    assert (told[-1].outcome, told[-1].ambiguous) == ("cancelled", True)
    assert not answers(core)


def test_a_read_that_was_cancelled_once_it_was_answered_has_changed_nothing():
    stale, told = fallback.stale(), []
    core = make_core(fallback=stale, observers=[told.append])
    call(core, *GET, [good(Item=KEY)])
    made = Made(core, *GET)
    attempt_all(made, [good(Item=KEY)])
    cancel(made.execution)
    assert (told[-1].outcome, told[-1].ambiguous) == ("cancelled", False)
    assert answers(core)


def test_a_write_whose_answer_can_not_be_read_drops_what_it_changed():
    stale = fallback.stale()
    core = make_core(fallback=stale)
    call(core, *GET, [good(Item=KEY)])
    made = Made(core, *PUT)
    attempt_all(made, [good()])
    with pytest.raises(ValueError, match="of a handler"):
        run(recover(made.execution, ValueError("of a handler")))
    assert not answers(core)


def test_a_fallback_that_is_gone_is_told_of_nothing():
    core = make_core(fallback=None)
    view = core.with_policy(core.policy.replace(fallback=fallback.stale()), "t")
    assert len(core.keepers) == len(view.keepers) == 1
    del view
    assert core.keepers == {}


def test_a_fallback_that_can_not_forget_fails_no_write(caplog):
    class Forgetful(fallback.Fallback):
        def __call__(self, call, error):
            return None

        def remember(self, call, response):
            return None

        def forget(self, call):
            raise RuntimeError("the disk is full")

    made = call(make_core(fallback=Forgetful()), *PUT, [good()])
    assert made.error is None
    assert [record.getMessage() for record in caplog.records] == ["fallback fallback can't forget an answer"]


def test_clients_without_a_fallback_load_nothing_for_it():
    code = (
        "import sys, resilient_ddb.policy as p; p.Policy(); print('resilient_ddb.fallback.remembered' in sys.modules)"
    )
    assert python(code) == "False"
