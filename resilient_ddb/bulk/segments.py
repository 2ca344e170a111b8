"""A scan in several segments at once: which pages are asked for next, and what counts as given.

DynamoDB divides a table into as many segments as it is told, and each is scanned by itself. At most one page of a
segment is asked for or held at a time: the next one is asked for when the page is taken up. A page counts as given when
the reader of the items comes back from the last one of it; the state says which pages those are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from botocore.exceptions import PaginationError

from resilient_ddb.calls.flows import Flow
from resilient_ddb.calls.unanswered import unanswered
from resilient_ddb.dynamodb import keys as cursors
from resilient_ddb.dynamodb.capacity import read_units
from resilient_ddb.errors.words import code_of_error
from resilient_ddb.policy.checks import check_callable, check_whole

from . import scan_state
from .pacing import Sleep, read_rate
from .paging import Trail, refuse_count
from .scan_state import DONE, Position, Source

Item = dict[str, Any]
_OPERATION = "Scan"
SEGMENT_BYTES = 2 * 1024**3
"""AWS's advice, in "Parallel scan" of the DynamoDB Developer Guide: a segment for each 2 GB."""
MOST_AT_ONCE = 32
"""Segments that are scanned at a time at most; the rest comes after them. Also the most that `auto` chooses."""
_MOST_SEGMENTS = 1_000_000
_PAGE_BYTES = 1024**2
_OWN = ("Segment", "TotalSegments", "ExclusiveStartKey")


class Request(NamedTuple):
    """A page that is wanted."""

    segment: int
    params: dict[str, Any]


class Page(NamedTuple):
    """A page whose turn it is."""

    segment: int
    items: list[Item]
    end: Position
    """The segment's position once the page is given."""


class Segments:
    """What the sync and the async `parallel_scan` share: every decision."""

    def __init__(
        self, table: Any, *, segments: Any, rate: Any, on_page: Any, resume: Any, params: Mapping[str, Any]
    ) -> None:
        for name in _OWN:
            if name in params:
                raise ValueError(f"{name} must be left to parallel_scan; use scan(...), or give segments and resume")
        refuse_count("scan", params)
        if segments != "auto":
            check_whole("segments", segments, least=1)
            if segments > _MOST_SEGMENTS:
                raise ValueError(f"segments must be {_MOST_SEGMENTS:,} or less; got {segments!r}")
        if on_page is not None:
            check_callable("on_page", on_page, takes="the state, a dict")
        self.table = table
        self._asked = None if segments == "auto" else segments
        self._on_page = on_page
        self._resume = resume
        self._params = dict(params)
        self._fingerprint = scan_state.fingerprint(params)
        self._rate = read_rate(rate, table, params, 0.0)
        if self._rate is not None:
            self._params["ReturnConsumedCapacity"] = "TOTAL"
        self._source: Source | None = None
        self._positions: list[Position] = [] if resume is None else scan_state.positions_of(resume, self._asked)
        self._wanted: deque[Request] = deque()
        self._unbegun: Iterator[Request] = iter(())
        self._unfinished = 0
        self._active = 0
        self._trails: dict[int, Trail] = {}
        """Those of the segments under way."""
        self.is_closed = False
        """Whether the reader of the items wants no more."""
        self.at_once = 0
        """Pages that are asked for or held at a time, at most."""

    @property
    def state(self) -> dict[str, Any] | None:
        """Where the scan stands, for `resume`: a dict for `json.dumps`. None: at the beginning."""
        if self._source is None:
            return None if self._resume is None else dict(self._resume)
        return scan_state.written(self._source, self._fingerprint, self._positions)

    def begin(self) -> Flow[None]:
        """Ask for the table's size and keys, and see where to go on from.

        Raises:
            ValueError: the state is of another scan.
            ClientError: the table can't be described.
        """
        table = self.table
        try:
            answer = yield unanswered(partial(table.meta.client.describe_table, TableName=table.name))
        except Exception as error:
            if code_of_error(error) == "AccessDeniedException":
                error.add_note("parallel_scan asks for the table's size and keys first: allow dynamodb:DescribeTable")
            self.stopped(error)
            raise
        source = scan_state.source_of(answer["Table"], self._params.get("IndexName"))
        if self._resume is not None:
            scan_state.check_source(self._resume, source, self._fingerprint)
        else:
            self._positions = [None] * (self._asked or _segments_for(source))
        self._source = source
        self._begin_segments(source)

    def _begin_segments(self, source: Source) -> None:
        begun = [(segment, position) for segment, position in enumerate(self._positions) if position != DONE]
        self._unfinished = len(begun)
        self._unbegun = (self._request(*each) for each in begun)
        connections = self.table.meta.client.meta.config.max_pool_connections
        self.at_once = max(1, min(len(begun), MOST_AT_ONCE, connections))
        if self._rate is not None:
            self._rate.estimate = _first_page_units(source, len(self._positions), self._params)

    @property
    def is_over(self) -> bool:
        """Whether all pages were given."""
        return self._source is not None and self._unfinished == 0

    def wanted(self) -> Iterator[Request]:
        """Return the pages to ask for now, each of them once."""
        while self._wanted:
            yield self._wanted.popleft()
        while self._active < self.at_once:
            request = next(self._unbegun, None)
            if request is None:
                return
            self._active += 1
            yield request

    def fetch(self, request: Request, sleep: Sleep) -> Flow[Mapping[str, Any]]:
        """Ask for a page. Of what is kept here it changes nothing: several may be under way, each on a thread."""
        rate, units = self._rate, 0.0
        if rate is not None:
            units = yield from rate.take(_OPERATION, 1, sleep)
        # What a fallback remembers may be stale.
        response: Mapping[str, Any] = yield unanswered(partial(self.table.scan, **request.params))
        if rate is not None:
            rate.settle(units, 1, response)
        return response

    def take_up(self, request: Request, response: Mapping[str, Any]) -> Page:
        """Return the page of an answer, whose turn it is; from now on the one that follows it is wanted.

        Raises:
            PaginationError: that is one of before.
        """
        cursor = response.get("LastEvaluatedKey")
        if cursor:
            self._follow(request, cursor)
            end: Position = cursors.to_json(cursor)
            self._wanted.append(Request(request.segment, {**request.params, "ExclusiveStartKey": cursor}))
        else:
            end = DONE
            self._active -= 1
            self._trails.pop(request.segment, None)
        return Page(request.segment, response.get("Items") or [], end)

    def _follow(self, request: Request, cursor: Mapping[str, Any]) -> None:
        trail = self._trails.get(request.segment)
        if trail is None:
            trail = self._trails[request.segment] = Trail(self.table.name, request.params.get("ExclusiveStartKey"))
        try:
            trail.follow(cursor)
        except PaginationError as error:
            self.stopped(error)
            raise

    def given(self, page: Page) -> Flow[None]:
        """Count a page as given, and tell of it."""
        self._positions[page.segment] = page.end
        if page.end == DONE:
            self._unfinished -= 1
        if self._on_page is not None:
            yield partial(self._on_page, self.state)

    def stopped(self, error: BaseException) -> None:
        """Add where to go on from to the error that stopped a scan."""
        error.scan_state = self.state  # type: ignore[attr-defined]  # this library's addition
        error.add_note(f"parallel_scan of table {self.table.name!r} was stopped: resume=error.scan_state goes on")

    def check_end(self) -> None:
        """Refuse to be taken for read to the end, if an error stopped it and somebody asks for more.

        Raises:
            RuntimeError: not all pages were given.
        """
        if not self.is_over and not self.is_closed:
            raise RuntimeError(
                f"parallel_scan of table {self.table.name!r} was stopped by an error and has no more items to give; "
                "parallel_scan(..., resume=scan.state) goes on"
            )

    def _request(self, segment: int, position: Position) -> Request:
        params = {**self._params, "Segment": segment, "TotalSegments": len(self._positions)}
        if isinstance(position, Mapping):
            params["ExclusiveStartKey"] = cursors.from_json(position)
        return Request(segment, params)


def _segments_for(source: Source) -> int:
    """Return the number of segments that `auto` stands for."""
    return max(1, min(MOST_AT_ONCE, -(-source.size // SEGMENT_BYTES)))


def _first_page_units(source: Source, segments: int, params: Mapping[str, Any]) -> float:
    """Return what a first page may cost: 1 MB, or what the segment or `Limit` comes to."""
    size = _PAGE_BYTES
    if source.items and source.size:
        size = min(size, source.size // segments)
        limit = params.get("Limit")
        if isinstance(limit, int):
            size = min(size, limit * source.size // source.items)
    return read_units(size, consistent=bool(params.get("ConsistentRead")))
