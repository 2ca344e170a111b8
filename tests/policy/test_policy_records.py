"""Records: frozen values of facts, which stand in the place of frozen dataclasses wherever each call needs them."""

import copy
import math
import pickle
from dataclasses import FrozenInstanceError
from types import SimpleNamespace

import pytest

from resilient_ddb.calls import telling
from resilient_ddb.calls.classification import Classification
from resilient_ddb.errors import CallFacts
from resilient_ddb.events import AttemptEvent, CallEndEvent, ErrorKind, Outcome, Record, RetryEvent
from resilient_ddb.fallback import Call

FACTS = {"table": "t", "operation": "GetItem", "kind": ErrorKind.THROTTLING, "attempts": 2, "elapsed": 0.5}
EXAMPLES = {
    CallFacts: {**FACTS, "ambiguous": False},
    Classification: {"kind": ErrorKind.TRANSIENT, "retryable": True},
    Call: {
        "operation": "GetItem",
        "params": {"Key": 1},
        "table": "t",
        "identity": ("me",),
        "clock": "c",
        "elsewhere": max,
    },
    RetryEvent: {
        "table": "t",
        "operation": "Q",
        "call": 1,
        "attempt": 1,
        "kind": ErrorKind.TRANSIENT,
        "code": "E",
        "delay": 0.1,
    },
}
DEFAULTS = {
    CallFacts: {"throttling_reasons": (), "stopped_by": None},
    Classification: {
        "ambiguous": False,
        "counts_against_breaker": False,
        "throttling_reasons": (),
        "max_retries": None,
        "minimum_age": 0.0,
        "refresh_credentials": False,
    },
    Call: {"began": math.inf},
    RetryEvent: {},
}


@pytest.fixture(params=EXAMPLES, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


@pytest.fixture
def made(cls):
    return cls(**EXAMPLES[cls])


def test_facts_and_defaults_are_read_by_their_names(cls, made):
    expected = {**EXAMPLES[cls], **DEFAULTS[cls]}
    of_the_class = {"event": "RetryEvent"} if cls is RetryEvent else {}
    assert made.as_dict() == {**expected, **of_the_class}
    assert {name: getattr(made, name) for name in expected} == expected
    assert set(expected) <= set(dir(made))


def test_a_default_gives_way_to_a_fact(cls):
    for name in DEFAULTS[cls]:
        assert getattr(cls(**{**EXAMPLES[cls], name: "mine"}), name) == "mine"


def test_no_fact_is_set_or_deleted(cls, made):
    for name in (*EXAMPLES[cls], *DEFAULTS[cls], "new"):
        with pytest.raises(AttributeError, match="frozen"):
            setattr(made, name, 1)
        with pytest.raises(AttributeError, match="frozen"):
            delattr(made, name)
    assert issubclass(FrozenInstanceError, AttributeError)  # what a frozen dataclass raises


def test_facts_are_given_by_name_and_whole(cls):
    for wrong in ({}, {**EXAMPLES[cls], "new": 1}, dict(list(EXAMPLES[cls].items())[1:])):
        with pytest.raises(TypeError, match="each by name"):
            cls(**wrong)
    with pytest.raises(TypeError):
        cls(*EXAMPLES[cls].values())


def test_those_of_the_same_facts_are_equal(cls, made):
    assert made == cls(**EXAMPLES[cls])
    name = next(iter(EXAMPLES[cls]))
    other = made.replaced(**{name: "another"})
    assert type(other) is cls
    assert other != made
    assert other.as_dict() == {**made.as_dict(), name: "another"}
    assert made != tuple(EXAMPLES[cls].values())
    with pytest.raises(TypeError, match="each by name"):
        made.replaced(new=1)


def test_copies_and_pickles_are_equal(cls, made):
    for twin in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):  # noqa: S301 - our own
        assert type(twin) is cls
        assert twin == made


def test_those_of_hashable_facts_are_hashable():
    assert len({Classification(**EXAMPLES[Classification]), Classification(**EXAMPLES[Classification])}) == 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(Call(**EXAMPLES[Call]))


def test_they_are_printed_with_their_facts():
    assert repr(Classification(kind=1, retryable=2)) == (
        "Classification(kind=1, retryable=2, ambiguous=False, counts_against_breaker=False, throttling_reasons=(), "
        "max_retries=None, minimum_age=0.0, refresh_credentials=False)"
    )


def test_a_calls_parameters_and_credentials_are_not_printed():
    assert repr(Call(**EXAMPLES[Call])) == (
        "Call(operation='GetItem', table='t', clock='c', elsewhere=<built-in function max>, began=inf)"
    )


def test_a_subclass_has_the_defaults_of_its_base_and_its_own():
    class Base(Record):
        a: int
        b: int = 2

    class Derived(Base):
        b: int = 3
        c: int = 4

    assert Derived(a=1).as_dict() == {"a": 1, "b": 3, "c": 4}
    assert Base(a=1).b == 2


class Core:
    """In the place of a core: takes down what is told."""

    def __init__(self):
        self.observers, self.told, self.clock = (print,), [], self
        self.monotonic = self.time = float
        self.last_errors = {}
        self.host = SimpleNamespace(region="eu-west-1")
        self.tell = self.warn = self.told.append


class Execution:
    operation, attempts, started, verdict, ambiguous = "GetItem", 1, 0.0, None, False
    params, number, stopped_by, response_bytes = {}, 1, None, 0

    def original_error(self):
        return None

    def __init__(self):
        self.core, self.lane, self.table = Core(), self, "t"


@pytest.mark.parametrize(
    ("cls", "tell"),
    [
        (AttemptEvent, lambda call: telling.attempt_ended(call, 0.1, None, None, None)),
        (AttemptEvent, lambda call: telling.attempt_ended(call, 0.1, ErrorKind.TRANSIENT, "E", {})),
        (CallEndEvent, lambda call: telling.call_ended(call, Outcome.SUCCESS)),
    ],
)
def test_what_is_told_without_a_look_has_all_facts_and_no_others(cls, tell):
    call = Execution()
    tell(call)
    [event] = call.core.told
    assert type(event) is cls
    facts = {name: getattr(event, name) for name in cls._names}
    assert event == cls(**facts) == cls.of(facts)
