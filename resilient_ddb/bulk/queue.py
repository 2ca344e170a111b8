"""The requests of a batch writer: which are sent next, which have to wait, and in which order they came.

Ctrl-C can come between any two lines. So a request is always put where it goes to before it is taken from where it was,
and what is in two places counts once.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from resilient_ddb.dynamodb.capacity import MAX_ITEM_BYTES

from .requests import MAX_WIRE_BYTES, as_answered, hashable, number_that_fits, values_of, weight_of
from .settings import Request

MAX_REQUESTS = 25
_SURELY_TOO_LARGE = MAX_ITEM_BYTES + MAX_ITEM_BYTES // 50
"""Sizes of numbers are published as approximate: nearer to the limit, it is DynamoDB that decides."""
_SURELY_FITS = MAX_WIRE_BYTES // 8
"""So many bytes of items are within the limit whatever JSON makes of them."""

Key = tuple[Any, ...]


class Batch:
    """Requests that go out together."""

    __slots__ = ("number", "requests", "reserved", "sent_at", "too_large", "units")

    def __init__(self, requests: list[Request], units: list[int], too_large: list[Request]) -> None:
        """Hold the requests and the units of each by size, and apart from them those that are too large to be sent."""
        self.requests = requests
        self.units = units
        self.too_large = too_large
        self.reserved = 0.0
        self.sent_at = 0.0
        """Seconds on the policy's monotonic clock."""
        self.number = 0
        """The pass that it belongs to."""

    def units_without(self, left: Sequence[Request]) -> float:
        """Return the units by size of what was written."""
        if not left:
            return sum(self.units)
        are_left = set(map(id, left))
        pairs = zip(self.requests, self.units, strict=True)
        return sum(units for request, units in pairs if id(request) not in are_left)


class Queue:
    """What will be written, in order. Everything a writer holds that is not under way is in here."""

    def __init__(self, size: int, keys: Sequence[str] | None) -> None:
        """Make batches of `size` at most; `keys` are the key's attributes, if they are known."""
        self.buffer: list[Request] = []
        self._size = min(size, MAX_REQUESTS)
        self._pieces: deque[list[Request]] = deque()
        """Batches that were taken apart. They come first, as they are."""
        self._keys = tuple(keys) if keys else None
        self._must_have_keys = bool(keys)
        self._newest: dict[Key, Request] = {}
        """What the buffer has for each key. Empty if that must be looked up again."""
        self._under_way: dict[int, Batch] = {}
        self._numbers = itertools.count()
        self._order: dict[int, int] = {}
        """Which place in the order a request has, by its `id`: kept from when it is first cut until it is written."""

    def __len__(self) -> int:
        return len(self.buffer) + sum(map(len, self._pieces))

    @property
    def under_way(self) -> int:
        """Return the number of batches under way."""
        return len(self._under_way)

    @property
    def has_parts(self) -> bool:
        """Return whether parts of a batch that was taken apart wait, or may be under way beside the batch at hand."""
        return bool(self._pieces) or len(self._under_way) > 1

    @property
    def knows_keys(self) -> bool:
        """Return whether requests for the same key can be told."""
        return self._keys is not None

    def know_keys(self, keys: Sequence[str]) -> None:
        """Record the key's attributes: from now on, of requests for one key the last one stands."""
        self._keys = tuple(keys)
        for requests in (self.buffer, *self._pieces):
            newest = {self._key(request): request for request in requests}
            self._forget(request for request in requests if newest[self._key(request)] is not request)
            requests[:] = [request for request in requests if newest[self._key(request)] is request]

    # In.

    def add(self, request: Request) -> None:
        """Add a request, in place of an older one for the same key.

        Raises:
            KeyError: it lacks an attribute of the key.
        """
        if self._keys is not None:
            if self._must_have_keys:
                values = values_of(request)
                for name in self._keys:
                    values[name]  # as boto3, whose error this is
            if len(self._newest) != len(self.buffer):
                self._newest = {self._key(waiting): waiting for waiting in self.buffer}
            key = self._key(request)
            older = self._newest.get(key)
            self.buffer.append(request)
            self._newest[key] = request
            if older is not None:
                self._forget([older])
                self.buffer[:] = [waiting for waiting in self.buffer if waiting is not older]
        else:
            self.buffer.append(request)

    def replace(self, requests: Iterable[Request]) -> None:
        """Put these requests in the place of those that wait."""
        self._newest.clear()
        self.buffer[:] = requests

    def put_back(self, requests: Iterable[Request]) -> None:
        """Add requests again, in their old places; without those for which a newer one has come since."""
        self._newest.clear()
        waiting = {id(request) for part in (self.buffer, *self._pieces) for request in part}
        wanted = self._still_wanted(request for request in requests if id(request) not in waiting)
        if self._pieces and wanted:  # what is in the pieces may be for the same keys, and comes later
            self._pieces.appendleft(wanted)
        else:
            self.buffer[:] = sorted([*wanted, *self.buffer], key=self._place)

    def take_apart(self, batch: Batch) -> None:
        """Send the halves of a batch one after the other: the one with nothing wrong in it gets through."""
        middle = len(batch.requests) // 2
        self._pieces.extendleft([batch.requests[middle:], batch.requests[:middle]])

    def join(self) -> None:
        """Put the parts of batches that were taken apart back in their places."""
        self._newest.clear()
        pieces = self._still_wanted(request for piece in self._pieces for request in piece)
        self.buffer[:] = sorted([*pieces, *self.buffer], key=self._place)
        self._pieces.clear()

    # Out.

    def is_due(self, least: int) -> bool:
        """Return whether to send a batch: a whole one, or what there is if nothing else can fill it up."""
        if self._pieces:
            return True
        if not self._under_way:
            return len(self.buffer) >= least
        return self._ready() >= max(self._size, least)

    def cut(self) -> Batch:
        """Return the next batch, which is then under way: 25 requests and 16 MB at most, and no key that is."""
        from_piece = bool(self._pieces)
        chosen = self._still_wanted(self._pieces[0]) if from_piece else self._choose()
        requests: list[Request] = []
        units: list[int] = []
        too_large: list[Request] = []
        total = 0
        for request in chosen:
            size, cost = weight_of(request)
            if size > _SURELY_TOO_LARGE:
                too_large.append(request)
                continue
            total += size
            requests.append(request)
            units.append(cost)
        if total > _SURELY_FITS:
            fitting = number_that_fits(requests)
            rest = requests[fitting:]
            del requests[fitting:], units[fitting:]
        else:
            rest = []
        batch = Batch(requests, units, too_large)
        self._under_way[id(batch)] = batch
        if from_piece and rest:
            self._pieces[0] = rest
        elif from_piece:
            self._pieces.popleft()
        else:
            taken = {id(request) for request in (*requests, *too_large)}
            self.buffer[:] = [request for request in self.buffer if id(request) not in taken]
        return batch

    def is_under_way(self, batch: Batch) -> bool:
        """Return whether a batch was cut, and has not come to its end."""
        return id(batch) in self._under_way

    def end(self, batch: Batch) -> None:
        """Record that it no longer is."""
        self._under_way.pop(id(batch), None)

    def abandon(self) -> None:
        """Put back whatever is under way: nobody is going to answer."""
        for batch in list(self._under_way.values()):
            self.put_back((*batch.requests, *batch.too_large))
            self.end(batch)

    def done(self, requests: Iterable[Request]) -> None:
        """Forget requests that are written, or somebody else's."""
        self._forget(requests)

    def empty(self) -> None:
        """Hold nothing that waits."""
        self._number(self.in_order())
        self.buffer.clear()
        self._pieces.clear()

    def in_order(self, others: Iterable[Request] = ()) -> list[Request]:
        """Return everything that is not written, in order: what is under way, too, and `others`."""
        under_way = [each for batch in self._under_way.values() for each in (*batch.requests, *batch.too_large)]
        pieces = [request for piece in self._pieces for request in self._still_wanted(piece)]
        everything = {id(request): request for request in (*others, *under_way, *pieces, *self.buffer)}
        return sorted(everything.values(), key=self._place)

    def originals(self, batch: Batch, returned: Iterable[Request]) -> tuple[list[Request], list[Request]]:
        """Return the requests of a batch that came back, each once and as it was given, and those that it never had."""
        forms = [as_answered(request) for request in batch.requests]
        keys = [None if self._keys is None else self._key(request) for request in batch.requests]
        found: dict[int, Request] = {}
        never_sent = []
        for request in returned:
            form = as_answered(request)
            places = [at for at, known in enumerate(forms) if known == form]
            if not places and self._keys is not None:  # a value was put in another type: a time
                key = self._key(request)
                places = [at for at, known in enumerate(keys) if known == key]
            if places:
                at = next((at for at in places if at not in found), places[0])
                found[at] = batch.requests[at]
            else:
                never_sent.append(request)
        return list(found.values()), never_sent

    def key_of(self, request: Request) -> dict[str, Any] | None:
        """Return the key of a request, None if the key's attributes are not known."""
        values = values_of(request)
        if not isinstance(values, Mapping):
            return None
        if "DeleteRequest" in request:
            return dict(values)
        if self._keys is None:
            return None
        return {name: value for name, value in values.items() if name in self._keys}

    def _choose(self) -> list[Request]:
        busy = self._busy()
        if not busy:
            chosen = self.buffer[: self._size]
            self._number(chosen)
            return chosen
        self._number(self.buffer)
        ready = (request for request in self.buffer if self._key(request) not in busy)
        return list(itertools.islice(ready, self._size))

    def _ready(self) -> int:
        busy = self._busy()
        return sum(self._key(request) not in busy for request in self.buffer) if busy else len(self.buffer)

    def _busy(self) -> set[Key]:
        if self._keys is None:
            return set()
        return {self._key(request) for batch in self._under_way.values() for request in batch.requests}

    def _still_wanted(self, requests: Iterable[Request]) -> list[Request]:
        wanted = list(requests)
        if self._keys is not None:
            newer = {self._key(request) for request in self.buffer}
            self._forget(request for request in wanted if self._key(request) in newer)
            wanted = [request for request in wanted if self._key(request) not in newer]
        return wanted

    def _key(self, request: Request) -> Key:
        """Return what is the same for two requests for one item; no other request's if that can't be told."""
        try:
            values = values_of(request)
            key = tuple([values[name] for name in self._keys or ()])
            try:
                hash(key)
            except TypeError:
                key = tuple(map(hashable, key))
                hash(key)
        except (KeyError, TypeError):
            return (id(request),)
        return key

    def _number(self, requests: Iterable[Request]) -> None:
        for request in requests:
            if id(request) not in self._order:
                self._order[id(request)] = next(self._numbers)

    def _forget(self, requests: Iterable[Request]) -> None:
        for request in requests:
            self._order.pop(id(request), None)

    def _place(self, request: Request) -> float:
        return self._order.get(id(request), math.inf)
