"""A batch writer's puts and deletes, with the stored keys of a sharded table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .drive import Flow

if TYPE_CHECKING:
    from .shard_layout import Uniform
    from .sharded_keys import ShardKeys

Request = dict[str, Any]


class ShardedBatch:
    """What the sync and the async batch writer of a sharded table share."""

    def __init__(self, writer: Any, find_keys: Callable[[], Flow[ShardKeys]], uniform: Uniform) -> None:
        """Write through `writer`, which is of the table behind."""
        self._writer = writer
        self._find_keys = find_keys
        self._uniform = uniform
        self._keys: ShardKeys | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._writer, name)

    @property
    def leftovers(self) -> list[Request]:
        """Every request that is not surely written, in order, with the keys as callers see them."""
        return [self._as_seen(request) for request in self._writer.leftovers]

    def _known(self) -> Flow[ShardKeys]:
        if self._keys is None:
            self._keys = yield from self._find_keys()
        return self._keys

    def _put(self, item: Any) -> Flow[None]:
        keys = yield from self._known()
        stored = keys.stored_item(item, self._uniform)
        yield from self._ending(partial(self._writer.put_item, Item=stored))

    def _delete(self, key: Any) -> Flow[None]:
        keys = yield from self._known()
        yield from self._ending(partial(self._writer.delete_item, Key=keys.one_place(key)))

    def _ending(self, call: Callable[[], Any]) -> Flow[Any]:
        """Make a call of the writer's, whose error may hold requests."""
        try:
            return (yield call)
        except Exception as error:
            items = getattr(error, "items", None)
            if isinstance(items, list):
                error.items = [self._as_seen(request) for request in items]  # type: ignore[attr-defined]  # it has them
            raise

    def _as_seen(self, request: Mapping[str, Any]) -> Request:
        made = {}
        for action, inner in request.items():
            made[action] = {name: dict(values) for name, values in inner.items()}
            for values in made[action].values():
                if self._keys is not None:
                    self._keys.as_seen(values)
        return made
