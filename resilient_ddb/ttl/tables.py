"""The tables with a TTL that a client knows: those of a resource's, or client's, mapping, and a Table's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from resilient_ddb.calls.flows import Flow
from resilient_ddb.dynamodb.operations import plain_name, tables_in
from resilient_ddb.fallback import Response

from .answers import TtlCall
from .rule import TimeToLive, time_to_live
from .table import Ask, TableTtl

if TYPE_CHECKING:
    from resilient_ddb.calls.execution import Execution


class TtlTables:
    """Leaves the expired items of its tables out of all answers. It never changes."""

    def __init__(self, tables: Mapping[str, TimeToLive]) -> None:
        self.by_table = dict(tables)
        self.settings = frozenset(self.by_table.items())
        """What was set, hashable."""
        self._tables = {plain_name(name): TableTtl(name, ttl) for name, ttl in tables.items()}

    def of(self, table: str) -> TableTtl | None:
        """Return what is known of a table's TTL; None if it has none."""
        return self._tables.get(plain_name(table))

    def at_once(self, execution: Execution) -> Mapping[str, Any] | None:
        """Return what `prepare` does; None if something may have to be asked of DynamoDB for that."""
        params = execution.params
        name = params.get("TableName")
        if not isinstance(name, str):
            return None
        table = self._tables.get(name) or self.of(name)
        found = (params, None) if table is None else table.at_once(execution, params)
        if found is None:
            return None
        params, call = found
        if call is not None:
            execution.ttl, execution.request = call, params
        return params

    def prepare(self, execution: Execution, ask: Ask) -> Flow[Any]:
        """Return the parameters to send for a call, and have its answer looked through. See `TableTtl.prepare`."""
        params, calls = execution.params, []
        for table in self._concerned(execution.operation, params):
            params, call = yield from table.prepare(execution, ask, params)
            if call is not None:
                calls.append(call)
        if calls:
            execution.ttl = calls[0] if len(calls) == 1 else TtlCalls(calls)
            execution.request = params
        return params

    def _concerned(self, operation: str, params: Mapping[str, Any]) -> list[TableTtl]:
        return list(dict.fromkeys(filter(None, map(self.of, tables_in(operation, params)))))


class TtlCalls:
    """What is left of the answer to one read of several tables. See `TtlCall`."""

    __slots__ = ("_calls",)

    def __init__(self, calls: list[TtlCall]) -> None:
        """Look through an answer with each of `calls`, one for each table."""
        self._calls = calls

    def begin(self) -> None:
        """Record that an answer has come in."""
        for call in self._calls:
            call.begin()

    def sift(self, answer: Response) -> None:
        """Leave expired items out of an answer with typed values, in place."""
        for call in self._calls:
            call.sift(answer)

    def keeper(self, name: str | None) -> Callable[[int, Any], bool] | None:
        """Return what decides whether a row of the answer is kept, given its position; None if all are."""
        keepers = [keeper for keeper in self._keepers(name) if keeper is not None]
        if len(keepers) <= 1:
            return keepers[0] if keepers else None
        # A transaction's rows all stay in their places: each keeper empties those of its table.
        return lambda position, row: all([keep(position, row) for keep in keepers])  # noqa: C419 - each must see it

    def _keepers(self, name: str | None) -> Iterator[Callable[[int, Any], bool] | None]:
        return (call.keeper(name) for call in self._calls)

    def was_read(self, answer: Response) -> None:
        """Record an answer of which the codec has left out expired items."""
        for call in self._calls:
            call.was_read(answer)

    def parsed(self, answer: Response) -> None:
        """Leave expired items out of an answer that botocore has parsed, in place, if that has not been done."""
        for call in self._calls:
            call.parsed(answer)

    def finish(self, response: Any) -> None:
        """Leave expired items out of a response, in place, if that has not been done."""
        for call in self._calls:
            call.finish(response)

    def hide(self, response: Any) -> None:
        """Remove the TTL attributes again, in place, if the caller did not ask for them."""
        for call in self._calls:
            call.hide(response)

    def of_fallback(self, answer: Mapping[str, Any]) -> Response:
        """Return a fallback's answer as DynamoDB would have given it. It may be somebody's: it is not changed."""
        made = dict(answer)
        for call in self._calls:
            made = call.of_fallback(made)
        return made


def of_mapping(ttl: Any) -> TtlTables | None:
    """Return what the `ttl` of a resource or client says: a mapping of tables to their TTLs.

    Raises:
        TypeError, ValueError: it can't be meant.
    """
    if not isinstance(ttl, Mapping):
        raise TypeError(
            "ttl of a resource or client must be a mapping of tables to their TTL attributes, such as "
            f"{{'sessions': 'expires_at'}}; got {ttl!r}; one attribute is for a Table: Table(name, ttl='expires_at')"
        )
    for name in ttl:
        if not isinstance(name, str) or not name:
            raise TypeError(f"ttl must be a mapping of tables' names to their TTL attributes; got the name {name!r}")
    tables = {name: time_to_live(value) for name, value in ttl.items() if value is not None}
    return TtlTables(tables) if tables else None


def with_table(tables: TtlTables | None, table: str, ttl: TimeToLive | None) -> TtlTables | None:
    """Return what a Table's own `ttl` makes of what its client knows; None: it has none."""
    others = {} if tables is None else tables.by_table
    made = {name: value for name, value in others.items() if plain_name(name) != plain_name(table)}
    if ttl is not None:
        made[table] = ttl
    return TtlTables(made) if made else None
