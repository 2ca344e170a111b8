"""What the classes of both rims are made from: boto3's own resource model of DynamoDB, and what their Tables share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
from boto3.resources import action, factory, response
from boto3.resources.params import create_request_parameters
from botocore import xform_name
from botocore.exceptions import DataNotFoundError
from botocore.loaders import Loader

from resilient_ddb.codec.originals import Original, home_of

_API_VERSION = "2012-08-10"
_ACTING = Original(
    action,
    ["ServiceAction.__call__", "create_request_parameters", "RawHandler.__call__"],
    action.__name__,
    create_request_parameters.__module__,
    response.__name__,
)


@lru_cache(maxsize=1)
def resource_definitions() -> Any:
    """Return boto3's resource model of DynamoDB, by its path: to look for it takes 5 ms."""
    loader = Loader(extra_search_paths=[str(Path(boto3.__file__).parent / "data")])
    try:
        return loader.load_data(str(Path("dynamodb", _API_VERSION, "resources-1")))
    except DataNotFoundError:
        return loader.load_service_model("dynamodb", "resources-1")


# Which verbs of a resource are a call of the client's with the resource's name, and no more.


def plain_operation(described: Any) -> str | None:
    """Return the client's method for an action that fills in the table's name, and returns the response as it is."""
    if described.resource is not None or described.path or described.request is None:
        return None
    filled_in = [(each.target, each.source, each.name) for each in described.request.params]
    return xform_name(described.request.operation) if filled_in == [("TableName", "identifier", "Name")] else None


def is_made_by_boto3(method: Any) -> bool:
    """Return whether a method is what boto3's own factory makes of an action, and that action boto3's own."""
    make = getattr(getattr(factory.ResourceFactory, "_create_action", None), "__code__", None)
    return (
        make is not None
        and home_of(method) == factory.__name__
        and getattr(method, "__code__", None) in make.co_consts
        and getattr(factory, "ServiceAction", None) is action.ServiceAction
    )


def boto3_acts_as_usual() -> bool:
    """Return whether boto3's actions are as they were made, and write no debug log."""
    return _ACTING.stands() and not action.logger.isEnabledFor(logging.DEBUG)


# What Tables, and what stands before them, share.


class SharesClient:
    """A Table that is copied with the client it has."""

    def _transact_write_items(self: Any, **params: Any) -> Any:
        """Write in a transaction; what stands for a table and has keys of its own translates them here."""
        return self.meta.client.transact_write_items(**params)

    def __copy__(self) -> Self:
        """Share the client, as a copy of boto3's Table does. By `__reduce__` it would get other credentials."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Share the client: boto3's Table can't be copied deeply."""
        return self.__copy__()


class Behind:
    """What stands before a Table: what it has not itself is the Table's."""

    _table: Any

    if not TYPE_CHECKING:  # the rims say what there is, with types: `table_behind`

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):  # asked for by copy and pickle, before there is a table
                raise AttributeError(name)
            return getattr(self._table, name)

    def __dir__(self) -> list[str]:
        of_table = (name for name in dir(self._table) if not name.startswith("_"))
        return sorted({*super().__dir__(), *of_table})


def handed_on(verbs: type) -> type:
    """Return a class for what stands before a Table: it has the same verbs, and hands each call on to that Table."""
    names = [name for name in dir(verbs) if name[0] != "_"]
    return type(verbs.__name__, (), {name: _handed_on(getattr(verbs, name)) for name in names})


def _handed_on(verb: Callable[..., Any]) -> Callable[..., Any]:
    name = verb.__name__

    @wraps(verb, assigned=("__name__", "__qualname__", "__doc__", "__annotations__"))
    def hand_on(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._table, name)(*args, **kwargs)

    return hand_on
