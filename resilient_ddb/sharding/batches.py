"""A batch writer's puts and deletes, with the stored keys of a sharded table."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from resilient_ddb.calls.flows import Flow
from resilient_ddb.errors import UnprocessedItemsError
from resilient_ddb.errors.words import counted
from resilient_ddb.policy.checks import is_async
from resilient_ddb.policy.forks import tell_child
from resilient_ddb.policy.policy import policy_of

if TYPE_CHECKING:
    from resilient_ddb.bulk.settings import BatchReport, OnUnprocessed, RejectedItem

    from .keys import ShardKeys
    from .verbs import ShardedVerbs

Request = dict[str, Any]


class ShardedBatch:
    """What the sync and the async batch writer of a sharded table share."""

    def __init__(
        self, sharded: ShardedVerbs, overwrite_by_pkeys: Any, on_unprocessed: OnUnprocessed, **settings: Any
    ) -> None:
        """Write through a writer of the table behind. Raises as `ShardedTable.batch_writer`."""
        sharded._check_batch_writer(overwrite_by_pkeys)  # noqa: SLF001 - this library's own
        seen = self._seen_by(on_unprocessed) if callable(on_unprocessed) else on_unprocessed
        self._writer = sharded.table.batch_writer(overwrite_by_pkeys, on_unprocessed=seen, **settings)
        self._find_keys = partial(sharded._keys_of_batch, overwrite_by_pkeys)  # noqa: SLF001 - as above
        self._uniform = policy_of(sharded.table).uniform
        self._keys: ShardKeys | None = None
        self._unplaced: deque[Request] = deque()
        """What was given while the table's keys could not be had: as it was given, and without a shard."""
        tell_child(self)

    def __repr__(self) -> str:
        left = counted(len(self.unprocessed), "request")
        return f"<{type(self).__name__} of table {self._writer._table_name!r}, {left} to write>"  # noqa: SLF001 - boto3's name

    def _in_child(self) -> None:
        """Begin anew in a forked process, as the writer does: what was given is written by the parent."""
        self._unplaced = deque()

    if not TYPE_CHECKING:  # what a checker may know of is named below

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            return getattr(self._writer, name)

    @property
    def report(self) -> BatchReport:
        """What was done so far: see `BatchReport`."""
        report: BatchReport = self._writer.report
        return report

    @property
    def unprocessed(self) -> list[Request]:
        """Every request that is not surely written, in order, with the keys as callers see them."""
        return [*(self._as_seen(request) for request in self._writer.unprocessed), *self._unplaced]

    @property
    def refusals(self) -> list[RejectedItem]:
        """Why requests were refused: see `BatchWriter.refusals`; with the keys as callers see them."""
        found: list[RejectedItem] = []
        for refusal in self._writer.refusals:
            key = None if refusal.key is None else dict(refusal.key)
            if key is not None and self._keys is not None:
                self._keys.as_seen(key)
            found.append(replace(refusal, key=key))
        return found

    def _seen_by(self, take: Callable[[list[Request]], Any]) -> Callable[[list[Request]], Any]:
        """Return what takes unprocessed for a caller's function: it sees their keys as callers do."""

        def seen(requests: list[Request]) -> Any:
            return take([self._as_seen(request) for request in requests])

        async def seen_later(requests: list[Request]) -> Any:
            return await seen(requests)

        return seen_later if is_async(take) else seen

    def _put(self, item: Any, ttl_seconds: Any) -> Flow[None]:
        if ttl_seconds is not None:  # from now on, not from when the table's keys are known
            item = yield partial(self._writer._expiring, item, ttl_seconds)  # noqa: SLF001 - this library's own
        yield from self._write({"PutRequest": {"Item": item}})

    def _delete(self, key: Any) -> Flow[None]:
        yield from self._write({"DeleteRequest": {"Key": key}})

    def _flushing(self) -> Flow[None]:
        yield from self._place_all()
        yield from self._ending(self._writer.flush)

    def _leaving(self, leave: Callable[..., Any], exc_info: tuple[Any, ...]) -> Flow[Any]:
        """Leave the block by the writer's `leave`. Without the keys, nothing was handed to the writer."""
        if exc_info[1] is None:
            try:
                yield from self._place_all()
            except Exception as error:
                yield partial(leave, type(error), error, error.__traceback__)
                raise
        return (yield from self._ending(partial(leave, *exc_info)))

    def _write(self, request: Request) -> Flow[None]:
        if self._keys is None or self._unplaced:
            try:
                yield from self._learn_keys()
            except BaseException as error:  # interrupted, or cancelled, as well: it is not lost
                kept = _copied(request)
                self._unplaced.append(kept)
                _tell(error, [kept])
                raise
        yield from self._place(request)

    def _place_all(self) -> Flow[None]:
        """Hand the writer what it was not handed yet."""
        if self._unplaced:
            yield from self._learn_keys()

    def _learn_keys(self) -> Flow[None]:
        """Find the table's keys, and hand the writer what waited for them."""
        self._keys = yield from self._find_keys()
        while self._unplaced:
            try:
                yield from self._place(self._unplaced.popleft())
            except Exception as error:
                _tell(error, self._unplaced)
                raise

    def _place(self, request: Request) -> Flow[None]:
        keys: Any = self._keys
        if "PutRequest" in request:
            stored = keys.stored_item(request["PutRequest"]["Item"], self._uniform)
            call = partial(self._writer.put_item, Item=stored)
        else:
            call = partial(self._writer.delete_item, Key=keys.one_place(request["DeleteRequest"]["Key"]))
        yield from self._ending(call)

    def _ending(self, call: Callable[[], Any]) -> Flow[Any]:
        """Make a call of the writer's, whose error may hold requests."""
        try:
            return (yield call)
        except Exception as error:
            if isinstance(error, UnprocessedItemsError):
                error.requests = [self._as_seen(request) for request in error.requests]
            raise

    def _as_seen(self, request: Mapping[str, Any]) -> Request:
        made = {}
        for action, inner in request.items():
            made[action] = {name: dict(values) for name, values in inner.items()}
            for values in made[action].values():
                if self._keys is not None:
                    self._keys.as_seen(values)
        return made


def _tell(error: BaseException, requests: Iterable[Request]) -> None:
    """Add requests to an error that holds what is not surely written: they come after that."""
    later = list(requests)
    if later and isinstance(error, UnprocessedItemsError):
        error.requests = [*error.requests, *later]
        verb = "is" if len(later) == 1 else "are"
        error.add_note(f"{counted(len(later), 'request')} that came later {verb} not written either")


def _copied(request: Request) -> Request:
    """Return a request whose item, or key, is the caller's no more: it may be filled anew for the next one."""
    return {
        action: {name: dict(values) if isinstance(values, dict) else values for name, values in inner.items()}
        for action, inner in request.items()
    }
