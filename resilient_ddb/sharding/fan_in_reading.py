"""Reading a query over several partition keys: which requests go out together, and what is made of their answers.

The sync and the async Table bring a way to make calls at the same time; every decision is here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from numbers import Number
from typing import Any, Literal

from botocore.exceptions import PaginationError

from resilient_ddb.bulk.paging import Trail
from resilient_ddb.calls.classification import classify
from resilient_ddb.calls.flows import Flow
from resilient_ddb.calls.telling import in_shard
from resilient_ddb.errors import DeadlineExceededError
from resilient_ddb.events import ErrorKind
from resilient_ddb.fallback import Response
from resilient_ddb.fallback.response_info import SOURCES, response_info
from resilient_ddb.policy.checks import check_whole

from .fan_in import FanIn, Item, Key
from .fan_in_requests import Request

Together = Callable[[Sequence[Callable[[], Any]]], Any]
"""Makes calls at the same time, and gives what each gave or raised, in their order; awaitable on the async Table."""
OnShardError = Literal["raise", "skip"]
_CAN_PASS = (ErrorKind.THROTTLING, ErrorKind.TRANSIENT)
_LARGEST_PAGE = 1_000


class Reading:
    """One query over several partition keys, under way."""

    def __init__(  # noqa: PLR0913 - each is of its own
        self,
        query: Callable[..., Any],
        together: Together,
        request: Request,
        *,
        name_of: Callable[[int], Any],
        key_of: Callable[[int], Any] | None = None,
        shard_of: Callable[[int], int | None] | None = None,
        told_as: Callable[[int], str],
        as_seen: Callable[[Item], None],
        on_shard_error: OnShardError = "raise",
        limit: int | None = None,
        page: int | None = None,
    ) -> None:
        """Begin, or go on where the request says.

        Args:
            query: the Table's verb.
            together: makes several calls at the same time.
            request: what is asked for.
            name_of: gives the name of a source, for `missing_shards`.
            key_of: gives the partition key of a source, for `missing_keys`; None: there is one key only.
            shard_of: gives the number of a source's shard, for observers; None: nobody is told.
            told_as: gives what it is called in errors, which hold no values of keys.
            as_seen: makes of a stored item what the caller sees, in place.
            on_shard_error: what becomes of an answer when a source can't be read.
            limit: how many items to give at most.
            page: how many items to read of a source at once; by default its share of `limit`, and more each time.

        Raises:
            TypeError, ValueError: `limit` is no whole number of 1 or more.
        """
        if limit is not None:
            check_whole("max_items", limit, least=1)
        self._query = query
        self._together = together
        self._request = request
        self._name_of = name_of
        self._key_of = key_of
        self._shard_of = shard_of
        self._told_as = told_as
        self._as_seen = as_seen
        self._on_shard_error = on_shard_error
        self._fan = FanIn(len(request.stored), request.order, request.place)
        self._left = limit
        self._page = page
        self._grows = page is None and limit is not None
        self._has_read = False
        self._trails: dict[int, Trail] = {}
        self._is_torn = False
        """Whether an item, or a page, is neither here nor there: an interrupt leaves it so."""
        self._is_sifted = False
        """Whether what is read is not all given: some of it was filtered out."""

    @property
    def is_over(self) -> bool:
        """Whether every item that is wanted was given."""
        return self._left == 0 or self._fan.is_over

    def more(self) -> Flow[list[Response]]:
        """Read a page of each source that has run out, and return the responses.

        Raises:
            ClientError: a source can't be read, and its part can't be left out.
            PaginationError: a page of a source leads back to one of before.
        """
        self._check_whole()
        wanted = self._fan.wanted()
        if self._grows and self._left is not None:
            share = math.ceil(self._left / len(self._request.stored)) + 1
            grown = share if self._page is None else 2 * self._page
            self._page = min(grown, _LARGEST_PAGE if self._is_sifted else self._left)
        return (yield from self._read(wanted))

    def _read(self, wanted: Sequence[tuple[int, Key | None]]) -> Flow[list[Response]]:
        calls = [
            partial(self._query, **self._request.params(index, position, self._page)) for index, position in wanted
        ]
        made: Sequence[Callable[[], Any]] = calls
        if self._shard_of is not None:
            made = [in_shard(self._shard_of(index), call) for (index, _), call in zip(wanted, calls, strict=True)]
        outcomes = yield partial(self._together, made)
        outcome: Any = None
        answers_first = sorted(zip(wanted, calls, outcomes, strict=True), key=_is_failure)  # kept if another fails
        try:
            responses = []
            for (index, _), call, outcome in answers_first:
                if isinstance(outcome, BaseException):
                    self._leave_out(index, outcome)
                else:
                    response = _counted(outcome)
                    self._follow(index, call.keywords.get("ExclusiveStartKey"), response)
                    items = () if self._request.is_count else response.get("Items") or ()
                    self._is_torn = True
                    self._fan.take(index, items, self._position_in(response))
                    self._is_torn = False
                    self._is_sifted = self._is_sifted or response["ScannedCount"] > response["Count"]
                    responses.append(response)
            self._has_read = self._has_read or bool(responses)
            if wanted and not self._has_read:
                raise next(outcome for outcome in outcomes if isinstance(outcome, BaseException))
            return responses
        finally:
            del outcomes, outcome, answers_first  # an error that is raised knows this frame: they would keep each other

    def _follow(self, index: int, start: Key | None, response: Mapping[str, Any]) -> None:
        last = response.get("LastEvaluatedKey")
        if not last:
            self._trails.pop(index, None)
            return
        if index not in self._trails:
            self._trails[index] = Trail(self._request.table, start)
        try:
            self._trails[index].follow(last)
        except PaginationError as error:
            self._leave_out(index, error)

    def _position_in(self, response: Mapping[str, Any]) -> dict[str, Any] | None:
        last = response.get("LastEvaluatedKey")
        return {name: last[name] for name in self._request.order.position} if last else None

    def _leave_out(self, index: int, error: BaseException) -> None:
        error.add_note(f"fan-in of {len(self._request.stored)}: {self._told_as(index)} could not be read")
        if self._on_shard_error == "raise" or not isinstance(error, Exception) or not _can_pass(error):
            try:
                raise error
            finally:
                del error  # it knows this frame: they would keep each other
        self._fan.leave_out(index)

    def items(self) -> Iterator[Item]:
        """Return the items that are next for sure, as the caller sees them.

        Raises:
            RuntimeError: an interrupt came while an item was on its way.
        """
        self._check_whole()
        following = self._fan.give(self._left)
        while True:
            self._is_torn = True
            item = next(following, None)
            if item is None:
                break
            if self._left is not None:
                self._left -= 1
            for name in self._request.added:
                del item[name]
            self._as_seen(item)
            self._is_torn = False
            yield item
        self._is_torn = False

    def _check_whole(self) -> None:
        if self._is_torn:
            raise RuntimeError(
                f"a fan-in of {len(self._request.stored)} was broken off by an interrupt while an item was on its way: "
                "which items were given is not known; begin anew"
            )

    # One response.

    def page(self) -> Flow[Response]:
        """Return one response, as of a query of one partition key.

        Without `Limit`, it holds what one page of each source makes sure. With it, so many items: fewer where a filter
        has left out others, as DynamoDB counts those as well, or at the end.

        Raises:
            ClientError: as `more`.
        """
        limit = self._left
        items: list[Item] = []
        read: list[Response] = []
        while True:
            read += yield from self.more()
            items += self.items()
            left_out = sum(response["ScannedCount"] - response["Count"] for response in read)
            if limit is None or self.is_over or len(items) + left_out >= limit:
                break
        return self._response(read, {"Items": items, "Count": len(items)}, self._fan.place())

    def count(self) -> Flow[Response]:
        """Return the response of a query that asks how many items there are: of so many, if there are.

        Raises:
            ClientError: as `more`.
        """
        read: list[Response] = []
        while wanted := self._fan.wanted()[: self._left]:
            if self._left is None:
                read += yield from self._read(wanted)
                break
            self._page = self._left // len(wanted)
            found = yield from self._read(wanted)
            counted = sum(response["ScannedCount"] for response in found)
            self._left = max(0, self._left - counted)  # a fallback may count more than it was asked for
            read += found
        return self._response(read, {"Count": sum(one["Count"] for one in read)}, self._fan.place_of_count())

    def _response(self, read: Sequence[Response], answer: Response, place: Any) -> Response:
        answer["ScannedCount"] = sum(response["ScannedCount"] for response in read)
        last = self._request.last_evaluated_key(place)
        if last is not None:
            answer["LastEvaluatedKey"] = last
        joined = joined_facts(read)
        missing = self._fan.missing
        if missing:
            marks = joined["ResponseMetadata"].setdefault("Resilience", {})
            marks["missing_shards"] = [self._name_of(index) for index in missing]
            if self._key_of is not None:
                marks["missing_keys"] = list({id(key): key for key in map(self._key_of, missing)}.values())  # each once
        return {**answer, **joined}


def check_on_shard_error(value: Any) -> None:
    """Refuse what is no way to go on.

    Raises:
        ValueError: it is neither `raise` nor `skip`.
    """
    if value not in ("raise", "skip"):
        raise ValueError(f"on_shard_error must be 'raise' or 'skip'; got {value!r}")


def _is_failure(read: tuple[Any, Any, Any]) -> bool:
    return isinstance(read[2], BaseException)


def _can_pass(error: Exception) -> bool:
    """Return whether a failure is one of the moment, not of the request."""
    return isinstance(error, DeadlineExceededError) or classify(error, operation="Query").kind in _CAN_PASS


def _counted(response: Mapping[str, Any]) -> Response:
    """Return a response with its counts, which a fallback's may lack."""
    count = response.get("Count", len(response.get("Items") or ()))
    return {"Count": count, "ScannedCount": count, **response}


def answer(make: Callable[..., Reading], request: Request) -> Flow[Response]:
    """Return one response: `make` makes the reading, with its `limit`. Raises as `Reading.page`."""
    reading = make(limit=request.limit)
    return (yield from reading.count() if request.is_count else reading.page())


# What several responses have in common with one.


def joined_facts(responses: Sequence[Mapping[str, Any]]) -> Response:
    """Return the `ResponseMetadata`, and the sum of the `ConsumedCapacity`, of several responses."""
    metadata = dict(responses[0]["ResponseMetadata"])
    marks: dict[str, Any] = {}
    is_made_up = False
    for response in responses:  # what is stale, or from elsewhere, makes the whole so
        of_one = response["ResponseMetadata"].get("Resilience")
        if not of_one:
            continue
        is_made_up = is_made_up or response_info(response).source == "fallback"
        ages = [facts["age"] for facts in (marks, of_one) if "age" in facts]
        marks.update(of_one, **({"age": max(ages)} if ages else {}))
    if is_made_up:  # nobody knows of when that is: what is known of the others does not hold for the whole
        marks = {name: value for name, value in marks.items() if name == "fallback" or name not in SOURCES}
    if marks:
        metadata["Resilience"] = marks
    joined: Response = {"ResponseMetadata": metadata}
    capacities = [response["ConsumedCapacity"] for response in responses if "ConsumedCapacity" in response]
    if capacities:
        joined["ConsumedCapacity"] = summed(capacities)
    return joined


def summed(capacities: Sequence[Any]) -> Any:
    """Add up capacities as DynamoDB gives them: their numbers, by name."""
    first = capacities[0]
    if isinstance(first, Number):
        return sum(capacities)
    if not isinstance(first, Mapping):
        return first
    names = dict.fromkeys(name for capacity in capacities for name in capacity)
    return {name: summed([capacity[name] for capacity in capacities if name in capacity]) for name in names}
