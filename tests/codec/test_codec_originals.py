"""A part that somebody has wrapped is not the original, however equal the wrapper says it is."""

import types
import weakref
from functools import partial

import pytest
from boto3.dynamodb import transform
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.auth import SigV4Auth
from cycle_support import without_collector

from resilient_ddb.codec.originals import Original, home_of, is_own, is_same, sameness
from resilient_ddb.codec.values import boto3_deserializes_as_usual, boto3_serializes_as_usual
from resilient_ddb.hooks.listeners import Listeners
from resilient_ddb.hooks.signing import botocore_signs_as_usual


class Proxy:
    """As wrapt's proxies, which OpenTelemetry and others put around functions: equal to what it wraps, hash and all."""

    def __init__(self, wrapped):
        self.__dict__["wrapped"] = wrapped

    def __get__(self, instance, owner):
        return Proxy(self.wrapped.__get__(instance, owner))

    def __call__(self, *args, **kwargs):
        return self.wrapped(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self.wrapped, name)

    def __eq__(self, other):
        return self.wrapped == other

    def __hash__(self):
        return hash(self.wrapped)

    @property
    def __class__(self):
        return type(self.wrapped)


GUARDS = {
    "serializing": (boto3_serializes_as_usual, TypeSerializer, "_serialize_s"),
    "deserializing": (boto3_deserializes_as_usual, TypeDeserializer, "deserialize"),
    "transforming": (boto3_deserializes_as_usual, transform.ParameterTransformer, "transform"),
    "signing": (botocore_signs_as_usual, SigV4Auth, "signature"),
    "a method": (lambda: is_own("botocore.auth", "SigV4Auth", "payload"), SigV4Auth, "payload"),
}


@pytest.mark.parametrize("name", GUARDS)
def test_a_wrapped_part_is_not_the_original(monkeypatch, name):
    guard, cls, method = GUARDS[name]
    assert guard()
    original = vars(cls)[method]
    monkeypatch.setattr(cls, method, Proxy(original))
    assert getattr(cls, method) == original
    assert not guard()
    monkeypatch.setattr(cls, method, original)
    assert guard()
    monkeypatch.delattr(cls, method)
    assert not guard()


def test_a_part_that_was_wrapped_from_the_first_never_stands():
    def of_this_module():
        """Do nothing."""

    home = types.SimpleNamespace(one=Proxy(of_this_module), two=of_this_module)
    assert not Original(home, ["one"], __name__).stands()
    assert Original(home, ["two"], __name__).stands()
    assert not Original(home, ["two"], "elsewhere").stands()
    assert not Original(home, ["three"], __name__).stands()


def test_what_is_compiled_keeps_nothing_once_nobody_has_it():
    found = Handlers()
    home, gone = types.SimpleNamespace(one=found), weakref.ref(found)
    with without_collector():
        are_same = sameness(["one"], [found])
        assert are_same(home)
        del are_same, home, found
        assert gone() is None


class Handlers:
    def handle(self):
        """Do nothing."""


def test_handlers_are_the_same_or_they_are_not():
    one, other = Handlers(), Handlers()
    assert is_same(one.handle, one.handle)
    assert is_same(Handlers.handle, Handlers.handle)
    assert not is_same(one.handle, other.handle)
    assert not is_same(one.handle, Proxy(one.handle))
    assert not is_same(Proxy(one.handle), one.handle)
    assert not is_same(Handlers.handle, Proxy(Handlers.handle))


def test_the_home_of_a_wrapped_handler_is_not_that_of_what_it_wraps():
    assert home_of(Handlers().handle) == home_of(Handlers.handle) == __name__
    assert home_of(Proxy(SigV4Auth.add_auth)) == __name__
    assert home_of(Proxy(SigV4Auth(None, "", "").add_auth)) == __name__
    assert home_of(partial(SigV4Auth.add_auth)) == ""


def read(**_):
    """Read."""


def values_out(**_):
    """Make values native."""


class Events:
    """A client's events, as far as they are looked at."""

    def __init__(self, **handlers):
        self._emitter = self
        self._lookup_cache = {}
        self._handlers = types.SimpleNamespace(prefix_search=lambda event: handlers.get(event.partition(".")[0], []))


@pytest.mark.parametrize(
    ("handlers", "found"),
    [
        ({"before-parse": [read], "after-call": [values_out]}, (False, False, True)),
        ({"before-parse": [Proxy(read)], "after-call": [values_out]}, (True, False, True)),
        ({"before-parse": [read], "after-call": [Proxy(values_out)]}, (False, False, False)),
        ({"before-parse": [read], "after-call": [Proxy(values_out), values_out]}, (False, True, True)),
        ({"before-parse": [read], "needs-retry": [read]}, (False, False, False)),
        ({"before-parse": [read], "needs-retry": [Proxy(read)]}, (False, True, False)),
        ({"before-parse": []}, (True, False, False)),
    ],
)
def test_a_handler_that_somebody_wrapped_is_somebody_elses(handlers, found):
    listeners = Listeners(read, values_out, [read])
    assert listeners.find(Events(**handlers), "GetItem") == found
