"""What the classes of both rims are made from: boto3's own resource model of DynamoDB, and what their Tables share."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.exceptions import DataNotFoundError
from botocore.loaders import Loader

_API_VERSION = "2012-08-10"


@lru_cache(maxsize=1)
def resource_definitions() -> Any:
    """Return boto3's resource model of DynamoDB, by its path: to look for it takes 5 ms."""
    loader = Loader(extra_search_paths=[str(Path(boto3.__file__).parent / "data")])
    try:
        return loader.load_data(str(Path("dynamodb", _API_VERSION, "resources-1")))
    except DataNotFoundError:
        return loader.load_service_model("dynamodb", "resources-1")


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
