"""Items by their keys, a hundred a request: which keys are asked for next, and what of the answers is given.

DynamoDB may leave keys of a batch undone (`UnprocessedKeys`). They are asked for again, first, and the request is
filled up with the keys that follow. Items are given in the order of their keys: what is read before its turn is held,
which bounds how far the keys are read ahead.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain, islice
from types import GeneratorType
from typing import Any, Protocol

from resilient_ddb.calls.flows import Flow
from resilient_ddb.calls.integrity import UnreadableResponseError, foreign_answer
from resilient_ddb.calls.unanswered import unanswered
from resilient_ddb.dynamodb.expressions import asking_for
from resilient_ddb.dynamodb.keys import identity
from resilient_ddb.dynamodb.reserved import KEY
from resilient_ddb.errors import DeadlineExceededError, UnprocessedKeysError, attach
from resilient_ddb.errors.words import counted, name_of_error
from resilient_ddb.events import StopReason
from resilient_ddb.policy.deadlines import is_beyond_deadline
from resilient_ddb.policy.policy import policy_of
from resilient_ddb.policy.retry import Backoff

from .pacing import read_rate

Item = dict[str, Any]
_OPERATION = "BatchGetItem"
_A_REQUEST = 100
"""DynamoDB takes so many keys a request."""
_IN_HAND = 200
"""Keys that are taken ahead of the one whose item is given next."""
_REMEMBERED = 100_000
"""Keys of which is known that they were taken: some 10 MB."""
_PARAMETERS = (
    "ConsistentRead",
    "ProjectionExpression",
    "ExpressionAttributeNames",
    "AttributesToGet",
)
Drawn = deque[Any]
"""Where keys are put as they are drawn."""
END = object()
"""What is put there after the last key."""
_EMPTY: tuple[Iterable[Any], ...] = ([], (), range(0), {}, {}.values(), {}.items(), set())
_WITHOUT_CODE = tuple(type(iter(empty)) for empty in _EMPTY)
"""Iterators that run no Python code: nothing can interrupt them halfway."""


class Draw(Protocol):
    """Draws one key after the other."""

    def __call__(self, drawn: Drawn) -> Any:
        """Put the next key, or `END`, into `drawn`."""

    def may_be_broken(self) -> bool:
        """Return whether an exception that came while nothing was drawn may have ended the keys."""


class BatchReads:
    """What the sync and the async `get_items` share: every decision."""

    _sleep: Callable[[float], Any]

    missing: list[Item]
    """The keys for which there was no item, in order. On a Table with `ttl=`, an expired one is none.

    All of them are known when the iterator has ended."""

    def __init__(self, table: Any, draw: Draw, params: Mapping[str, Any], rate: Any) -> None:
        """Read the items of `table` by the keys that `draw` draws."""
        for name in params:
            if name not in _PARAMETERS:
                raise TypeError(f"get_items() got the unknown parameter {name!r}; it takes {', '.join(_PARAMETERS)}")
        self.missing = []
        self._table = table
        self._drawn: Drawn = deque()
        """The key that was drawn last, until it is taken: an interrupt may come in between."""
        self._draw = draw
        self._params: Mapping[str, Any] = dict(params)
        self._rate = read_rate(rate, table, params)
        self._returned: dict[str, Any] = {}
        if self._rate is not None:
            self._returned["ReturnConsumedCapacity"] = "TOTAL"
        self._is_drained = False
        self._is_broken = False
        """Whether the last thing that came of the keys was an error, or an interrupt, that may have ended them."""
        self._names: tuple[str, ...] = ()
        self._hidden: list[str] = []
        self._taken: dict[str, Item] = {}
        """Keys that are neither given nor missing yet, in order, by identity."""
        self._read: dict[str, Item | None] = {}
        """What is known of some of them."""
        self._given: str | None = None
        """Whose item was given last. It is forgotten as the next one is asked for: an interrupt may keep it here."""
        self._seen: set[bytes] = set()
        self._seen_in_order: deque[bytes] = deque()
        self._fruitless = 0
        self._stuck_since = 0.0
        """When the first of the passes began that made no progress, on the policy's monotonic clock."""
        self._foreign: UnreadableResponseError | None = None
        """What was wrong with the last answer, if it was no answer to what was asked."""
        self._backoff: Backoff | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of table {self._table.name!r}>"

    @property
    def unread(self) -> list[Item]:
        """The keys that were taken, and whose items are neither given nor missing yet, in order."""
        return [key for name, key in self._taken.items() if name != self._given]

    def _go_on(self) -> None:
        """Forget the item that was given last."""
        if self._given is not None:
            self._forget(self._given)
            self._given = None

    def _forget(self, name: str) -> None:
        self._taken.pop(name, None)
        self._read.pop(name, None)

    def _next(self) -> Item | None:
        """Return the item whose turn it is, if it has been read."""
        while self._taken:
            name, key = next(iter(self._taken.items()))
            if name not in self._read:
                break
            item = self._read[name]
            if item is not None:
                self._given = name
                return item
            if not self.missing or self.missing[-1] is not key:  # else an interrupt came before it was forgotten
                self.missing.append(key)
            self._forget(name)
        return None

    @property
    def _is_over(self) -> bool:
        return self._is_drained and not self._taken

    def _ask(self) -> Flow[None]:
        """Send one request, if there is anything to ask for; wait first, if the last one made no progress."""
        if self._fruitless:
            yield partial(self._sleep, self._pause())
        yield from self._take_keys()
        wanted = {name: key for name, key in self._taken.items() if name not in self._read}
        if not wanted:
            return
        rate, units = self._rate, 0.0
        request = {self._table.name: {**self._params, "Keys": list(wanted.values())}}
        clock = policy_of(self._table).clock
        try:
            if rate is not None:
                units = yield from rate.take(_OPERATION, len(wanted), self._sleep)
            started = clock.monotonic()
            response = yield unanswered(
                partial(self._table.meta.client.batch_get_item, RequestItems=request, **self._returned)
            )  # what they remember may be stale, or a part
        except Exception as failure:  # what is left goes with it
            raise self._given_up(name_of_error(failure)).because_of(failure) from failure
        what, done = self._answered(wanted, response)
        elapsed = clock.monotonic() - started
        self._foreign = foreign_answer(_OPERATION, self._table.name, what, response, elapsed) if what else None
        if not self._fruitless:
            self._stuck_since = started
        self._fruitless = 0 if done else self._fruitless + 1
        if rate is not None:
            rate.settle(units, done, response)

    def _answered(self, wanted: Mapping[str, Item], response: Mapping[str, Any]) -> tuple[str, int]:
        """Keep what was read, and return of how many keys it is the answer.

        Nothing is taken of one that names what was not asked for: then the text says what.
        """
        # One table was asked: whatever comes back is its own, under its name or its ARN.
        parts = (response.get("UnprocessedKeys") or {}).values()
        undone = {identity(key) for entry in parts for key in (entry or {}).get("Keys") or ()}
        if not undone <= wanted.keys():
            return f"{counted(len(undone - wanted.keys()), 'key')} as unprocessed that were not asked for", 0
        read: dict[str, Item | None] = {name: None for name in wanted if name not in undone}
        for item in [item for items in (response.get("Responses") or {}).values() for item in items or ()]:
            name = identity({attribute: item[attribute] for attribute in self._names if attribute in item})
            if name not in wanted:
                return "an item whose key was not asked for", 0
            read[name] = item
        for item in filter(None, read.values()):
            for attribute in self._hidden:
                del item[attribute]
        self._read.update(read)
        return "", len(wanted) - len(undone)

    # The keys.

    def _take_keys(self) -> Flow[None]:
        while not self._is_drained and len(self._taken) < _IN_HAND:
            if len(self._taken) - len(self._read) >= _A_REQUEST:
                break
            if not self._drawn:
                try:
                    yield partial(self._draw, self._drawn)
                except BaseException:
                    self._is_broken = self._is_broken or (not self._drawn and self._draw.may_be_broken())
                    raise
            if self._drawn[0] is not END:
                self._is_broken = False
                self._take_drawn()
            elif not self._is_broken:
                self._is_drained = True
            elif self._taken:  # what was taken can still be read
                break
            else:
                raise RuntimeError(
                    f"get_items of table {self._table.name!r} was given no more keys after its keys were broken off by "
                    "an error: which ones follow is not known"
                )

    def _take_drawn(self) -> None:
        try:
            self._take(self._drawn[0])
        except Exception:  # one that can't be meant
            self._drawn.popleft()
            raise
        self._drawn.popleft()

    def _take(self, key: Any) -> None:
        name = identity(key)
        if not self._names:
            self._begin(key)
        elif len(key) != len(self._names) or any(attribute not in key for attribute in self._names):
            raise ValueError(f"keys must all have the attributes {list(self._names)!r}; got one with {sorted(key)!r}")
        digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
        if digest in self._seen:
            return
        self._taken[name] = dict(key)  # first of all: what was seen is not taken again
        self._seen.add(digest)
        self._seen_in_order.append(digest)
        if len(self._seen) > _REMEMBERED:
            self._seen.discard(self._seen_in_order.popleft())

    def _begin(self, key: Mapping[str, Any]) -> None:
        """Go by the attributes that the first key has: an answer has to hold them, so that its items are told apart."""
        if not key:
            raise ValueError("keys must have the attributes of the table's key; got one with none")
        params, hidden = self._params, []
        for number, attribute in enumerate(key):
            params, is_hidden = asking_for(params, attribute, f"{KEY}{number}", "the key attribute")
            if is_hidden:
                hidden.append(attribute)
        self._params, self._hidden, self._names = params, hidden, tuple(key)

    # Passes without progress.

    def _pause(self) -> float:
        """Return the seconds to sleep before the next pass.

        Raises:
            UnprocessedKeysError: enough passes made no progress, or the deadline comes before the next one. Then it is
                a DeadlineExceededError as well.
        """
        policy = policy_of(self._table)
        fruitless = f"{counted(self._fruitless, 'pass', 'passes')} made no progress"
        given_up = self._given_up(fruitless)
        now = policy.clock.monotonic()
        if self._fruitless == 1 or self._backoff is None:
            self._backoff = Backoff(policy.retry, policy.uniform, now)
        delay = self._backoff.delay(self._fruitless, given_up, now)
        kind = given_up.resilience.kind if self._foreign is None else self._foreign.resilience.kind
        facts = {"kind": kind, "table": self._table.name, "elapsed": now - self._stuck_since}
        if delay is not None and is_beyond_deadline(delay):
            why = "the deadline comes before the next pass"
            told = f"{why}: {fruitless}"
            late = DeadlineExceededError(operation_name=_OPERATION, attempts=self._fruitless, told=told)
            attach(late, late.resilience.replaced(**facts))
            delay, given_up = None, self._given_up(why).because_of(late, fruitless)
        elif delay is None:
            attach(given_up, given_up.resilience.replaced(stopped_by=StopReason.MAX_ATTEMPTS, **facts))
        if delay is None:
            self._fruitless = 0  # a caller that goes on begins anew
            try:
                raise given_up from (self._foreign or given_up.__cause__)
            finally:
                del given_up  # it knows this frame: they would keep each other
        return policy.clock.wait(delay)

    def _given_up(self, why: str) -> UnprocessedKeysError:
        return UnprocessedKeysError(
            operation_name=_OPERATION, table=self._table.name, keys=self.unread, why=why, attempts=self._fruitless
        )


class Drawing:
    """Draws keys. Nothing runs between the drawing and the keeping, where Ctrl-C could lose a key, or the end."""

    def __init__(self, keys: Iterable[Any]) -> None:
        """Draw `keys`, and then `END`."""
        self._keys = iter(keys)
        self._following = chain(self._keys, (END,))

    def __call__(self, drawn: Drawn) -> None:
        """See `Draw`."""
        drawn.extend(islice(self._following, 1))

    def may_be_broken(self) -> bool:
        """See `Draw`. A generator that has ended, and whose end was not drawn, was ended by the exception."""
        if isinstance(self._keys, GeneratorType):
            return self._keys.gi_frame is None
        return not isinstance(self._keys, _WITHOUT_CODE)


def check_keys(keys: Any) -> None:
    """Refuse what is taken for keys by mistake.

    Raises:
        TypeError: it is one key, or a text.
    """
    if isinstance(keys, Mapping | str | bytes):
        raise TypeError(f"keys must be an iterable of keys, such as [{{'pk': 'a'}}]; got one {type(keys).__name__}")
