"""Where processes share the states of their circuits: `CircuitBreaker(storage=storages.dynamodb(table))`.

For Lambda, and wherever there is no Redis. Lambda freezes a process between its invocations, threads and all. So a
thread sends requests only while a call of the process is under way, and no call waits for it.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from .calls.circuit import CLOSED, HALF_OPEN, OPEN, Forced
from .dynamodb.created import create_once
from .errors.words import is_failed_condition
from .policy.arguments import names_checked
from .policy.checks import check_methods, check_number, check_sync_table
from .policy.clock import SYSTEM_CLOCK, Clock, Moment, have_passed
from .policy.forks import tell_child

if TYPE_CHECKING:
    from .calls.circuit import Circuit

__all__ = ["DynamoDBStorage", "create_table", "dynamodb"]

KEY, STATE, REVISION, EXPIRES_AT = "circuit", "state", "revision", "expires_at"
FORCED, REASON = "forced", "reason"
_KEPT_SECONDS = 86_400.0
_KEYS_A_REQUEST = 100
_log = logging.getLogger("resilient_ddb")


@names_checked
def dynamodb(
    table: Any, *, prefix: str = "", sync_interval: float = 5.0, clock: Clock = SYSTEM_CLOCK
) -> DynamoDBStorage:
    """Return a storage that shares circuits by a DynamoDB table: one item a circuit.

    Each process reads them at most every `sync_interval`, all in one request, and writes each change once. Both happen
    only while a call of the process is under way, in a thread: no call waits.

    Args:
        table: the name of the table. Its partition key is the text `circuit`, and it has TTL on `expires_at`. Or a
            sync Table for it, for async code too, whose client has no circuit breaker. See `create_table`.
        prefix: what each circuit's name begins with in the table: tell apart what is not to be shared, such as regions.
        sync_interval: seconds between two reads. `CircuitBreaker.sync_interval` does not matter here.
        clock: where time comes from; the machine's by default.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range, or the table's client has circuits.
    """
    return DynamoDBStorage(table, prefix, sync_interval, clock)


@names_checked
def create_table(dynamodb: Any, name: str) -> Any:
    """Create a table for circuits, with TTL, if there is none of that name, and return it.

    Args:
        dynamodb: a sync resource: `resilient_ddb.resource("dynamodb")`.
        name: the table's name.

    Raises:
        ClientError: the table can't be created.
    """
    return create_once(dynamodb, name, (KEY,), EXPIRES_AT)


class _Known(NamedTuple):
    """What an item says of a circuit."""

    state: str
    forced: Forced | None


_NEVER_SEEN = (0, _Known(CLOSED, None))


def _known_from(item: Mapping[str, Any]) -> _Known:
    state, forced = item.get(STATE), item.get(FORCED)
    held = Forced(forced, str(item.get(REASON, ""))) if forced in (OPEN, CLOSED) else None
    return _Known(OPEN if state == OPEN else CLOSED, held)


@dataclass(slots=True)
class _Member:
    """A circuit of this process, and what it and the table last agreed on."""

    circuit: weakref.ref[Circuit]
    sharing: object
    name: str
    agreed: str = CLOSED
    agreed_forced: Forced | None = None

    @property
    def known(self) -> _Known:
        return _Known(self.agreed, self.agreed_forced)


class DynamoDBStorage:
    """See `dynamodb`. One is shared by any number of policies and clients of a process."""

    def __init__(self, table: Any, prefix: str, sync_interval: float, clock: Clock) -> None:
        if isinstance(table, str):
            if not table:
                raise ValueError("table must be the name of a table, or a Table; got an empty text")
        else:
            _check_table(table)
        if not isinstance(prefix, str):
            raise TypeError(f"prefix must be text; got {type(prefix).__name__}")
        check_number("sync_interval", sync_interval, above=0)
        check_methods("clock", clock, "monotonic", "time", "wait")
        self._given = table
        self._prefix, self._interval, self._clock = prefix, sync_interval, clock
        self._begin()
        tell_child(self)

    def _begin(self) -> None:
        self.wake = threading.Event()
        """Set when a circuit changed, or a read is due and a call is under way."""
        self._table = None if isinstance(self._given, str) else self._given
        self._members: list[_Member] = []
        self._seen: dict[str, tuple[int, _Known]] = {}
        """The revision of each item as it was seen last, and what it said."""
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._tried_at: Moment | None = None
        """When it read last, or could not; None: it must read now."""
        self._is_failing = False
        self._thread: threading.Thread | None = None

    def _in_child(self) -> None:
        """Begin anew in a forked process: the thread and the locks are the parent's."""
        self._begin()

    def share(self, circuit: Circuit) -> Callable[[], None]:
        """Share a circuit's state from now on, and return what each of its calls has to call as it begins."""
        with self._lock:
            kept = ((member, member.circuit()) for member in self._members)
            self._members = [member for member, other in kept if other is not None and other is not circuit]
            self._members.append(_Member(weakref.ref(circuit), circuit.sharing, self._prefix + circuit.name))
            self._tried_at = None  # its state is read with its first call
        return self.call_begins

    def call_begins(self) -> None:
        """Wake the thread that looks at the table, if it is time."""
        if self._is_due():
            self.wake.set()
            if self._thread is None:
                self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            thread = threading.Thread(
                target=_keep_in_step,
                args=(weakref.ref(self), self.wake),
                name="resilient_ddb circuits",
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError:  # there are too many, or the process is ending: the call goes on all the same
                self._has_failed()
                return
            weakref.finalize(self, self.wake.set)
            self._thread = thread

    def synchronise(self) -> None:
        """Write the circuits that changed, and read the others if it is time. What fails is logged, once an outage."""
        with self._turn:
            try:
                self._write_changes()
                if self._is_due():
                    self._tried_at = self._now()
                    self._read()
                self._is_failing = False
            except Exception:  # noqa: BLE001 - whatever becomes of it, calls go on with what this process knows
                self._has_failed()

    def _has_failed(self) -> None:
        """Try again after an interval, and log the exception at hand, once an outage."""
        self._tried_at = self._now()
        if not self._is_failing:
            _log.warning("circuits can't be shared by DynamoDB for the moment", exc_info=True)
        self._is_failing = True

    def _is_due(self) -> bool:
        """Return whether an interval has passed, also while AWS Lambda has frozen the process."""
        tried_at = self._tried_at
        return tried_at is None or have_passed(self._interval, tried_at, self._now())

    def _now(self) -> Moment:
        return self._clock.monotonic(), self._clock.time()

    def _alive(self) -> list[tuple[_Member, Circuit]]:
        """Return the circuits that are shared here. One that goes by another policy since is not."""
        with self._lock:
            found = [(member, member.circuit()) for member in self._members]
        return [(member, circuit) for member, circuit in found if circuit and circuit.sharing is member.sharing]

    def _write_changes(self) -> None:
        for member, circuit in self._alive():
            state = member.agreed if circuit.state == HALF_OPEN else circuit.state  # that is for each process by itself
            mine = _Known(state, circuit.forced)
            if mine != member.known:
                self._write(member, mine)

    def _write(self, member: _Member, mine: _Known) -> None:
        """Write what changed here into what this process has seen, or, the second time, into what came meanwhile."""
        for is_last in (False, True):
            revision, theirs = self._seen.get(member.name, _NEVER_SEEN)
            wanted = _Known(
                mine.state if mine.state != member.agreed else theirs.state,
                mine.forced if mine.forced != member.agreed_forced else theirs.forced,
            )
            if wanted == theirs:
                break
            try:
                self._opened().put_item(
                    Item=self._item(member.name, wanted, revision + 1),
                    ConditionExpression=f"attribute_not_exists({KEY}) OR {REVISION} = :seen",
                    ExpressionAttributeValues={":seen": revision},
                )
            except ClientError as error:
                if is_last or not is_failed_condition(error):
                    raise
                self._see(member.name, self._opened().get_item(Key={KEY: member.name}, ConsistentRead=True).get("Item"))
            else:
                self._seen[member.name] = (revision + 1, wanted)
                break
        member.agreed, member.agreed_forced = mine

    def _see(self, name: str, item: Mapping[str, Any] | None) -> _Known | None:
        """Record what an item says; None if there is none."""
        if item is None:
            self._seen.pop(name, None)
            return None
        known = _known_from(item)
        self._seen[name] = (int(item.get(REVISION, 0)), known)
        return known

    def _item(self, name: str, known: _Known, revision: int) -> dict[str, Any]:
        item = {KEY: name, STATE: known.state, REVISION: revision}
        if known.forced is None:
            return {**item, EXPIRES_AT: int(self._clock.time() + _KEPT_SECONDS)}
        return {**item, FORCED: known.forced.state, REASON: known.forced.reason}  # until a person releases it

    def _read(self) -> None:
        members = self._alive()
        names = sorted({member.name for member, _ in members})
        found: dict[str, Mapping[str, Any]] = {}
        left: set[str] = set()
        for start in range(0, len(names), _KEYS_A_REQUEST):
            items, undone = self._ask(names[start : start + _KEYS_A_REQUEST])
            found.update(items)
            left.update(undone)
        for member, circuit in members:
            if member.name not in left:
                self._take_over(member, circuit, found.get(member.name))

    def _ask(self, names: Iterable[str]) -> tuple[dict[str, Mapping[str, Any]], set[str]]:
        table = self._opened()
        keys = [{KEY: name} for name in names]
        request = {table.name: {"Keys": keys, "ConsistentRead": True}}
        answer = table.meta.client.batch_get_item(RequestItems=request)
        undone = (answer.get("UnprocessedKeys") or {}).get(table.name, {}).get("Keys", [])
        items = answer["Responses"].get(table.name, [])
        return {item[KEY]: item for item in items}, {key[KEY] for key in undone}

    def _take_over(self, member: _Member, circuit: Circuit, item: Mapping[str, Any] | None) -> None:
        theirs = self._see(member.name, item)
        if theirs is None:  # it was never written, or is lost: what this process knows is written again
            member.agreed, member.agreed_forced = CLOSED, None
            return
        if circuit.forced == member.agreed_forced:  # else it changed since: that is written first
            member.agreed_forced = theirs.forced
            if circuit.forced != theirs.forced:
                circuit.adopt_forced(theirs.forced)
        if circuit.state in (member.agreed, HALF_OPEN):  # as above
            circuit.adopt(theirs.state, "another process found it so")
            if circuit.state in (theirs.state, HALF_OPEN):
                member.agreed = theirs.state

    def _opened(self) -> Any:
        if self._table is None:
            from .policy.policy import Policy, Timeouts  # noqa: PLC0415 - only where a name was given
            from .policy.retry import Retry  # noqa: PLC0415 - as above
            from .sync.session import table  # noqa: PLC0415 - as above

            own = Policy(circuit_breaker=None, retry=Retry(max_attempts=2), timeouts=Timeouts(read=2.0))
            self._table = table(self._given, policy=own)
        return self._table

    def __reduce__(self) -> tuple[Any, ...]:
        return DynamoDBStorage, (self._given, self._prefix, self._interval, self._clock)

    def __repr__(self) -> str:
        name = self._given if isinstance(self._given, str) else self._given.name
        return f"resilient_ddb.storages.dynamodb({name!r})"


def _check_table(table: Any) -> None:
    check_sync_table(table, "put_item", "get_item")
    core = getattr(table.meta.client, "_resilience", None)
    if core is not None and core.policy.circuit_breaker is not None:
        raise ValueError(
            "table must be of a client without circuit breakers, or they would wait for themselves: give the table's "
            "name, or resilient_ddb.table(name, policy=resilient_ddb.Policy(circuit_breaker=None))"
        )


def _keep_in_step(storage: weakref.ref[DynamoDBStorage], wake: threading.Event) -> None:
    """Synchronise each time that it is asked for, until the storage is gone."""
    while True:
        wake.wait()
        wake.clear()
        alive = storage()
        if alive is None or alive.wake is not wake:
            return
        alive.synchronise()
        del alive


def __dir__() -> list[str]:
    return sorted(__all__)
