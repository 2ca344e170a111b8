"""A batch writer's puts and deletes, with the stored keys of a sharded table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from .drive import Flow
from .settings import is_async

if TYPE_CHECKING:
    from .batch_settings import Refusal
    from .shard_layout import Uniform
    from .sharded_keys import ShardKeys

Request = dict[str, Any]


class ShardedBatch:
    """What the sync and the async batch writer of a sharded table share."""

    def __init__(
        self,
        make: Callable[..., Any],
        options: Mapping[str, Any],
        find_keys: Callable[[], Flow[ShardKeys]],
        uniform: Uniform,
    ) -> None:
        """Write through what `make` makes of the options: a writer of the table behind."""
        take = options.get("on_leftover")
        self._writer = make(**{**options, "on_leftover": self._seen_by(take)} if callable(take) else options)
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

    @property
    def refusals(self) -> list[Refusal]:
        """Why requests were refused: see `BatchWriter.refusals`; with the keys as callers see them."""
        found: list[Refusal] = []
        for refusal in self._writer.refusals:
            key = None if refusal.key is None else dict(refusal.key)
            if key is not None and self._keys is not None:
                self._keys.as_seen(key)
            found.append(replace(refusal, key=key))
        return found

    def _seen_by(self, take: Callable[[list[Request]], Any]) -> Callable[[list[Request]], Any]:
        """Give what takes leftovers for a caller's function: it sees their keys as callers do."""

        def seen(requests: list[Request]) -> Any:
            return take([self._as_seen(request) for request in requests])

        async def seen_later(requests: list[Request]) -> Any:
            return await seen(requests)

        return seen_later if is_async(take) else seen

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
