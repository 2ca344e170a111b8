"""Shards that grow while programs on two neighbouring steps write: no key ever has two items, and nothing is lost.

One machine has the old layout and reads the new one too, as in step 1 of the documentation; the other is on step 2.
"""

from dataclasses import dataclass
from itertools import product
from types import SimpleNamespace

import pytest
from boto3.dynamodb.conditions import Attr
from botocore.exceptions import ClientError
from emulators import plain_client, plain_resource
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from properties import examples
from sharded_support import done, operations

import resilient_ddb as rddb
from resilient_ddb.sharding import RANDOM
from resilient_ddb.sharding.layout import Layout
from resilient_ddb.sharding.reads import ShardReads
from resilient_ddb.testing import faults

OLD, NEW = rddb.ShardLayout(2, by="sk"), rddb.ShardLayout(7, by="sk")
BEFORE, AFTER = {"shards": 2, "previous": (7,)}, {"shards": 7, "previous": (2,)}
NUMBER = next(
    number for number in range(99) if OLD.stored_key("a", {"sk": number}) != NEW.stored_key("a", {"sk": number})
)
KEY = {"pk": "a", "sk": NUMBER}
PLACES = {"nowhere": None, "old": OLD.stored_key("a", KEY), "new": NEW.stored_key("a", KEY)}
ADD = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}
REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Meddle(faults.Throttle):
    """Let another machine work just before one request, and hit none."""

    before: int
    work: object
    seen: list

    def matches(self, call):
        if call.operation != "DescribeTable":
            self.seen.append(call.operation)
            if len(self.seen) == self.before:
                self.work()
        return False


def n_of(attributes):
    return None if attributes is None else attributes.get("n")


# What each verb does with the table, and what it makes of the item's number: the answer, and the number afterwards.
VERBS = {
    "update_item": (
        lambda docs: docs.update_item(Key=KEY, **ADD, ReturnValues="UPDATED_NEW"),
        lambda n: ((n or 0) + 1, (n or 0) + 1),
    ),
    "update_item, all": (
        lambda docs: docs.update_item(Key=KEY, **ADD, ReturnValues="ALL_NEW"),
        lambda n: ((n or 0) + 1, (n or 0) + 1),
    ),
    "update_item, old": (
        lambda docs: docs.update_item(Key=KEY, **ADD, ReturnValues="UPDATED_OLD"),
        lambda n: (n, (n or 0) + 1),
    ),
    "update_item, if it is there": (
        lambda docs: docs.update_item(Key=KEY, **ADD, ConditionExpression=Attr("n").exists()),
        lambda n: (REFUSED, None) if n is None else (None, n + 1),
    ),
    "idempotent_update": (
        lambda docs: docs.idempotent_update(Key=KEY, **ADD),
        lambda n: (None, (n or 0) + 1),
    ),
    "idempotent_update, if it is there": (
        lambda docs: docs.idempotent_update(Key=KEY, **ADD, ConditionExpression="attribute_exists(pk)"),
        lambda n: (REFUSED, None) if n is None else (None, n + 1),
    ),
    "put_item": (
        lambda docs: docs.put_item(Item={**KEY, "n": 50}, ReturnValues="ALL_OLD"),
        lambda n: (n, 50),
    ),
    "put_item, if there is none": (
        lambda docs: docs.put_item(Item={**KEY, "n": 50}, ConditionExpression=Attr("pk").not_exists()),
        lambda n: (None, 50) if n is None else (REFUSED, n),
    ),
    "delete_item": (
        lambda docs: docs.delete_item(Key=KEY, ReturnValues="ALL_OLD"),
        lambda n: (n, None),
    ),
    "modify": (
        lambda docs: docs.versioned().modify(
            KEY, lambda item: {**(item or KEY), "n": ((item or {}).get("n") or 0) + 1}
        ),
        lambda n: ((n or 0) + 1, (n or 0) + 1),
    ),
}
UNVERSIONED = ("update_item", "idempotent_update", "put_item", "delete_item")


async def answered(verb, docs):
    """Return the number that a verb answers."""
    try:
        return n_of_answer(verb, await done(VERBS[verb][0](docs)))
    except docs.meta.client.exceptions.ConditionalCheckFailedException:
        return REFUSED


def n_of_answer(verb, answer):
    return n_of(answer) if verb == "modify" else n_of(answer.get("Attributes"))


def answered_at_once(verb, docs):
    try:
        return n_of_answer(verb, VERBS[verb][0](docs))
    except docs.meta.client.exceptions.ConditionalCheckFailedException:
        return REFUSED


def outcomes(n, *verbs):
    """Return what the verbs answer, one after the other, and the number at the end."""
    answers = []
    for verb in verbs:
        answer, n = VERBS[verb][1](n)
        answers.append(answer)
    return answers, n


@pytest.fixture
def machines(either, dynamodb_local, hardened_sync):
    """One machine on a step, and another, past the proxy, on the one before or after."""

    def place(where, **item):
        for found in either.stored():
            either.direct.delete_item(Key={"pk": found["pk"], "sk": found["sk"]})
        if PLACES[where]:
            either.direct.put_item(Item={"pk": PLACES[where], "sk": NUMBER, **item})

    other = hardened_sync(dynamodb_local.endpoint_url).Table(either.name)
    return SimpleNamespace(either=either, place=place, other=other)


@pytest.mark.parametrize("verb", VERBS)
async def test_whatever_comes_between_two_requests_is_as_before_or_after(machines, verb):
    either = machines.either
    mine, theirs = either.table.sharded(**AFTER), machines.other.sharded(**BEFORE)
    version = {"version": 1} if verb == "modify" else {}
    for other, where in product(["modify"] if version else UNVERSIONED, PLACES):
        n = None if PLACES[where] is None else 5
        said, before = [None], 0
        while said:
            before += 1
            assert before < 20
            machines.place(where, n=5, **version)
            said = []
            work = lambda other=other, said=said: said.append(answered_at_once(other, theirs))  # noqa: E731 - short
            either.proxy.plan = [Meddle(before=before, work=work, seen=[])]
            answers = [await answered(verb, mine), *said]
            stored = either.stored()
            assert len(stored) <= 1
            found = (answers, n_of(stored[0]) if stored else None)
            if said:
                answers_of_other_first, at_end = outcomes(n, other, verb)
                assert found in (outcomes(n, verb, other), (answers_of_other_first[::-1], at_end))
            else:  # it made fewer requests
                assert found == outcomes(n, verb)


@pytest.mark.parametrize("verb", ["put_item", "update_item", "delete_item", "idempotent_update"])
async def test_also_if_the_machine_with_the_old_layout_is_the_slower_one(machines, verb):
    either = machines.either
    mine, theirs = either.table.sharded(**BEFORE), machines.other.sharded(**AFTER)
    for where in PLACES:
        for before in range(1, 6):
            machines.place(where, n=5)
            work = lambda: answered_at_once("update_item", theirs)  # noqa: E731 - short
            either.proxy.plan = [Meddle(before=before, work=work, seen=[])]
            await answered(verb, mine)
            assert len(either.stored()) <= 1


async def test_an_item_that_is_moved_again_and_again_is_written_all_the_same(machines):
    either = machines.either
    mine, theirs = either.table.sharded(**AFTER), machines.other.sharded(**BEFORE)
    machines.place("old", n=0)

    @dataclass(frozen=True, kw_only=True)
    class Always(faults.Throttle):
        left: list

        def matches(self, call):
            if call.operation in ("UpdateItem", "TransactWriteItems") and self.left:
                self.left.pop()
                theirs.update_item(Key=KEY, **ADD)
            return False

    either.proxy.plan = [Always(left=[1] * 9)]
    await done(mine.update_item(Key=KEY, **ADD))
    [stored] = either.stored()
    assert stored["n"] == 10


@dataclass(frozen=True, kw_only=True)
class Delayed(faults.ResetBefore):
    """Keep the first update on its way, and let another machine work meanwhile."""

    work: object
    kept: list

    def matches(self, call):
        actions = [action for entry in call.params.get("TransactItems", ()) for action in entry]
        if self.kept or not {"Put", "Update"}.intersection(actions):
            return False
        self.kept.append(call.params)
        self.work()
        return True


async def test_an_update_that_arrives_late_is_not_made_twice(machines, dynamodb_local):
    either, kept = machines.either, []
    machines.place("new", n=5)
    either.proxy.plan = [Delayed(work=lambda: machines.place("old", n=5), kept=kept)]
    await done(either.table.sharded(**AFTER).idempotent_update(Key=KEY, **ADD))
    assert [item["n"] for item in either.stored()] == [6]
    plain_client(dynamodb_local.endpoint_url).transact_write_items(**kept[0])
    assert [item["n"] for item in either.stored()] == [6]


@dataclass(frozen=True, kw_only=True)
class DownAfter(faults.ServerError):
    """Fail all reads once a request is on its way."""

    kept: list

    def matches(self, call):
        return call.operation == "BatchGetItem" and bool(self.kept)


@pytest.mark.parametrize(("verb", "where"), [("idempotent_update", "new"), ("update_item", "nowhere")])
async def test_who_is_left_while_a_request_is_on_its_way_is_told_so(machines, caplog, verb, where):
    either, kept = machines.either, []
    machines.place(where, n=5)
    work = lambda: machines.place("old", n=5)  # noqa: E731 - it is handed on
    either.proxy.plan = [Delayed(work=work, kept=kept), DownAfter(kept=kept)]
    with pytest.raises(rddb.UnprocessedKeysError, match="InternalServerError") as caught:
        await done(getattr(either.table.sharded(**AFTER), verb)(Key=KEY, **ADD))
    assert rddb.call_facts(caught.value).ambiguous
    assert caught.value.__notes__[-1].startswith("AMBIGUOUS: the reply to an earlier request")
    assert "TransactWriteItems" in caplog.text
    assert "AMBIGUOUS" in caplog.text


async def test_whose_item_has_a_double_by_now_is_not_told_that_nothing_was_written(machines):
    either = machines.either

    def work():
        machines.place("old", n=5)
        either.direct.put_item(Item={"pk": PLACES["new"], "sk": NUMBER, "n": 6})

    either.proxy.plan = [Delayed(work=work, kept=[])]
    with pytest.raises(rddb.DuplicateShardItemError) as caught:
        await done(either.table.sharded(**AFTER).update_item(Key=KEY, **ADD))
    assert rddb.call_facts(caught.value).ambiguous
    assert "nothing was written" not in " ".join(caught.value.__notes__)


async def test_modify_tells_nobody_of_a_request_on_its_way_that_meets_the_item_now(machines, caplog):
    either = machines.either
    machines.place("nowhere")
    work = lambda: machines.place("old", n=5, version=1)  # noqa: E731 - it is handed on
    either.proxy.plan = [Delayed(work=work, kept=[])]
    assert await answered("modify", either.table.sharded(**AFTER)) == 6
    assert "AMBIGUOUS" not in caplog.text


async def test_what_another_adds_to_an_item_that_is_moved_is_not_lost(machines):
    either = machines.either
    mine, theirs = either.table.sharded(**AFTER), machines.other.sharded(**BEFORE)
    for before in range(1, 5):
        machines.place("old", text="as it was")
        work = lambda: theirs.update_item(Key=KEY, **ADD)  # noqa: E731 - short
        either.proxy.plan = [Meddle(before=before, work=work, seen=[])]
        await done(mine.update_item(Key=KEY, **ADD))
        [stored] = either.stored()
        assert (stored["n"], stored["text"]) == (1 if before > 3 else 2, "as it was")


# Reads.


@pytest.mark.parametrize("where", PLACES)
async def test_a_point_read_that_finds_nothing_looks_at_all_places_at_one_moment(machines, monkeypatch, where):
    """A batch is read key by key: an item that is moved again and again may be missed each time."""
    everything = ShardReads.all

    def missed(reads):
        yield from everything(reads)
        return []

    either = machines.either
    machines.place(where, n=5, text="x")
    monkeypatch.setattr(ShardReads, "all", missed)
    docs = either.table.sharded(**AFTER)
    projected = {"ProjectionExpression": "#n", "ExpressionAttributeNames": {"#n": "n"}}
    none_of_it = {"ProjectionExpression": "gone"}
    for params, expected in (({}, {**KEY, "n": 5, "text": "x"}), (projected, {"n": 5}), (none_of_it, {})):
        either.proxy.clear()
        answer = await done(docs.get_item(Key=KEY, ReturnConsumedCapacity="TOTAL", **params))
        assert operations(either) == ["BatchGetItem", "TransactGetItems"]
        assert answer.get("Item") == (expected if PLACES[where] else None)
        assert answer["ConsumedCapacity"]["CapacityUnits"] > 1


@pytest.mark.parametrize(
    ("layout", "params"),
    [({"shards": 101, "previous": (2,), "by": RANDOM}, {}), (AFTER, {"AttributesToGet": ["n"]})],
)
async def test_what_a_transaction_does_not_take_is_read_twice(either, layout, params):
    docs = either.table.sharded(**layout)
    answer = await done(docs.get_item(Key=KEY, **params))
    assert "Item" not in answer
    assert set(operations(either)) == {"BatchGetItem"}


# What a write that begins an item answers, and asks for.


UPDATES = [
    ("SET n = if_not_exists(n, :zero) + :one", {"n": 1}),
    ("SET #n = (:one - :zero), s = :s REMOVE gone", {"n": 1, "s": {"x", "y"}}),
    ("set l = list_append(if_not_exists(l, :l), :l) add n :one, t :s", {"l": [1, 1], "n": 1, "t": {"x", "y"}}),
    ("SET a = if_not_exists(b.c[0], if_not_exists(sk, :zero)), m = sk", {"a": NUMBER, "m": NUMBER}),
    ("REMOVE gone DELETE t :s", {}),
    (None, {}),
]
RETURNED = ["ALL_NEW", "UPDATED_NEW", "ALL_OLD", "UPDATED_OLD", "NONE"]


@pytest.mark.parametrize(
    ("expression", "values", "returned"),
    [
        (expression, values, returned)
        for expression, values in UPDATES
        for returned in RETURNED
        if expression or not returned.startswith("UPDATED")  # DynamoDB Local fails
    ],
)
async def test_it_gives_what_the_update_makes(either, expression, values, returned):
    given = {":zero": 0, ":one": 1, ":s": {"x", "y"}, ":l": [1]}
    params = {"ReturnValues": returned}
    if expression:
        used = {name: value for name, value in given.items() if name in expression}
        params |= {"UpdateExpression": expression, "ExpressionAttributeValues": used}
        params |= {"ExpressionAttributeNames": {"#n": "n"}} if "#n" in expression else {}
    without = await done(either.table.sharded(7).update_item(Key=KEY, **params))
    await done(either.table.sharded(7).delete_item(Key=KEY))
    either.proxy.clear()
    answer = await done(either.table.sharded(**AFTER).update_item(Key=KEY, **params))
    assert operations(either)[-1] == "TransactWriteItems"
    assert answer.get("Attributes") == without.get("Attributes")
    expected = {"ALL_NEW": {**KEY, **values}, "UPDATED_NEW": values or None}
    assert answer.get("Attributes") == expected.get(returned)
    [stored] = either.stored()
    assert stored == {**KEY, "pk": PLACES["new"], **values}


async def test_an_update_with_a_path_that_is_not_there_is_refused_as_ever(either):
    docs = either.table.sharded(**AFTER)
    params = {"UpdateExpression": "SET a.b = :one", "ExpressionAttributeValues": {":one": 1}, "ReturnValues": "ALL_NEW"}
    with pytest.raises(ClientError) as caught:
        await done(docs.update_item(Key=KEY, **params))
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError, match="ValidationException"):
        await done(docs.put_item(Item=KEY, ReturnValues="ALL_NEW"))
    assert either.stored() == []


async def test_a_condition_that_fails_on_nothing_shows_nothing(either):
    docs = either.table.sharded(**AFTER)
    for call in (
        lambda: docs.update_item(Key=KEY, **ADD, ConditionExpression="attribute_exists(pk)"),
        lambda: docs.delete_item(Key=KEY, ConditionExpression=Attr("n").eq(1)),
    ):
        with pytest.raises(docs.meta.client.exceptions.ConditionalCheckFailedException) as caught:
            await done(call())
        assert "Item" not in caught.value.response
    await done(docs.put_item(Item={**KEY, "n": 1}))
    with pytest.raises(docs.meta.client.exceptions.ConditionalCheckFailedException) as caught:
        await done(docs.put_item(Item=KEY, ConditionExpression="attribute_not_exists(pk)"))
    assert "Item" not in caught.value.response
    shown = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    with pytest.raises(docs.meta.client.exceptions.ConditionalCheckFailedException) as caught:
        await done(docs.put_item(Item=KEY, ConditionExpression="attribute_not_exists(pk)", **shown))
    assert caught.value.response["Item"]["pk"] == {"S": "a"}


@pytest.mark.parametrize("reasons", [("{}",), ("None", "{}")])
@pytest.mark.parametrize(
    "code", ["TransactionConflict", "ProvisionedThroughputExceeded", "ItemCollectionSizeLimitExceeded"]
)
async def test_what_dynamodb_has_against_it_is_raised_as_ever(either, code, reasons):
    either.proxy.plan = [faults.CancelTransaction(reasons=tuple(reason.format(code) for reason in reasons))]
    docs = either.table.sharded(**AFTER)
    with pytest.raises(ClientError) as caught:
        await done(docs.update_item(Key=KEY, **ADD))
    assert caught.value.response["Error"]["Code"] == f"{code}Exception"
    assert isinstance(caught.value, docs.meta.client.exceptions.from_code(f"{code}Exception"))
    assert "CancellationReasons" not in caught.value.response
    assert rddb.call_facts(caught.value).operation == "TransactWriteItems"


async def test_what_it_took_is_told_as_ever(either):
    docs = either.table.sharded(**AFTER)
    asked = {"ReturnConsumedCapacity": "TOTAL", "ReturnItemCollectionMetrics": "SIZE"}
    answer = await done(docs.put_item(Item=KEY, **asked))
    assert answer["ConsumedCapacity"]["TableName"] == either.name
    assert answer["ConsumedCapacity"]["CapacityUnits"] >= 2
    without = await done(either.table.sharded(7).put_item(Item={**KEY, "sk": NUMBER + 1}, **asked))
    assert answer.keys() == without.keys()
    of_collection = answer.get("ItemCollectionMetrics", {"ItemCollectionKey": {"pk": "a"}})
    assert of_collection["ItemCollectionKey"] == {"pk": "a"}


async def test_parameters_of_the_older_api_are_refused_before_anything_is_sent(either):
    docs = either.table.sharded(**AFTER)
    await done(docs.put_item(Item=KEY))
    either.proxy.clear()
    with pytest.raises(ValueError, match="AttributeUpdates must be left out"):
        await done(docs.update_item(Key=KEY, AttributeUpdates={"n": {"Value": 1}}))
    assert operations(either) == []


@pytest.mark.parametrize("lost", ["TransactWriteItems", "UpdateItem", "PutItem"])
async def test_a_lost_reply_applies_nothing_twice(either, lost):
    docs = either.table.sharded(**AFTER)
    either.proxy.plan = [faults.LoseReply(operations={lost}, times=1)]
    await done(docs.put_item(Item={**KEY, "n": 1}))
    await done(docs.put_item(Item={**KEY, "n": 2}))
    if lost == "UpdateItem":  # an ADD where the item was seen is never sent twice
        with pytest.raises(Exception, match="AMBIGUOUS") as caught:
            await done(docs.update_item(Key=KEY, **ADD))
        assert rddb.call_facts(caught.value).ambiguous
    else:
        await done(docs.update_item(Key=KEY, **ADD))
    [stored] = either.stored()
    assert stored["n"] == 3


@pytest.mark.parametrize("expired", ["old", "new"])
async def test_what_has_expired_is_in_nobodys_way(either, expired):
    past = int(either.clock.time()) - 5
    for verb in ("update_item", "put_item", "idempotent_update", "delete_item"):
        for found in either.stored():
            either.direct.delete_item(Key={"pk": found["pk"], "sk": found["sk"]})
        either.direct.put_item(Item={"pk": PLACES[expired], "sk": NUMBER, "n": 5, "expires": past})
        docs = (await either.make(ttl="expires")).sharded(**AFTER)
        with rddb.deadline(10):
            await answered(verb, docs)
        stored = [item for item in either.stored() if item["pk"] == PLACES["new"]]
        assert len(stored) == len(either.stored()) == (0 if verb == "delete_item" else 1)
        if stored and expired == "old":
            assert "expires" not in stored[0]


async def test_a_put_that_begins_an_item_gives_it_its_time(either):
    docs = (await either.make(ttl="expires")).sharded(**AFTER)
    await done(docs.put_item(Item=KEY, ttl_seconds=60))
    [stored] = either.stored()
    assert stored["expires"] == int(either.clock.time()) + 60


async def test_with_random_suffixes_two_that_begin_an_item_at_once_meet(machines):
    either, key = machines.either, {"pk": "a", "sk": 0}
    layout = Layout(shards=7, previous=(2,))
    while len(layout.homes_of_key("a", key)) == 1:
        key["sk"] += 1
    mine, theirs = either.table.sharded(**AFTER, by=RANDOM), machines.other.sharded(**BEFORE, by=RANDOM)
    for before in range(1, 4):
        for found in either.stored():
            either.direct.delete_item(Key={"pk": found["pk"], "sk": found["sk"]})
        work = lambda: theirs.update_item(Key=key, **ADD)  # noqa: E731 - short
        either.proxy.plan = [Meddle(before=before, work=work, seen=[])]
        await done(mine.update_item(Key=key, **ADD))
        [stored] = either.stored()
        assert stored["n"] == (2 if before < 3 else stored["n"])


# Three machines, step by step.


@pytest.fixture
def counters(emulator, make_table, hardened_sync):
    name = make_table(emulator.endpoint_url, sort_key="sk", sort_type="N")
    return hardened_sync(emulator.endpoint_url).Table(name), plain_resource(emulator.endpoint_url).Table(name)


@given(data=st.data())
@examples(160, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_machines_on_two_steps_count_exactly(counters, data):
    """Each flow is stopped before each of its requests, and hypothesis says which one goes on."""
    table, direct = counters
    for found in direct.scan(ConsistentRead=True)["Items"]:
        direct.delete_item(Key={"pk": found["pk"], "sk": found["sk"]})
    keys = [KEY, {"pk": "a", "sk": NUMBER + 1}]
    layouts = data.draw(st.permutations([BEFORE, AFTER, data.draw(st.sampled_from([BEFORE, AFTER]))]), "machines")
    machines = [table.sharded(**layout) for layout in layouts]
    for machine in machines:
        machine.get_item(Key=KEY)  # it has described the table
    work = st.lists(st.tuples(st.sampled_from(keys), st.booleans()), min_size=1, max_size=3)
    running = [_adds(machine, data.draw(work, "adds")) for machine in machines]
    total = 0
    for _ in range(400):
        flow = data.draw(st.sampled_from(running), "next")
        try:
            total += next(flow)
        except StopIteration:
            running.remove(flow)
        stored = direct.scan(ConsistentRead=True)["Items"]
        assert len({item["sk"] for item in stored}) == len(stored)
        if not running:
            break
    for flow in running:
        total += sum(flow)
    assert sum(item["n"] for item in direct.scan(ConsistentRead=True)["Items"]) == total


def _adds(docs, work):
    """Yield before each request: 1 if an ADD was made since, else 0."""
    for key, is_idempotent in work:
        if is_idempotent:
            update = {"TableName": docs.name, "Key": key, **ADD}
            flow = docs._transact({"TransactItems": [{"Update": update}]})  # noqa: SLF001 - the flow, to stop it
        else:
            flow = docs._change("update_item", key, ADD)  # noqa: SLF001 - the flow, to stop it
        outcome, resume = None, flow.send
        while True:
            try:
                step = resume(outcome)
            except StopIteration:
                break
            yield 0
            try:
                outcome, resume = step(), flow.send
            except ClientError as error:
                outcome, resume = error, flow.throw
        yield 1
