"""Where a load puts its items: one batch writer for all files, so that its rate and its pace last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from resilient_ddb.errors import UnprocessedItemsError

from .options import LoadOptions
from .sources import Row
from .target import Target

Refused = tuple[Row, str]


class Sink:
    """Writes items, and tells which of them DynamoDB refused. A context manager, as the writer is."""

    def __init__(self, target: Target, options: LoadOptions) -> None:
        self._table = options.access.table
        self._keys = target.key_names
        self._batch = target.table.batch_writer(
            overwrite_by_pkeys=self._keys,
            write_units_per_second=options.write_units_per_second,
            max_workers=options.workers,
            on_unprocessed=self._take,
        )
        self._rows: list[tuple[Row, Mapping[str, Any]]] = []
        self._refused: list[tuple[Mapping[str, Any], str]] = []
        self._told = 0
        self.written = 0
        """Rows whose items are surely written."""

    @property
    def units(self) -> float:
        """Write capacity units consumed."""
        return float(self._batch.report.consumed_units)

    @property
    def throttled(self) -> float:
        """The share of batches that were held up, by a limit or a lost reply, 0 to 1."""
        report = self._batch.report
        return report.throttled_batches / report.batches if report.batches else 0.0

    def put(self, row: Row, item: Mapping[str, Any]) -> None:
        """Accept a row's item.

        Raises:
            ClientError, BotoCoreError: not all of what was taken in can be written.
        """
        self._rows.append((row, item))
        self._batch.put_item(Item=item)

    def flush(self) -> list[Refused]:
        """Write all that was taken in, and return the rows that DynamoDB refused, with the reasons.

        Raises:
            ClientError, BotoCoreError: not all of it could be written.
        """
        self._batch.flush()
        refused: dict[int, Refused] = {}
        for item, reason in self._refused:
            for row, why in self._rows_of(item, reason):
                refused.setdefault(row.number, (row, why))
        self.written += len(self._rows) - len(refused)
        self._rows, self._refused = [], []
        return list(refused.values())

    def _take(self, requests: Sequence[Mapping[str, Any]]) -> None:
        """Accept what the writer has left over: refused requests, or all that wait when it gives up."""
        refused = self._batch.report.refused
        if refused == self._told:
            why = "DynamoDB took none of them, however often they were sent"
            raise UnprocessedItemsError(operation_name="BatchWriteItem", table=self._table, requests=requests, why=why)
        self._told = refused
        for request, refusal in zip(requests, self._batch.refusals[-len(requests) :], strict=True):
            self._refused.append((request["PutRequest"]["Item"], refusal.reason))

    def _rows_of(self, item: Mapping[str, Any], reason: str) -> Iterator[Refused]:
        """Return the row of an item, and those of the stretch that it had replaced: they may not have been written."""
        last = next(row for row, own in reversed(self._rows) if own == item)  # the writer has a copy
        key = self._key(item)
        for row, own in self._rows:
            if row is last:
                yield row, reason
                return
            if self._key(own) == key:
                yield row, f"row {last.number:,} has the same key, and was refused: this one may not have been written"

    def _key(self, item: Mapping[str, Any]) -> list[Any]:
        return [item.get(name) for name in self._keys]

    def __enter__(self) -> Self:
        self._batch.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._batch.__exit__(*exc_info)
