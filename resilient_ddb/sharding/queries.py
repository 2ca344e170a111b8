"""Queries over all shards of a key, and over several keys of a Table without shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from resilient_ddb.bulk.paging import refuse_count
from resilient_ddb.calls.described import description
from resilient_ddb.calls.flows import Flow
from resilient_ddb.calls.unanswered import unanswered
from resilient_ddb.dynamodb.keys import identity
from resilient_ddb.fallback import Response
from resilient_ddb.policy.policy import policy_of

from . import fan_in_reading as fan_in_flows
from .fan_in_reading import OnShardError, Reading, Together, check_on_shard_error
from .fan_in_requests import Condition, Request, request_for, with_key, without_key
from .keys import ShardKeys
from .layout import MOST_SHARDS
from .verbs import ShardedVerbs

Make = Callable[..., Reading]
_FILTERS = ("FilterExpression", "QueryFilter")


class ShardedQueries(ShardedVerbs):
    """What the sync and the async sharded table share: every decision."""

    def _query(self, params: Mapping[str, Any]) -> Flow[Response]:
        keys = yield from self._keys(params.get("IndexName"))
        found = self._asked(keys, params)
        has_suffixes = found is not None and keys.is_in_position(params.get("IndexName"))
        if found is None or (found[2] != keys.stored_in and not has_suffixes):
            return (yield from self._query_one(keys, params))
        request = self._request(keys, params, *found)
        response = yield from fan_in_flows.answer(self._making(keys, request, self._on_shard_error), request)
        if has_suffixes and "LastEvaluatedKey" in response:
            response["LastEvaluatedKey"] = keys.token_as_seen(response["LastEvaluatedKey"])
        return response

    def _query_one(self, keys: ShardKeys, params: Mapping[str, Any]) -> Flow[Response]:
        """Query what has no shards, and no keys with suffixes: the answer is DynamoDB's own."""
        response: Response = yield partial(self._table.query, **params)
        for item in response.get("Items") or ():
            keys.as_seen(item)
        return response

    def _reading(self, params: Mapping[str, Any], limit: int | None) -> Flow[Reading]:
        refuse_count("query", params)
        keys = yield from self._keys(params.get("IndexName"))
        found = self._asked(keys, params)
        if found is None:
            raise ValueError(f"IndexName must be that of an index of table {self._table.name!r}")
        request = self._request(keys, params, *found)
        make = self._making(keys, request, "raise")
        return make(limit=limit, page=request.limit, query=stored_query(self._table))

    def _fan_in(
        self, chosen: Iterable[Any], params: Mapping[str, Any], on_shard_error: OnShardError | None
    ) -> Flow[Response]:
        if on_shard_error is not None:
            check_on_shard_error(on_shard_error)
        request, make = yield from self._of_keys(chosen, params, on_shard_error or self._on_shard_error)
        return (yield from fan_in_flows.answer(make, request))

    def _fan_in_reading(self, chosen: Iterable[Any], params: Mapping[str, Any], limit: int | None) -> Flow[Reading]:
        refuse_count("query_many", params)
        request, make = yield from self._of_keys(chosen, params, "raise")
        return make(limit=limit, page=request.limit, query=stored_query(self._table))

    def _of_keys(
        self, chosen: Iterable[Any], params: Mapping[str, Any], on_shard_error: OnShardError
    ) -> Flow[tuple[Request, Make]]:
        given = checked_keys(chosen)
        keys = yield from self._keys(params.get("IndexName"))
        for argument in _FILTERS:
            keys.refuse_comparison(argument, params)
        of_each = [keys.layout.stored_keys(keys.text(key)) for key in given]
        stored = [name for names in of_each for name in names]
        request = self._request(keys, params, with_key(params, keys.stored_in), stored, keys.stored_in)
        owners = [at for at, names in enumerate(of_each) for _ in names]
        return request, partial(
            self._making(keys, request, on_shard_error),
            name_of=lambda index: stored[index],
            key_of=lambda index: given[owners[index]],
            told_as=lambda index: f"{_shard(keys, stored[index])} of partition_keys[{owners[index]}]",
        )

    def _asked(self, keys: ShardKeys, params: Mapping[str, Any]) -> tuple[Condition, Sequence[Any], str] | None:
        """Return a query's condition, the partition keys that it means, and the attribute that these are in.

        None for an index that there is not: DynamoDB says so.

        Raises:
            ValueError: the query does not say which partition key it asks for.
        """
        index = params.get("IndexName")
        read = keys.described.key_of(index)
        if read is None:
            return None
        if read.partition != keys.stored_in:
            condition = without_key(params, read.partition, read.partition)
            for argument in ("KeyConditionExpression", "KeyConditions", *_FILTERS):
                keys.refuse_comparison(argument, params)
            return condition, [condition.key], read.partition
        for argument in _FILTERS:
            keys.refuse_comparison(argument, params)
        condition = without_key(params, keys.key, keys.stored_in)
        return condition, keys.layout.stored_keys(keys.text(condition.key)), keys.stored_in

    def _request(
        self,
        keys: ShardKeys,
        params: Mapping[str, Any],
        condition: Condition,
        stored: Sequence[Any],
        stored_in: str,
    ) -> Request:
        if "ExclusiveStartKey" in params:
            params = {**params, "ExclusiveStartKey": keys.token_as_stored(params["ExclusiveStartKey"])}
        return request_for(params, condition, stored, keys.described, table=self._table.name, sharded=stored_in)

    def _making(self, keys: ShardKeys, request: Request, on_shard_error: OnShardError) -> Make:
        is_told = bool(policy_of(self._table).observers)
        return partial(
            Reading,
            query=client_query(self._table),
            together=self._together,
            request=request,
            name_of=lambda index: keys.layout.number_of(request.stored[index]),
            shard_of=(lambda index: keys.layout.number_of(request.stored[index])) if is_told else None,
            told_as=lambda index: _shard(keys, request.stored[index]),
            as_seen=keys.as_seen,
            on_shard_error=on_shard_error,
        )


def _shard(keys: ShardKeys, stored: Any) -> str:
    number = keys.layout.number_of(stored)
    return "the key without a suffix" if number is None else f"shard {number}"


# Tables without shards.


def fan_in(
    table: Any, together: Together, chosen: Iterable[Any], params: Mapping[str, Any], on_shard_error: OnShardError
) -> Flow[Response]:
    """Read several partition keys as one. See `ResilientTable.query_many`."""
    check_on_shard_error(on_shard_error)
    request, make = yield from _of_table(table, together, chosen, params, on_shard_error)
    return (yield from fan_in_flows.answer(make, request))


def fan_in_reading(
    table: Any, together: Together, chosen: Iterable[Any], params: Mapping[str, Any], limit: int | None
) -> Flow[Reading]:
    """Begin to read several partition keys as one. See `ResilientTable.query_many_items`."""
    refuse_count("query_many", params)
    request, make = yield from _of_table(table, together, chosen, params, "raise")
    return make(limit=limit, page=request.limit, query=stored_query(table))


def _of_table(
    table: Any, together: Together, chosen: Iterable[Any], params: Mapping[str, Any], on_shard_error: OnShardError
) -> Flow[tuple[Request, Make]]:
    given = checked_keys(chosen)
    index = params.get("IndexName")
    described = yield from description(table.meta.client, table.name, index)
    read = described.key_of(index)
    if read is None:
        raise ValueError(f"IndexName must be that of an index of table {table.name!r}; got {index!r}")
    condition = with_key(params, read.partition)
    request = request_for(params, condition, given, described, table=table.name, sharded=read.partition)
    make = partial(
        Reading,
        query=client_query(table),
        together=together,
        request=request,
        name_of=lambda index: given[index],
        key_of=lambda index: given[index],
        told_as=lambda index: f"partition_keys[{index}]",
        as_seen=lambda _: None,
        on_shard_error=on_shard_error,
    )
    return request, make


def client_query(table: Any) -> Callable[..., Any]:
    """Return a Table's `query` as its client has it: a resource's action takes time, and many are made for one."""
    return partial(table.meta.client.query, TableName=table.name)


def stored_query(table: Any) -> Callable[..., Any]:
    """Return a Table's `query` that no fallback answers: an iterator's items could not say that they are stale."""
    query = client_query(table)
    return lambda **params: unanswered(partial(query, **params))()


def checked_keys(chosen: Any) -> list[Any]:
    """Return partition keys, each once.

    Raises:
        TypeError, ValueError: they are none, or too many.
    """
    if isinstance(chosen, (str, bytes, Mapping)) or not isinstance(chosen, Iterable):
        raise TypeError(f"partition_keys must be a list of partition keys; got {type(chosen).__name__}")
    given = list({identity({"": key}): key for key in chosen}.values())
    if not given or len(given) > MOST_SHARDS:
        raise ValueError(f"partition_keys must be 1 to {MOST_SHARDS} partition keys; got {len(given)}")
    return given
