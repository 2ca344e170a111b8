"""The async Table's own verbs: a call of the client's with the table's name, and no more."""

import asyncio

import pytest
from boto3.resources.base import ResourceMeta

from resilient_ddb.aio import resources
from resilient_ddb.aio.pending import Pending
from resilient_ddb.aio.resources import resource_class

VERBS = ("get_item", "put_item", "update_item", "delete_item", "query", "scan")
ANSWER = {"ResponseMetadata": {}}


class Client:
    """In the place of a client: takes down what its methods are called with."""

    def __init__(self, error=None):
        self.calls = []
        self._error = error

    def __getattr__(self, name):
        async def method(*args, **kwargs):
            self.calls.append((name, args, list(kwargs.items())))
            if self._error is not None:
                raise self._error
            return ANSWER

        return method


@pytest.fixture
def table():
    made = object.__new__(resource_class("Table"))
    made._name = "orders"
    made.meta = ResourceMeta("dynamodb", client=Client())
    made.meta.data = {"TableArn": "old"}
    return made


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("args", "kwargs", "given"),
    [
        ((), {}, [("TableName", "orders")]),
        ((), {"Key": 1, "Any": 2}, [("TableName", "orders"), ("Key", 1), ("Any", 2)]),
        ((), {"Key": 1, "TableName": "another"}, [("TableName", "another"), ("Key", 1)]),
        (("by position",), {"Key": 1}, [("TableName", "orders"), ("Key", 1)]),
    ],
)
def test_the_clients_method_is_called(table, verb, args, kwargs, given):
    pending = getattr(table, verb)(*args, **kwargs)
    assert isinstance(pending, Pending)
    assert repr(pending) == f"<table.{verb}(...): not awaited; write 'await table.{verb}(...)'>"
    assert asyncio.run(_awaited(pending)) is ANSWER
    assert table.meta.client.calls == [(verb, args, given)]
    assert table.meta.data is None


async def _awaited(pending):
    return await pending


@pytest.mark.parametrize("verb", VERBS)
def test_no_parameters_are_made_of_the_model(table, verb, monkeypatch):
    monkeypatch.setattr(resources, "create_request_parameters", None)
    assert asyncio.run(_awaited(getattr(table, verb)())) is ANSWER


@pytest.mark.parametrize("verb", VERBS)
def test_data_is_kept_if_the_call_fails(table, verb):
    table.meta.client = Client(OSError("no"))
    with pytest.raises(OSError, match="no"):
        asyncio.run(_awaited(getattr(table, verb)()))
    assert table.meta.data == {"TableArn": "old"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_is_not_awaited_goes_by_its_name(table, verb):
    with pytest.warns(RuntimeWarning, match=f"coroutine 'AsyncTable.{verb}' was never awaited"):
        getattr(table, verb)()


def test_a_subclass_overrides_a_verb_and_a_name(table):
    class Mine(type(table)):
        name = "mine"

        async def get_item(self, **kwargs):
            return await super().get_item(**kwargs, More=1)

    table.__class__ = Mine
    assert asyncio.run(_awaited(table.get_item(Key=1))) is ANSWER
    assert table.meta.client.calls == [("get_item", (), [("TableName", "mine"), ("Key", 1), ("More", 1)])]
