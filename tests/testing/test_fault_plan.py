"""The decisions, without a socket."""

import json
import random
from dataclasses import dataclass

import pytest

from resilient_ddb.testing import faults
from resilient_ddb.testing.batches import leave_undone
from resilient_ddb.testing.calls import Call
from resilient_ddb.testing.messages import Response
from resilient_ddb.testing.plan import End, Fault, Forward, Plan, Refuse


def get(pk="a", table="orders", at=0.0):
    params = {"TableName": table, "Key": {"pk": {"S": pk}}}
    return Call(operation="GetItem", params=params, at=at)


def hits(plan, calls):
    return [plan.decide(call)[1] for call in calls]


def test_rate_follows_the_seed():
    plan = Plan([faults.Throttle(rate=0.2), faults.ResetBefore(rate=0.5)], seed=7)
    dice = random.Random(7)
    expected = [
        "Throttle" if dice.random() < 0.2 else "ResetBefore" if dice.random() < 0.5 else None for _ in range(500)
    ]
    assert hits(plan, [get()] * 500) == expected
    assert 60 < expected.count("Throttle") < 140
    other = Plan(plan.faults, seed=8)
    assert hits(other, [get()] * 500) != expected


def test_rate_at_its_ends():
    assert hits(Plan([faults.Hang(rate=0)], 0), [get()] * 50) == [None] * 50
    assert hits(Plan([faults.Hang()], 0), [get()] * 50) == ["Hang"] * 50


def test_every_and_times():
    plan = Plan([faults.Hang(every=3, times=2)], 0)
    calls = [get(), Call(operation="ListTables")] * 6
    plan_of_gets = Plan([faults.Hang(every=3, times=2, operations={"GetItem"})], 0)
    assert [at for at, hit in enumerate(hits(plan, calls)) if hit] == [2, 5]
    assert [at for at, hit in enumerate(hits(plan_of_gets, calls)) if hit] == [4, 10]
    assert hits(Plan([faults.Hang(times=0)], 0), calls) == [None] * 12


def test_the_first_that_hits_decides():
    plan = Plan([faults.Hang(times=1), faults.ResetBefore(every=2), faults.Delay(seconds=1.5)], 0)
    assert hits(plan, [get()] * 4) == ["Hang", "Delay", "ResetBefore", "Delay"]
    assert plan.decide(get()) == (Refuse(answer=End.RESET), "ResetBefore")
    act, _ = plan.decide(get())
    assert isinstance(act, Forward)
    assert act.delay == 1.5


BATCH_WRITE = {
    "RequestItems": {
        "orders": [{"PutRequest": {"Item": {"pk": {"S": "a"}, "n": {"N": "1"}}}}],
        "other": [{"DeleteRequest": {"Key": {"pk": {"S": "b"}}}}],
    }
}


@pytest.mark.parametrize(
    ("operation", "params", "tables"),
    [
        ("GetItem", {"TableName": "orders", "Key": {"pk": {"S": "a"}}}, {"orders"}),
        (
            "PutItem",
            {"TableName": "arn:aws:dynamodb:x:1:table/orders", "Item": {"pk": {"S": "a"}}},
            {"orders"},
        ),
        ("Scan", {"TableName": "orders"}, {"orders"}),
        ("BatchWriteItem", BATCH_WRITE, {"orders", "other"}),
        ("BatchGetItem", {"RequestItems": {"orders": {"Keys": [{"pk": {"S": "a"}}]}}}, {"orders"}),
        (
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "orders", "Item": {"pk": {"S": "a"}}}},
                    {"ConditionCheck": {"TableName": "other", "Key": {"pk": {"S": "b"}}}},
                ]
            },
            {"orders", "other"},
        ),
        (
            "TransactGetItems",
            {"TransactItems": [{"Get": {"TableName": "orders", "Key": {"pk": {"S": "a"}}}}]},
            {"orders"},
        ),
        ("ExecuteStatement", {"Statement": "SELECT 1"}, set()),
        ("BatchWriteItem", {"RequestItems": 3}, set()),
        ("BatchGetItem", {"RequestItems": {"orders": {}}}, set()),
        ("TransactWriteItems", {"TransactItems": [{}]}, set()),
    ],
)
def test_tables_and_keys(operation, params, tables):
    call = Call(operation=operation, params=params)
    assert {part.table for part in call.parts} == tables
    assert call.table == (next(iter(tables)) if len(tables) == 1 else None)
    for table in ("orders", "other", "third"):
        assert faults.Hang(table=table).matches(call) == (table in tables)
    has_key = bool(tables) and operation != "Scan"
    assert faults.Hang(key={"pk": {"S": "a"}}).matches(call) == has_key
    assert faults.Hang(key={"pk": {"S": "a"}}, table="orders").matches(call) == has_key
    assert not faults.Hang(key={"pk": {"S": "a"}}, table="other").matches(call)


def test_a_fault_that_fits_few_operations_leaves_the_rest():
    assert not faults.CancelTransaction().matches(get())
    assert not faults.Unprocessed().matches(get())
    assert faults.Unprocessed().act(Call(operation="BatchWriteItem", params={"RequestItems": 3})) is None
    keys = [{"pk": {"S": "a"}}, {"pk": {"S": "b"}}]
    for odd in ({}, [{"Get": {"Key": keys[0]}}]):  # one table of a batch that is not as DynamoDB takes it
        call = Call(operation="BatchGetItem", params={"RequestItems": {"orders": {"Keys": keys}, "odd": odd}})
        assert faults.Unprocessed(share=1.0).act(call) is None


def test_too_small_a_batch_goes_unharmed_and_is_not_counted():
    params = {"RequestItems": {"orders": {"Keys": [{"pk": {"S": "a"}}]}}}
    plan = Plan([faults.Unprocessed(times=1)], 0)
    assert plan.decide(Call(operation="BatchGetItem", params=params))[1] is None


def test_what_the_upstream_left_undone_is_kept():
    def key(pk):
        return {"pk": {"S": pk}}

    keys = {"orders": {"Keys": [key("a"), key("b")], "ConsistentRead": True}}
    call = Call(operation="BatchGetItem", params={"RequestItems": keys})
    act = leave_undone(call, {1})
    rest = {"orders": {"Keys": [key("a")], "ConsistentRead": True}}
    assert json.loads(act.body) == {"RequestItems": rest}
    body = json.dumps({"Responses": {}, "UnprocessedKeys": rest}).encode()
    merged = act.change(Response(status=200, headers=(), body=body))
    assert json.loads(merged.body) == {"Responses": {"orders": []}, "UnprocessedKeys": keys}

    puts = [{"PutRequest": {"Item": key(pk)}} for pk in "ab"]
    call = Call(operation="BatchWriteItem", params={"RequestItems": {"orders": puts}})
    body = json.dumps({"UnprocessedItems": {"orders": puts[:1]}}).encode()
    merged = leave_undone(call, {1}).change(Response(status=200, headers=(), body=body))
    assert json.loads(merged.body) == {"UnprocessedItems": {"orders": puts}}
    error = Response(status=400, headers=(), body=b"{}")
    assert leave_undone(call, {1}).change(error) is error


def test_outage_window():
    outage = faults.Outage(start=10, duration=5)
    times = [0, 9.99, 10, 14.99, 15, 99]
    assert [outage.matches(get(at=at)) for at in times] == [False, False, True, True, False, False]
    reset = faults.Outage(duration=float("inf"), mode="reset", operations={"GetItem"})
    assert reset.act(get()) == Refuse(answer=End.RESET)
    assert not reset.matches(Call(operation="PutItem"))
    assert faults.Outage(duration=1, mode="hang").act(get()) == Refuse(answer=End.HANG)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: faults.Throttle(rate=1.5), ValueError, "rate must be from 0 to 1; got 1.5"),
        (lambda: faults.Throttle(rate=float("nan")), ValueError, "rate"),
        (lambda: faults.Throttle(rate="1"), TypeError, "rate must be a number; got '1'"),
        (lambda: faults.Throttle(every=0), ValueError, "every must be 1 or more; got 0"),
        (lambda: faults.Throttle(every=1.5), TypeError, "every must be a whole number"),
        (lambda: faults.Throttle(every=2, rate=0.5), ValueError, "rate or every"),
        (lambda: faults.Throttle(times=-1), ValueError, "times"),
        (lambda: faults.Throttle(operations="GetItem"), TypeError, "operations"),
        (lambda: faults.Throttle(operations={"get_item"}), ValueError, "'get_item'"),
        (lambda: faults.Throttle(table=""), ValueError, "table"),
        (lambda: faults.Throttle(table=3), TypeError, "table must be a string; got 3"),
        (lambda: faults.Throttle(key="a"), TypeError, "key"),
        (lambda: faults.Throttle(reasons="Table"), TypeError, "reasons"),
        (lambda: faults.Throttle(reasons=[("a", 1)]), TypeError, "reasons"),
        (lambda: faults.Throttle(retry_after_ms=-1), ValueError, "retry_after_ms"),
        (lambda: faults.ServerError(status=400), ValueError, "status must be from 500 to 599; got 400"),
        (lambda: faults.ErrorResponse(code="X", status=200), ValueError, "status"),
        (lambda: faults.ErrorResponse(code=""), ValueError, "code"),
        (lambda: faults.ErrorResponse(code="X", extra=3), TypeError, "extra"),
        (lambda: faults.ErrorResponse(code="X", date=3), TypeError, "date"),
        (lambda: faults.HtmlError(status=200), ValueError, "status"),
        (lambda: faults.Delay(seconds=-1), ValueError, "seconds must be 0 or more; got -1"),
        (lambda: faults.TruncateBody(keep=1), ValueError, "keep must be below 1"),
        (lambda: faults.ShortBody(keep=-0.1), ValueError, "keep"),
        (lambda: faults.BadJson(body="text"), TypeError, "body must be bytes"),
        (lambda: faults.Unprocessed(share=0), ValueError, "share must be above 0"),
        (lambda: faults.Unprocessed(operations={"GetItem"}), ValueError, "BatchWriteItem"),
        (lambda: faults.CancelTransaction(reasons="None"), TypeError, "reasons"),
        (lambda: faults.Outage(duration=-1), ValueError, "duration"),
        (lambda: faults.Outage(start=-1, duration=1), ValueError, "start"),
        (lambda: faults.Outage(duration=1, mode="refuse"), ValueError, "mode"),
        (lambda: faults.PartitionCapacity(partition_key=""), ValueError, "partition_key"),
        (lambda: faults.PartitionCapacity(partition_key="pk", write_units=0), ValueError, "write_units"),
        (lambda: Plan([3], 0), TypeError, "plan must hold faults"),
        (lambda: Plan(faults.Hang(), 0), TypeError, "plan must be a list"),
        (faults.Fault, TypeError, "abstract"),
    ],
)
def test_settings_that_cannot_be_meant(make, error, words):
    with pytest.raises(error) as caught:
        make()
    assert words in str(caught.value)


def test_exported_names_are_sorted_and_there():
    assert faults.__all__ == sorted(faults.__all__)
    assert all(hasattr(faults, name) for name in faults.__all__)


@pytest.mark.parametrize("name", ["GetItems", "PutItems", "get_item", "Foo", "UpdateItems"])
def test_an_operation_that_there_is_not_is_refused(name):
    with pytest.raises(ValueError, match="operations must be the API's own names"):
        faults.Throttle(operations={name})


@pytest.mark.parametrize("name", ["GetItem", "Query", "DescribeTable", "CreateTable", "ListTables", "BatchWriteItem"])
def test_an_operation_that_there_is_is_taken(name):
    assert faults.Throttle(operations={name}).operations == {name}


def test_a_key_without_types_is_refused():
    with pytest.raises(TypeError, match="key must be wire values"):
        faults.Throttle(key={"id": "x"})


def test_a_fault_of_ones_own_has_the_constructor_that_it_says():
    class Nth(Fault):
        def __init__(self, number):
            super().__init__(every=number)

        def act(self, call):
            """Do nothing."""

    @dataclass(frozen=True)
    class Named(Fault):
        name: str = "x"

        def act(self, call):
            """Do nothing."""

    assert Nth(3).every == 3
    assert Named("y").name == "y"
    with pytest.raises(TypeError, match=r"Named\(\) has no argument 'probability'; did you mean rate\?"):
        Named(probability=0.5)
