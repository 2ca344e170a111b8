"""Versioned writes against a service in memory, and a plain model of what they have to do."""

from __future__ import annotations

import itertools
import json
import re
from decimal import Decimal
from types import SimpleNamespace

import pytest
from boto3.dynamodb.conditions import Attr
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore import exceptions as bx
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from unit_support import Made, attempt_all, failed, good, make_core

from resilient_ddb.calls import own_write
from resilient_ddb.calls.ending import recover, succeed
from resilient_ddb.calls.flows import run
from resilient_ddb.calls.own_write import Finding
from resilient_ddb.dynamodb import reserved
from resilient_ddb.dynamodb.expressions import join_condition
from resilient_ddb.dynamodb.operations import is_safe_to_repeat, set_as_well
from resilient_ddb.errors import VersionConflictError, conflict_class
from resilient_ddb.policy.retry import Retry
from resilient_ddb.ttl.rule import TimeToLive
from resilient_ddb.ttl.tables import TtlTables
from resilient_ddb.versioning.verbs import VersionedVerbs
from resilient_ddb.versioning.writes import FROM_ITEM, Versioning

KEY = {"pk": "a"}
LOST = bx.ReadTimeoutError(endpoint_url="https://dynamodb")
EXISTS = re.compile(r"attribute_(not_)?exists\((\S+)\)")
ASSIGNMENT = re.compile(r"(\S+) = (?:(\S+) \+ )?(:\w+)")


def typed(values):
    return {name: TypeSerializer().serialize(value) for name, value in values.items()}


def native(item):
    return {name: TypeDeserializer().deserialize(value) for name, value in item.items()}


class Service:
    """One item, and as much of DynamoDB as versioned writes need; what is lost on the way is asked of `fate`."""

    def __init__(self, item=None, fate=lambda: "answered"):
        self.item = item and typed(item)
        self.fate = fate
        self.sent = []
        self.late = []
        """What was lost before it came here: it may come yet."""
        self.has_lost = False

    @property
    def stored(self):
        return self.item and native(self.item)

    def answer(self, operation, params):
        self.sent.append((operation, params))
        fate = self.fate()
        self.has_lost = self.has_lost or fate != "answered"
        if fate == "lost before":
            self.late.append((operation, params))
            return LOST
        answer = self.apply(operation, params)
        return LOST if fate == "lost after" else answer

    def receive_late(self):
        """Receive what was held up on its way, when its sender has ended the call."""
        late, self.late = self.late, []
        for operation, params in late:
            self.apply(operation, params)

    def apply(self, operation, params):
        if operation == "GetItem":
            return good(**({"Item": self.item} if self.item else {}))
        names, values = params.get(reserved.NAMES, {}), params.get(reserved.VALUES, {})
        if not all(self.holds(term, names, values) for term in params["ConditionExpression"].split(" AND ")):
            item = {"Item": self.item} if self.item else {}
            return failed("ConditionalCheckFailedException", **item)
        if operation == "UpdateItem":
            changed = dict(self.item or params["Key"])
            for target, base, value in ASSIGNMENT.findall(params["UpdateExpression"]):
                path = names.get(target, target)
                changed[path] = values[value]
                if base:
                    changed[path] = {"N": str(int(self.item[path]["N"]) + int(values[value]["N"]))}
            self.item = changed
        else:
            self.item = params.get("Item")
        return good(**({"Attributes": self.item} if params.get("ReturnValues") == "ALL_NEW" else {}))

    def holds(self, term, names, values):
        item = self.item or {}
        term = term.removeprefix("(").removesuffix(")") if term.startswith("(") else term
        found = EXISTS.fullmatch(term)
        if found:
            return (names.get(found[2], found[2]) in item) is (found[1] is None)
        if term.startswith("NOT contains"):
            name, value = term.removeprefix("NOT contains(").removesuffix(")").split(", ")
            return values[value]["S"] not in item.get(names[name], {"S": ""})["S"]
        name, value = term.split(" = ")
        return own_write.normalise(item.get(names.get(name, name))) == own_write.normalise(values[value])


class Table:
    """A Table's verbs on a service in memory, with every decision of a hardened client's."""

    name = "t"

    def __init__(self, service, **policy):
        self.service = service
        self.core = make_core(**{"retry_budget": None, "circuit_breaker": None, **policy})
        self.meta = SimpleNamespace(client=SimpleNamespace(_resilience=self.core))
        self.core.host.as_given = native

    def call(self, operation, params):
        for name in ("Item", "Key", reserved.VALUES):
            if name in params:
                params = {**params, name: typed(params[name])}
        made = Made(self.core, operation, {"TableName": "t", **params})
        answers = (self.service.answer(operation, json.loads(made.request["body"])) for _ in itertools.count())
        try:
            response = attempt_all(made, answers)
        except Exception as error:  # noqa: BLE001 - recover decides
            return run(recover(made.execution, error))
        response = succeed(made.execution, response)
        return {**response, **{name: native(response[name]) for name in ("Item", "Attributes") if name in response}}

    def get_item(self, **params):
        return self.call("GetItem", params)

    def put_item(self, **params):
        return self.call("PutItem", params)

    def update_item(self, **params):
        return self.call("UpdateItem", params)

    def delete_item(self, **params):
        return self.call("DeleteItem", params)


class Versioned(VersionedVerbs):
    @staticmethod
    def _sleep(seconds):
        assert seconds == 0.0

    def put_item(self, item, params=None, expected=FROM_ITEM):
        return run(self._put(item, params or {}, expected))

    def update_item(self, key, params, expected):
        return run(self._update(key, params, expected))

    def delete_item(self, key, params, expected):
        return run(self._delete(key, params, expected))

    def modify(self, key, change, *, max_attempts=10):
        return run(self._modify(key, change, max_attempts))


# One write: what it has to come to, said plainly.

VERSIONS = st.none() | st.integers(0, 3)
STORED = st.none() | st.sampled_from([{}, {"version": "x"}, {"version": True}, {"version": None}])
STORED |= st.integers(0, 4).map(lambda version: {"version": version})
FLAGS = st.none() | st.booleans()


def model(stored, expected, condition, *, creates):
    """Return `written`, `conflict` or `condition`."""
    if creates:
        stands = stored is None
    elif expected is None:
        stands = stored is None or "version" not in stored
    else:
        version = None if stored is None else stored.get("version")
        stands = isinstance(version, int) and not isinstance(version, bool) and version == expected
    if not stands:
        return "conflict"
    return "written" if condition is None or (bool(stored) and "flag" in stored) is condition else "condition"


@examples(400)
@given(
    stored=STORED,
    flagged=st.booleans(),
    verb=st.sampled_from(["create", "put", "update", "delete"]),
    expected=VERSIONS,
    condition=FLAGS,
    as_text=st.booleans(),
    write_token=st.sampled_from([None, "_wt"]),
)
def test_a_write_does_what_a_plain_model_says(stored, flagged, verb, expected, condition, as_text, write_token):
    if stored is not None:
        stored = {**KEY, **stored, **({"flag": 1} if flagged else {})}
    service = Service(stored)
    docs = Versioned(Table(service), write_token=write_token)
    before = service.stored
    outcome, error = outcome_of(docs, verb, expected, own_condition(condition, as_text=as_text))
    assert outcome == model(stored, expected, condition, creates=verb == "create")
    if outcome == "conflict":
        assert error.current == before
        assert error.expected == (None if verb == "create" else expected)
    if outcome != "written":
        assert service.stored == before
    elif verb == "delete":
        assert service.stored is None
    else:
        assert service.stored["version"] == (1 if verb == "create" or expected is None else expected + 1)
        assert ("_wt" in service.stored) is (write_token is not None)


def own_condition(condition, *, as_text):
    if condition is None:
        return {}
    if as_text:
        return {"ConditionExpression": f"attribute_{'' if condition else 'not_'}exists(flag)"}
    return {"ConditionExpression": Attr("flag").exists() if condition else Attr("flag").not_exists()}


def outcome_of(docs, verb, expected, params):
    item = {**KEY, "n": 1, "l": [1]}
    write = {
        "create": lambda: docs.put_item(item, params),
        "put": lambda: docs.put_item(item, params, expected=expected),
        "update": lambda: docs.update_item(KEY, params, expected),
        "delete": lambda: docs.delete_item(KEY, params, expected),
    }[verb]
    try:
        write()
    except VersionConflictError as error:
        return "conflict", error
    except ClientError as error:
        return "condition", error
    return "written", None


# Many writes, rivals and lost replies.


def add_one(item):
    return {**(item or {"n": 0}), "n": (item or {"n": 0})["n"] + 1}


@examples(150)
@given(random=st.randoms(use_true_random=False), verb=st.sampled_from(["modify", "put", "update"]))
def test_with_write_tokens_every_increment_is_counted_once(random, verb):
    counted = {"n": 0}
    service = Service()

    def rival():
        quiet = Service()
        quiet.item = service.item
        Versioned(Table(quiet), write_token="_wt").modify(KEY, add_one)
        service.item = quiet.item
        counted["n"] += 1

    def fate():
        for _ in range(random.choice([0, 0, 0, 1, 2])):
            rival()
        return random.choice(["answered", "answered", "lost before", "lost after"])

    service.fate = fate
    table = Table(service, retry=Retry(max_attempts=1000))
    docs = Versioned(table, write_token="_wt")

    def increment():
        if verb == "modify":
            return docs.modify(KEY, add_one, max_attempts=1000)
        item = table.get_item(Key=KEY).get("Item")
        if item is None or verb == "put":
            return docs.put_item({**KEY, **add_one(item)})
        add = {"UpdateExpression": "SET n = n + :one", "ExpressionAttributeValues": {":one": 1}}
        return docs.update_item(KEY, add, item["version"])

    for _ in range(6):
        is_new = service.item is None
        ended, ambiguous = ending_of(increment)
        if ended == "lost":  # an update's mark is alone: what followed it has taken it away
            assert (verb, ambiguous) == ("update", True)
        # An attempt to begin the item that is held up would do so if the item was deleted meanwhile.
        assert ended == "lost" or not ambiguous or (is_new and verb != "modify" and service.has_lost)
        if ambiguous:
            counted["n"] = service.stored["n"]
        counted["n"] += ended == "written"
        service.receive_late()
        assert (service.stored or {"n": 0})["n"] == counted["n"]
    assert (service.stored or {"version": 0})["version"] == (service.stored or {"n": 0})["n"]


def ending_of(write):
    """Return how a write ended, and whether that leaves a doubt."""
    try:
        write()
    except VersionConflictError as error:
        return "conflict", error.resilience.ambiguous
    except bx.ReadTimeoutError as error:
        return "lost", error.resilience.ambiguous
    return "written", False


@examples(300)
@given(random=st.randoms(use_true_random=False), verb=st.sampled_from(["put", "update", "delete"]))
def test_without_write_tokens_no_certain_answer_is_wrong(random, verb):
    """Each write leaves its own content, so that equal items are the same write's."""
    service = Service({**KEY, "version": 1, "by": "first"})
    numbers = itertools.count()
    applied = []

    def fate():
        if random.random() < 0.5 and service.item:
            service.item = typed({**KEY, "version": service.stored["version"] + 1, "by": f"rival {next(numbers)}"})
        return random.choice(["answered", "lost before", "lost after"])

    def watched(operation, params):
        answer = apply(operation, params)
        applied.append(answer["ResponseMetadata"]["HTTPStatusCode"] == 200)
        return answer

    apply, service.apply, service.fate = service.apply, watched, fate
    docs = Versioned(Table(service))
    values = {"ExpressionAttributeValues": {":by": "mine"}}
    write = {
        "put": lambda: docs.put_item({**KEY, "version": 1, "by": "mine"}),
        "update": lambda: docs.update_item(KEY, {"UpdateExpression": "SET by = :by", **values}, 1),
        "delete": lambda: docs.delete_item(KEY, {}, 1),
    }[verb]
    ended, ambiguous = ending_of(write)
    assert ambiguous is (ended == "lost")
    service.receive_late()
    if ended != "lost":
        assert sum(applied) == (ended == "written")


@examples(300)
@given(
    random=st.randoms(use_true_random=False),
    version=st.sampled_from([None, 1, 5]),
    write_token=st.sampled_from([None, "_wt"]),
)
def test_in_the_place_of_an_expired_item_no_certain_answer_is_wrong(random, version, write_token):
    met = {**KEY, "exp": 5, "by": "first", **({"version": version} if version else {})}
    service = Service(met)
    applied = []

    def fate():
        if random.random() < 0.3 and service.item:
            now = service.stored
            moved = {**now, "version": now.get("version", 0) + 1, "by": "rival", "exp": random.choice([5, 6, 10**10])}
            service.item = random.choice([typed(moved), typed(moved), None if now["by"] == "first" else service.item])
        return random.choice(["answered", "answered", "lost before", "lost after"])

    def watched(operation, params):
        before = service.stored
        answer = apply(operation, params)
        if answer["ResponseMetadata"]["HTTPStatusCode"] == 200:
            applied.append(before)
        return answer

    apply, service.apply, service.fate = service.apply, watched, fate
    table = Table(service)
    table.core.ttl = TtlTables({"t": TimeToLive("exp")})
    docs = Versioned(table, write_token=write_token)
    ended, ambiguous = ending_of(lambda: docs.put_item({**KEY, "by": "mine"}))
    assert ambiguous or ended != "lost"
    assert service.has_lost or not ambiguous
    service.receive_late()
    if not ambiguous:
        assert len(applied) == (ended == "written")
    for before in applied:
        assert before is None or before["exp"] < 10**10
        assert service.stored["version"] > (before or {}).get("version", 0)


# The pieces.

CONDITION = {
    "ConditionExpression": "#rddb_version = :rddb_expected",
    reserved.NAMES: {reserved.VERSION: "version"},
    reserved.VALUES: {reserved.EXPECTED: {"N": "1"}, reserved.FOLLOWING: {"N": "2"}},
    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
}
MARKED = {
    **CONDITION,
    reserved.NAMES: {**CONDITION[reserved.NAMES], reserved.WRITE_TOKEN_NAME: "_wt"},
    reserved.VALUES: {**CONDITION[reserved.VALUES], reserved.WRITE_TOKEN: {"S": "2:mine"}},
}


def at(version, **more):
    return {"version": {"N": str(version)}, **more}


def wt(marks):
    return {"_wt": {"S": marks}}


PUT = {**CONDITION, "Item": at(2, n={"N": "5"})}
CREATION = {
    **CONDITION,
    "ConditionExpression": "attribute_not_exists(#rddb_version)",
    reserved.VALUES: {},
    "Item": at(1, n={"N": "5"}),
}


@pytest.mark.parametrize(
    ("operation", "params", "item", "finding"),
    [
        ("PutItem", PUT, at("2.0", n={"N": "5"}), Finding.OWN),
        ("PutItem", {**PUT, "ReturnValues": "ALL_OLD"}, at(2, n={"N": "5"}), Finding.MAYBE_OWN),
        ("PutItem", PUT, at(2, n={"N": "6"}), Finding.NOT_APPLIED),
        ("PutItem", PUT, at(1, n={"N": "5"}), Finding.NOT_YET),
        ("PutItem", PUT, at(3, n={"N": "5"}), Finding.MAYBE_OWN),
        ("PutItem", PUT, at(0), Finding.MAYBE_OWN),
        ("PutItem", PUT, {}, Finding.MAYBE_OWN),
        ("PutItem", PUT, {"version": {"S": "x"}}, Finding.MAYBE_OWN),
        ("UpdateItem", CONDITION, at(2), Finding.MAYBE_OWN),
        ("UpdateItem", CONDITION, at(1), Finding.NOT_YET),
        ("UpdateItem", CONDITION, at(3), Finding.MAYBE_OWN),
        ("UpdateItem", CONDITION, {}, Finding.MAYBE_OWN),
        ("UpdateItem", MARKED, at(2, **wt("2:mine 1:x")), Finding.OWN),
        ("UpdateItem", MARKED, at(3, **wt("3:x 2:mine")), Finding.OWN),
        ("UpdateItem", MARKED, at(2, **wt("2:yours 1:x")), Finding.NOT_APPLIED),
        ("UpdateItem", MARKED, at(4, **wt("4:x 3:y 2:yours")), Finding.NOT_APPLIED),
        ("UpdateItem", MARKED, at(4, **wt("4:x 3:y")), Finding.MAYBE_OWN),
        ("UpdateItem", MARKED, at(4), Finding.MAYBE_OWN),
        ("UpdateItem", MARKED, at(4, _wt={"N": "2"}), Finding.MAYBE_OWN),
        ("UpdateItem", MARKED, at(2), Finding.NOT_APPLIED),
        ("UpdateItem", MARKED, {}, Finding.MAYBE_OWN),
        ("UpdateItem", {**MARKED, "ReturnValues": "ALL_NEW"}, at(2, **wt("2:mine")), Finding.OWN),
        ("UpdateItem", {**MARKED, "ReturnValues": "ALL_NEW"}, at(3, **wt("3:x 2:mine")), Finding.MAYBE_OWN),
        ("UpdateItem", {**MARKED, "ReturnValues": "UPDATED_OLD"}, at(2, **wt("2:mine")), Finding.MAYBE_OWN),
        ("UpdateItem", MARKED, at(1, **wt("1:x 2:yours")), Finding.NOT_YET),
        ("PutItem", CREATION, at(1), Finding.NOT_YET),
        ("PutItem", CREATION, at(1, n={"N": "5"}), Finding.OWN),
        ("DeleteItem", CONDITION, {}, Finding.MAYBE_OWN),
        ("DeleteItem", CONDITION, at(2), Finding.MAYBE_OWN),
    ],
)
def test_whose_a_versioned_write_is(operation, params, item, finding):
    assert own_write.judge(operation, params, {"Item": item} if item else {}) is finding


@pytest.mark.parametrize(
    ("writes", "items", "finding"),
    [
        ([CONDITION], [at(2)], Finding.NOT_APPLIED),  # the version is past the one that it expects
        ([{}, CONDITION], [None, at("3.0")], Finding.NOT_APPLIED),
        ([CONDITION], [at(1)], Finding.NOT_YET),
        ([CONDITION], [at(0)], Finding.NOT_YET),  # begun anew: it may get there
        ([CONDITION], [None], Finding.NOT_YET),
        ([CONDITION], [{"version": {"S": "2"}}], Finding.NOT_YET),
        ([CREATION], [at(1)], Finding.NOT_YET),
        ([{}], [at(2)], Finding.NOT_YET),
        ([CONDITION], [], Finding.NOT_YET),
    ],
)
def test_a_cancelled_transaction_that_is_held_up_is_applied_only_if_its_versions_can_come_again(writes, items, finding):
    reasons = [{"Code": "ConditionalCheckFailed", **({"Item": item} if item else {})} for item in items]
    params = {"TransactItems": [{"Update": write} for write in writes]}
    assert own_write.judge("TransactWriteItems", params, {"CancellationReasons": reasons}) is finding


def test_only_a_condition_on_the_version_makes_an_update_safe_to_repeat():
    add = {"UpdateExpression": "ADD n :n", "ReturnValues": "ALL_OLD"}
    assert is_safe_to_repeat("UpdateItem", {**add, **CONDITION})
    assert is_safe_to_repeat("PutItem", {**CONDITION, "ReturnValues": "ALL_OLD"})
    assert is_safe_to_repeat("DeleteItem", {**CONDITION, "ReturnValues": "ALL_OLD"})
    assert not is_safe_to_repeat("UpdateItem", {**add, reserved.NAMES: {reserved.VERSION: "version"}})
    assert not is_safe_to_repeat("UpdateItem", {**add, **CONDITION, reserved.NAMES: {"#v": "version"}})
    none = {**CONDITION, "ConditionExpression": "attribute_not_exists(#rddb_version)", reserved.VALUES: {}}
    for operation in ("PutItem", "UpdateItem", "DeleteItem"):  # it holds again once the item was deleted
        assert not is_safe_to_repeat(operation, {**add, **none})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (None, "SET v = :v"),
        ("SET a = :a", "SET v = :v, a = :a"),
        ("set a = :a REMOVE b", "set v = :v, a = :a REMOVE b"),
        ("REMOVE b\nSET #SET = :SET", "REMOVE b\nSET v = :v, #SET = :SET"),
        ("SET#a = :a REMOVE#b", "SET v = :v,#a = :a REMOVE#b"),
        ("ADD n :n", "SET v = :v ADD n :n"),
        ("REMOVE m.SET , #SET", "SET v = :v REMOVE m.SET , #SET"),
    ],
)
def test_an_assignment_is_added_to_an_update(expression, expected):
    assert set_as_well(expression, "v = :v") == expected


def test_conditions_are_joined_without_getting_in_each_others_way():
    params = {"ConditionExpression": Attr("a").eq(1) | Attr("b").eq(2), reserved.VALUES: {":v0": "mine"}}
    joined = join_condition(params, "#rddb_x = :rddb_x", {"#rddb_x": "x"}, {":rddb_x": 0})
    assert joined["ConditionExpression"] == "(#rddb_n0 = :rddb_v0 OR #rddb_n1 = :rddb_v1) AND #rddb_x = :rddb_x"
    assert joined[reserved.NAMES] == {"#rddb_x": "x", "#rddb_n0": "a", "#rddb_n1": "b"}
    assert joined[reserved.VALUES] == {":v0": "mine", ":rddb_x": 0, ":rddb_v0": 1, ":rddb_v1": 2}
    assert params[reserved.VALUES] == {":v0": "mine"}


def test_tokens_differ_and_can_be_told_apart():
    tokens = {Versioning().new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert not [token for token in tokens if " " in token or ":" in token or len(token) != 12]
    marks = ""
    for version in range(1, 100):
        marks = reserved.marks_after(reserved.mark_of(version, "token"), marks)
    assert len(marks.split()) == reserved.MARKS_KEPT
    assert reserved.has_mark_of_another(marks, "99:other")
    assert not reserved.has_mark_of_another(marks, "99:token")
    assert not reserved.has_mark_of_another(marks, "9:other")


def test_a_conflict_of_a_plain_client_error_is_one_without_facts():
    error = ClientError(failed("ConditionalCheckFailedException", Item={"version": {"N": "3"}}), "PutItem")
    versioning = Versioning()
    conflict = versioning.conflict(versioning.put(KEY, {}, Decimal(2)), error, "t")
    assert type(conflict) is VersionConflictError
    assert conflict_class(ClientError) is VersionConflictError
    assert (conflict.expected, conflict.current) == (2, {"version": 3})
    other = ClientError(failed("ValidationException"), "PutItem")
    assert versioning.conflict(versioning.put(KEY, {}, 2), other, "t") is None


@pytest.mark.parametrize(
    ("stored", "expected", "words"),
    [
        ({}, 1, "without the attribute 'version'"),
        (None, 1, "there is no such item"),
        ({"version": 2}, 1, "expected version 1, found version 2"),
        ({"version": 2}, None, "found version 2"),
    ],
)
def test_a_conflict_says_what_it_met(stored, expected, words):
    docs = Versioned(Table(Service(None if stored is None else {**KEY, **stored, "secret": "4711"})))
    with pytest.raises(VersionConflictError, match=words) as caught:
        docs.put_item({**KEY, "own": "0815"}, expected=expected)
    assert "'t'" in str(caught.value)
    assert "4711" not in str(caught.value)
    assert "0815" not in str(caught.value)
