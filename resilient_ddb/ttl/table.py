"""One table with a TTL: what is sent for the calls that concern it.

A `TableTtl` never changes; what it learns of the table is kept by the core, for all its views.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from resilient_ddb.calls.described import keep, learnt
from resilient_ddb.calls.flows import Flow
from resilient_ddb.calls.single_flight import once
from resilient_ddb.calls.unanswered import inside, unanswered
from resilient_ddb.dynamodb.description import TableDescription, description_of
from resilient_ddb.errors.words import code_of_error
from resilient_ddb.policy.clock import Clock, Moment, have_passed
from resilient_ddb.policy.deadlines import deadline

from . import requests as ttl_requests
from . import writes as ttl_writes
from .answers import TtlCall
from .requests import Want, check_key, check_keys
from .rule import AUTO, Expired, TimeToLive, is_expired
from .writes import ARGUMENT, Puts

if TYPE_CHECKING:
    from resilient_ddb.calls.core import Core
    from resilient_ddb.calls.execution import Execution

Ask = Callable[[str, dict[str, Any]], Any]
"""Makes a call of the client's, and gives its answer; awaitable on the async client."""
Prepared = tuple[Mapping[str, Any], TtlCall | None]
"""The parameters to send, and what the answer is looked through by, or None."""

_RECHECK_SECONDS = 300.0
"""So long is believed what may change: what the TTL attribute is, that there is no such index, or no description."""
_SOON_SECONDS = 1.0
"""So long a put waits to hear whether the TTL attribute is one of the key, and a call whether it is still the same."""
_ON = ("ENABLED", "ENABLING")
_log = logging.getLogger("resilient_ddb")


class TableTtl:
    """A table's TTL, as the calls that concern it need it."""

    def __init__(self, table: str, settings: TimeToLive) -> None:
        """Leave expired items of `table` out, as `settings` say."""
        self.table = table
        self.settings = settings
        self._soon = ("Table, soon", table)

    def prepare(self, execution: Execution, ask: Ask, params: Mapping[str, Any]) -> Flow[Any]:
        """Return what to send of a call in place of `params`, and what its answer is looked through by, or None.

        Raises:
            ClientError: the table's TTL must be looked up, and can't be.
            TypeError, ValueError: expired items can't be left out of the answer, or a value to put can't be meant.
        """
        found = self.at_once(execution, params)
        if found is not None:
            return found
        attribute = yield from self._attribute(execution, ask)
        if attribute is None:
            if ARGUMENT in params and execution.operation == "PutItem":
                raise ValueError(f"{ARGUMENT} needs a TTL attribute, and table {self.table!r} has none that is enabled")
            return params, None
        if execution.operation not in ttl_requests.OPERATIONS:
            return (yield from self._prepare_write(execution, ask, params, attribute)), None
        described = None
        if params.get("IndexName") is not None:
            described = yield from self._described(execution, ask, params["IndexName"])
        return self._prepare_read(execution, params, attribute, described)

    def at_once(self, execution: Execution, params: Mapping[str, Any]) -> Prepared | None:
        """Return what `prepare` does; None if something has to be asked of DynamoDB for that. Raises as `prepare`."""
        operation = execution.operation
        attribute = self._known(execution.core)
        if operation in ttl_writes.BY_KEY and attribute is not None:  # they need no more than this
            self._check_written(execution, attribute)
        is_read = operation in ttl_requests.OPERATIONS
        if not is_read and operation not in ttl_writes.OPERATIONS:
            return params, None
        if attribute is None or (self.settings.attribute == AUTO and self._remembered(execution.core) is None):
            return None
        if is_read:
            if params.get("IndexName") is not None:
                return None
            return self._prepare_read(execution, params, attribute, None)
        made, puts = self._rewritten(execution, params, attribute)
        if puts.has_attribute and not self._is_key_checked(execution.core, attribute):
            return None
        self._warn_of_converted(execution, puts, attribute)
        return made, None

    def stamped(self, execution: Execution, ask: Ask, item: Mapping[str, Any], seconds: Any) -> Flow[Any]:
        """Return an item that expires so many seconds from now, for a request that is sent later.

        Raises:
            ClientError: the table's TTL must be looked up, and can't be.
            TypeError, ValueError: `seconds` can't be meant, or the table has no TTL.
        """
        attribute = yield from self._attribute(execution, ask)
        if attribute is None:
            raise ValueError(f"{ARGUMENT} needs a TTL attribute, and table {self.table!r} has none that is enabled")
        return ttl_writes.stamped(item, attribute, seconds, execution.core.clock.time())

    def _prepare_read(
        self, execution: Execution, params: Mapping[str, Any], attribute: str, described: TableDescription | None
    ) -> tuple[Mapping[str, Any], TtlCall]:
        index = None
        if described is not None:
            index = described.indexes.get(params["IndexName"])
            check_keys(described, self.table, attribute)
        request = ttl_requests.of_whole_item(execution.operation, params, self.table, attribute)
        if request is None:
            core = execution.core
            want = Want(
                table=self.table,
                attribute=attribute,
                settings=self.settings,
                clock=core.clock,
                index=index,
                native=core.host.native,
            )
            request = ttl_requests.rewrite(execution.operation, params, want)
        return request.params, TtlCall(execution, request, self.table, attribute, self.settings, self.warn_once)

    def _prepare_write(self, execution: Execution, ask: Ask, params: Mapping[str, Any], attribute: str) -> Flow[Any]:
        made, puts = self._rewritten(execution, params, attribute)
        if puts.has_attribute and not self._is_key_checked(execution.core, attribute):
            yield from self._check_key_soon(execution, ask, attribute)
        self._warn_of_converted(execution, puts, attribute)
        return made

    def _rewritten(
        self, execution: Execution, params: Mapping[str, Any], attribute: str
    ) -> tuple[Mapping[str, Any], Puts]:
        core = execution.core
        puts = Puts(self.table, attribute, core.clock.time(), native=core.host.native)
        made = puts.rewrite(execution.operation, params)
        self._check_written(execution, attribute)
        return made, puts

    def _check_written(self, execution: Execution, attribute: str) -> None:
        for key in ttl_writes.keys_of(execution.operation, execution.params, self.table):
            check_key("Key", key, self.table, attribute)

    def _warn_of_converted(self, execution: Execution, puts: Puts, attribute: str) -> None:
        if puts.converted is not None:
            text = "table %s: %r was put as a %s, and is written as whole seconds since the epoch"
            self.warn_once(execution, text, self.table, attribute, puts.converted)

    def _is_key_checked(self, core: Core, attribute: str) -> bool:
        """Return whether the table's key is known, or was asked for in vain lately. Raise as `check_keys`."""
        described, until = learnt(core.known, self.table)
        if described is not None:
            check_keys(described, self.table, attribute)
            return True
        now = core.clock.monotonic()
        _, gave_up_until = core.known.get(self._soon, (None, now))
        return bool(now < max(until or now, gave_up_until))

    def _check_key_soon(self, execution: Execution, ask: Ask, attribute: str) -> Flow[Any]:
        """Refuse an attribute of the table's key, if it can be told soon: no put waits for the control plane."""
        soon = _soon(ask, execution.core.clock)
        described = yield from self._learn(execution, soon, self._soon)
        check_keys(described, self.table, attribute)

    # What is known of the table.

    def _attribute(self, execution: Execution, ask: Ask) -> Flow[Any]:
        """Return the TTL attribute's name; None if the table has none that is enabled."""
        if self.settings.attribute != AUTO:
            return self.settings.attribute
        core, key = execution.core, ("TTL", self.table)
        learn = partial(self._learn_attribute, execution, ask)
        name, _ = yield from once(core.host, key, partial(self._remembered, core), learn)
        return name

    def _remembered(self, core: Core) -> tuple[str | None, Moment] | None:
        """Return the attribute's name that was asked for, and when; None if that must be asked (again)."""
        known: tuple[str | None, Moment] | None = core.known.get(("TTL", self.table))
        is_old = known is not None and have_passed(_RECHECK_SECONDS, known[1], _moment(core.clock))
        return None if is_old else known

    def _learn_attribute(self, execution: Execution, ask: Ask) -> Flow[Any]:
        core = execution.core
        known: tuple[str | None, Moment] | None = core.known.get(("TTL", self.table))
        try:
            # Somebody may have switched it off since, or over to another attribute: no call waits long to hear that.
            how = ask if known is None else _soon(ask, core.clock)
            answer = yield from self._asked(how, "DescribeTimeToLive")
        except (ClientError, BotoCoreError) as error:
            if known is not None:
                text = "table %s can't be asked for its TTL again (%s): ttl='auto' goes by what it was"
                self.warn_once(execution, text, self.table, code_of_error(error))
                return self._keep_attribute(core, known[0])
            if isinstance(error, ClientError):
                error.add_note(
                    f"ttl='auto' of table {self.table!r} asks for its TTL before the first read: allow "
                    "dynamodb:DescribeTimeToLive, or name the attribute, as in ttl='expires_at'"
                )
            raise
        return self._keep_attribute(core, self._attribute_in(execution, answer))

    def _attribute_in(self, execution: Execution, answer: Mapping[str, Any]) -> str | None:
        described = answer.get("TimeToLiveDescription") or {}
        name = described.get("AttributeName") if described.get("TimeToLiveStatus") in _ON else None
        if name is None:
            self.warn_once(execution, "table %s has no TTL: ttl='auto' drops nothing", self.table)
        return name

    def _keep_attribute(self, core: Core, name: str | None) -> tuple[str | None, Moment]:
        learnt = core.known["TTL", self.table] = (name, _moment(core.clock))
        return learnt

    def _described(self, execution: Execution, ask: Ask, index: str) -> Flow[Any]:
        """Return the table's description; None if it can't be had: then DynamoDB has the last word."""
        core = execution.core

        def look() -> tuple[TableDescription | None] | None:
            described, until = learnt(core.known, self.table)
            is_enough = described is not None and index in described.indexes
            return (described,) if is_enough or (until is not None and core.clock.monotonic() < until) else None

        def learn() -> Flow[Any]:
            before, _ = learnt(core.known, self.table)
            return ((yield from self._learn(execution, ask, ("Table", self.table))) or before,)

        (described,) = yield from once(core.host, ("Table", self.table), look, learn)
        return described

    def _learn(self, execution: Execution, ask: Ask, memory: tuple[str, str]) -> Flow[Any]:
        """Describe the table, and keep and return what is said; None if it can't be had, which `memory` keeps."""
        known, clock = execution.core.known, execution.core.clock
        try:
            answer = yield from self._asked(ask, "DescribeTable")
            described = description_of(answer["Table"])
        except (ClientError, BotoCoreError, LookupError) as error:
            code = code_of_error(error)
            if code != "ResourceNotFoundException":  # else the call itself is going to say so
                text = "table %s can't be described (%s): its keys and indexes are not checked for ttl"
                self.warn_once(execution, text, self.table, code)
                known[memory] = (known.get(memory, (None,))[0], clock.monotonic() + _RECHECK_SECONDS)
            return None
        keep(known, self.table, described, clock.monotonic() + _RECHECK_SECONDS)
        return described

    def _asked(self, ask: Ask, operation: str) -> Flow[Any]:
        """Describe the table. A fallback knows nothing of that."""
        return (yield unanswered(partial(ask, operation, {"TableName": self.table})))

    def expired(self, item: Mapping[str, Any] | None, core: Core) -> Expired | None:
        """Return an item with native values as one that has expired; None if there is none, or it has not."""
        attribute = self._known(core)
        if item is None or attribute is None:
            return None
        has_expired = is_expired(item, ttl=attribute, clock=core.clock, skew=self.settings.skew)
        return Expired(item=item, attribute=attribute) if has_expired else None

    def until(self, core: Core) -> tuple[str, int] | None:
        """Return the TTL attribute and the time up to which items have expired; None if there is none to go by."""
        attribute = self._known(core)
        return None if attribute is None else (attribute, self.settings.now(core.clock))

    def _known(self, core: Core) -> str | None:
        """Return the TTL attribute's name, if it need not be looked up, or was already."""
        if self.settings.attribute != AUTO:
            return self.settings.attribute
        name, _ = core.known.get(("TTL", self.table), (None, None))
        return None if name is None else str(name)

    def warn_once(self, execution: Execution, text: str, *args: object) -> None:
        """Write a warning into the log, once for each client and table."""
        known = execution.core.known
        if known.setdefault((text, args), execution) is execution:
            known[(text, args)] = None
            _log.warning(text, *args)


def _soon(ask: Ask, clock: Clock) -> Ask:
    """Return what asks, and waits a second at most for the answer."""
    soon = partial(deadline, _SOON_SECONDS, clock=clock)
    return lambda *call: inside(soon, partial(ask, *call))()


def _moment(clock: Clock) -> Moment:
    return clock.monotonic(), clock.time()
