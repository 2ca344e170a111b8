"""Stale answers and fixed ones, and what a fallback's key keeps apart."""

from __future__ import annotations

import copy
import pickle
import threading
from decimal import Decimal

import pytest
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from unit_support import GET, PUT, call, failed, good, make_core

from resilient_ddb import fallback
from resilient_ddb.fallback import Call, Chain, Fallback, freeze
from resilient_ddb.fallback.response_info import response_info
from resilient_ddb.policy.retry import Retry
from resilient_ddb.testing import FakeClock

WHO = ("key", "eu-west-1", "https://dynamodb", False)
ERROR = ValueError("down")


def make_call(clock=None, operation="GetItem", params=None, identity=WHO):
    return Call(
        operation=operation,
        params=params or {"TableName": "t", "Key": {"pk": "1"}},
        table="t",
        identity=identity,
        clock=clock or FakeClock(),
        elsewhere=lambda region, endpoint_url: {"from": (region, endpoint_url)},
    )


def test_a_stale_answer_is_the_last_good_one_and_says_its_age():
    clock, stale = FakeClock(), fallback.stale(max_age=10)
    stale.remember(make_call(clock), good(Item={"a": 1}))
    stale.remember(make_call(clock), good(Item={"a": 2}))
    clock.advance(3)
    answer = stale(make_call(clock), ERROR)
    assert answer["Item"] == {"a": 2}
    assert answer["ResponseMetadata"]["Resilience"] == {"stale": True, "age": 3.0}
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize(("age", "answered"), [(0, True), (10, True), (10.001, False)])
def test_an_answer_is_given_up_to_its_age_and_no_longer(age, answered):
    clock, stale = FakeClock(), fallback.stale(max_age=10)
    stale.remember(make_call(clock), good())
    clock.advance(age)
    assert (stale(make_call(clock), ERROR) is not None) is answered


@pytest.mark.parametrize(
    "identity",
    [
        ("other key", "eu-west-1", "https://dynamodb", False),
        ("key", "us-east-1", "https://dynamodb", False),
        ("key", "eu-west-1", "http://localhost", False),
        ("key", "eu-west-1", "https://dynamodb", True),
    ],
)
def test_nobody_is_given_another_s_answer(identity):
    stale = fallback.stale()
    stale.remember(make_call(), good())
    assert stale(make_call(identity=identity), ERROR) is None
    assert stale(make_call(), ERROR) is not None


@pytest.mark.parametrize(
    "operation", ["PutItem", "UpdateItem", "DescribeTable", "ExecuteStatement", "TransactWriteItems"]
)
def test_only_reads_of_items_are_remembered(operation):
    stale = fallback.stale()
    stale.remember(make_call(operation=operation), good())
    assert stale(make_call(operation=operation), ERROR) is None


def test_another_operation_with_the_same_parameters_is_another_read():
    stale = fallback.stale()
    stale.remember(make_call(operation="Query"), good())
    assert stale(make_call(operation="Scan"), ERROR) is None


def test_the_answer_last_given_by_dynamodb_stays_longest():
    stale = fallback.stale(max_items=2)
    calls = {name: make_call(params={"Key": name}) for name in "abc"}
    stale.remember(calls["a"], good(Item="a"))
    stale.remember(calls["b"], good(Item="b"))
    stale.remember(calls["a"], good(Item="a2"))
    stale(calls["b"], ERROR)  # being asked for keeps nothing alive
    stale.remember(calls["c"], good(Item="c"))
    found = {name: stale(made, ERROR) for name, made in calls.items()}
    assert {name: answer and answer["Item"] for name, answer in found.items()} == {"a": "a2", "b": None, "c": "c"}


def test_each_answer_is_a_copy_that_nobody_else_has():
    stale, response = fallback.stale(), good(Item={"l": [1]})
    stale.remember(make_call(), response)
    response["Item"]["l"].append(2)
    first = stale(make_call(), ERROR)
    first["Item"]["l"].append(3)
    assert stale(make_call(), ERROR)["Item"] == {"l": [1]}


def test_a_call_that_can_not_be_found_again_is_not_kept():
    stale = fallback.stale()
    strange = make_call(params={"Key": object(), "b": [{}]})
    unhashable = make_call(identity=([],))
    for made in (unhashable,):
        stale.remember(made, good())
        assert stale(made, ERROR) is None
    stale.remember(strange, good())
    assert stale(strange, ERROR) is not None  # an object is equal to itself


def test_what_is_pickled_is_the_recipe_and_not_the_answers():
    stale = fallback.stale(max_age=7, max_items=3)
    stale.remember(make_call(), good())
    copied = pickle.loads(pickle.dumps(stale))  # noqa: S301 - our own
    assert copied(make_call(), ERROR) is None
    copied.remember(make_call(), good())
    assert copied(make_call(), ERROR) is not None


def test_threads_may_share_the_answers():
    stale, failures = fallback.stale(max_items=5), []

    def work(seed):
        try:
            for number in range(300):
                made = make_call(params={"Key": (seed * number) % 11})
                stale.remember(made, good(Item=made.params["Key"]))
                answer = stale(made, ERROR)
                assert answer is None or answer["Item"] == made.params["Key"]
        except Exception as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    known = [stale(make_call(params={"Key": number}), ERROR) for number in range(11)]
    assert sum(answer is not None for answer in known) == 5


def test_a_call_is_answered_by_what_an_earlier_one_was():
    clock = FakeClock()
    core = make_core(clock, fallback=fallback.stale(max_age=60), retry=Retry(max_attempts=1))
    call(core, *GET, [good(Item={"a": {"N": "1"}})])
    clock.advance(5)
    made = call(core, *GET, [failed("ThrottlingException")])
    assert made.response["Item"] == {"a": {"N": "1"}}
    assert made.response["ResponseMetadata"]["Resilience"] == {"stale": True, "age": 5.0}
    core.host.who = ("another", *core.host.who[1:])
    assert call(core, *GET, [failed("ThrottlingException")]).code == "ThrottlingException"


def test_a_stale_answer_is_not_itself_remembered():
    clock = FakeClock()
    core = make_core(clock, fallback=fallback.stale(max_age=10), retry=Retry(max_attempts=1), circuit_breaker=None)
    call(core, *GET, [good()])
    for _ in range(2):
        clock.advance(6)
        made = call(core, *GET, [failed("ThrottlingException")])
    assert made.error is not None


def test_a_table_with_a_policy_of_its_own_has_its_own_fallback_and_circuits():
    core = make_core(fallback=None)
    view = core.with_policy(core.policy.replace(fallback=fallback.stale()), "t")
    assert core.fallback is None
    assert core.remembering == ()
    assert view.remembering == (view.fallback,)
    assert view.lane(*GET) is not core.lane(*GET)
    assert view.policy_elsewhere().fallback is None


# A fixed answer, and chains.


def test_a_value_is_given_as_a_copy():
    value = fallback.response({"Item": {"l": []}})
    first = value(make_call(), ERROR)
    first["Item"]["l"].append(1)
    assert value(make_call(), ERROR) == {"Item": {"l": []}}


def test_a_value_answers_reads_only_and_says_what_it_is():
    core = make_core(fallback=fallback.response({"Item": {"a": 1}}), retry=Retry(max_attempts=1))
    made = call(core, *GET, [failed("ThrottlingException")])
    metadata = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0, "Resilience": {"fallback": "response"}}
    assert made.response == {"Item": {"a": 1}, "ResponseMetadata": metadata}
    assert call(core, *PUT, [failed("ThrottlingException")]).code == "ThrottlingException"


class Own(Fallback):
    """A fallback of the caller's own class."""

    name = "own"

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, call, error):
        return self.answer


MADE_BY = {
    "function": lambda answer: lambda call, error: answer,
    "function()": lambda answer: fallback.function(lambda call, error: answer),
    "response": fallback.response,
    "class": Own,
    "chain": lambda answer: fallback.stale() | (lambda call, error: None) | (lambda call, error: answer),
}


@pytest.mark.parametrize(
    ("said", "source", "age"),
    [
        (None, "fallback", None),
        ({}, "fallback", None),
        ({"reason": "x"}, "fallback", None),
        ({"source": "dynamodb"}, "fallback", None),
        ({"source": "cache", "age": 3}, "fallback", 3),
        ({"fallback": None}, "fallback", None),
        ({"fallback": ""}, "fallback", None),
        ({"stale": True, "age": 12.5}, "stale", 12.5),
        ({"cache": True, "age": 3}, "cache", 3),
        ({"cache": False, "age": "old"}, "fallback", None),
        (5, "fallback", None),
    ],
)
@pytest.mark.parametrize("make", ["function", "function()", "response", "class", "chain"])
def test_whatever_a_fallback_says_its_answer_is_known_as_a_fallback_s(make, said, source, age):
    answer = {"Item": {"a": 1}, "ResponseMetadata": {"Resilience": said, "own": 7}}
    core = make_core(fallback=MADE_BY[make](answer), retry=Retry(max_attempts=1))
    made = call(core, *GET, [failed("ThrottlingException")])
    assert made.response["Item"] == {"a": 1}
    assert made.response["ResponseMetadata"]["own"] == 7
    info = response_info(made.response)
    assert (info.source, info.age) == (source, age)
    marks = made.response["ResponseMetadata"]["Resilience"]
    assert marks["fallback"] in ("<lambda>", "response", "own")
    if isinstance(said, dict) and "age" in said and said["age"] != "old":  # theirs stand beside ours
        assert marks["age"] == said["age"]
    assert answer["ResponseMetadata"]["Resilience"] == said  # what was given is the caller's


@pytest.mark.parametrize("metadata", [None, 5, "x"])
def test_an_answer_whose_metadata_is_none_gets_the_usual_one(metadata):
    core = make_core(fallback=lambda call, error: {"ResponseMetadata": metadata}, retry=Retry(max_attempts=1))
    made = call(core, *GET, [failed("ThrottlingException")])
    assert made.response["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert response_info(made.response).source == "fallback"


def test_a_value_does_not_change_with_what_it_was_made_of():
    response = {"Item": {"l": []}}
    value = fallback.response(response)
    response["Item"]["l"].append(1)
    assert value(make_call(), ERROR)["Item"] == {"l": []}


def test_a_replica_is_asked_for_reads_only():
    replica = fallback.replica("us-east-1", endpoint_url="http://x")
    assert replica(make_call(), ERROR) == {"from": ("us-east-1", "http://x")}
    assert replica(make_call(operation="PutItem"), ERROR) is None
    assert replica(make_call(operation="ExecuteStatement"), ERROR) is None


def test_a_chain_is_flat_and_in_order():
    def own(call, error):
        raise NotImplementedError

    one, two = fallback.stale(), fallback.response({})
    chain = one | (own | two) | fallback.replica("eu-west-1")
    assert [type(member).__name__ for member in chain.members] == ["Stale", "function", "FixedResponse", "Replica"]
    assert chain.remembering == (one,)
    assert (own | two).members == (own, two)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: fallback.stale(max_age=0), ValueError, ["max_age", "greater than 0", "0"]),
        (lambda: fallback.stale(max_age="5"), TypeError, ["max_age", "number", "'5'"]),
        (lambda: fallback.stale(max_age=float("inf")), ValueError, ["max_age", "inf"]),
        (lambda: fallback.stale(max_items=0), ValueError, ["max_items", "1 or more", "0"]),
        (lambda: fallback.stale(max_items=1.5), TypeError, ["max_items", "whole", "1.5"]),
        (lambda: fallback.replica(""), TypeError, ["region", "''"]),
        (lambda: fallback.replica(None), TypeError, ["region", "None"]),
        (lambda: fallback.response([1]), TypeError, ["answer", "mapping", "list"]),
        (lambda: fallback.function(5), TypeError, ["fallback", "callable", "5"]),
        (lambda: fallback.function(lambda call: call), TypeError, ["(call, error)", "<lambda>"]),
        (lambda: fallback.function(fallback.stale()), TypeError, ["called", "'stale'"]),
        (lambda: fallback.function(lambda call, error: {}, writes=1), TypeError, ["writes", "True or False", "int"]),
        (lambda: fallback.stale() | fallback.function, TypeError, ["fallback", "(call, error)", "function"]),
        (lambda: fallback.stale() | 5, TypeError, ["fallback", "callable", "5"]),
        (lambda: Chain(None), TypeError, ["fallback", "callable", "None"]),
    ],
)
def test_what_can_not_be_meant_is_refused_by_name(make, error, words):
    with pytest.raises(error) as refused:
        make()
    assert [word for word in words if word not in str(refused.value)] == []


# Keys.

plain = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text("ab", max_size=2), st.binary(max_size=2),
                  st.decimals(-2, 2, places=1))  # fmt: skip
params = st.recursive(
    plain | st.frozensets(st.text("ab", max_size=1)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("kl", max_size=2), inner, max_size=3),
    max_leaves=8,
)


def reordered(value):
    """Return an equal value with everything unordered the other way round."""
    if isinstance(value, dict):
        return {key: reordered(member) for key, member in reversed(value.items())}
    if isinstance(value, list):
        return [reordered(member) for member in value]
    if isinstance(value, frozenset):
        return set(value)
    return copy.copy(value)


def same(one, other):
    """Compare as parameters are compared: 1, True and Decimal(1) are three values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@examples(300)
@given(params)
def test_equal_parameters_have_equal_keys_whatever_their_order(value):
    assert freeze(value) == freeze(reordered(value))
    assert hash(freeze(value)) == hash(freeze(reordered(value)))


@examples(600)
@given(params, params)
def test_keys_are_equal_only_for_equal_parameters(one, other):
    assert (freeze(one) == freeze(other)) is same(one, other)


CONDITIONS = [
    lambda: Key("a").eq(1),
    lambda: Key("a").eq(2),
    lambda: Key("b").eq(1),
    lambda: Attr("a").eq(1),
    lambda: Key("a").lt(1),
    lambda: Key("a").eq(1) & Key("b").eq(2),
    lambda: Attr("a").eq(1) & Attr("b").eq(2),
    lambda: Attr("a").eq(1) | Attr("b").eq(2),
    lambda: ~Attr("a").eq(1),
    lambda: Attr("a").is_in([1, 2]),
    lambda: Attr("a").is_in([2, 1]),
    lambda: Attr("a").between(1, 2),
    lambda: Attr("a").exists(),
    lambda: Attr("a").not_exists(),
    lambda: Attr("a").size().gt(1),
    lambda: Attr("a").gt(1),
    lambda: Attr("a").contains("x"),
    lambda: Attr("a").begins_with("x"),
]


def test_conditions_are_equal_where_they_say_the_same():
    made, again = [[freeze(make()) for make in CONDITIONS] for _ in range(2)]
    assert made == again
    assert len(set(made)) == len(CONDITIONS)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ((1, 2), [1, 2], True),
        (bytearray(b"a"), bytearray(b"a"), True),
        (Binary(b"a"), Binary(b"a"), True),
        (Binary(b"a"), Binary(b"b"), False),
        (True, 1, False),
        (1, Decimal(1), False),
        ("1", 1, False),
        (Decimal("1.0"), Decimal(1), True),
        ([1, 2], [2, 1], False),
        ({"a"}, ["a"], False),
        ({}, [], False),
    ],
)
def test_keys_of_special_values(one, other, equal):
    assert (freeze(one) == freeze(other)) is equal
    hash(freeze(one))
