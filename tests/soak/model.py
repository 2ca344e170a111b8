"""What may be stored, as far as the answers tell. Every read is held against it. Pure, and safe to share by threads.

A `Register` is an item that one worker writes and all read. Its values are numbers: each write has the next one, and
None is "no such item". A `Ledger` is an item that many add to: each addition has a name of its own, and adds one to a
count, so that an addition that was made twice shows.

A write is applied, not applied, or unsure, as its answer says. An unsure write, and one that was sent more than once,
may also be applied later, over what was written since: until nothing of it is in the air any more (`settled`).
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Value = int | None
Sees = Callable[[Value], Value]
"""What a reader sees of a value that is stored: a Table with a TTL shows an expired item as None."""

_RECENT = 30


class Told(StrEnum):
    """What the answer to a write says of it."""

    APPLIED = "applied"
    NOT_APPLIED = "not applied"
    UNSURE = "unsure"


class Fault(StrEnum):
    """What is wrong with an answer, or with what is stored."""

    LOST = "lost"
    """A write that was told as applied is not stored."""
    DOUBLED = "doubled"
    """A write was applied twice, or an item was given twice."""
    STALE = "stale"
    """A read gave what had been written over before it began, and did not say so."""
    WRONG = "wrongly told"
    """An answer says what is not so: a write told as not applied is stored, an item that is there is not given."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    fault: Fault
    key: str
    text: str
    recent: tuple[str, ...]
    """What happened to the key before, the latest last."""


class Book:
    """All histories of a run share one: it holds the lock and the findings."""

    def __init__(self, most_kept: int = 200) -> None:
        """Begin without findings; all are counted, and the first `most_kept` are kept."""
        self.lock = threading.RLock()
        self.counts: Counter[Fault] = Counter()
        self.reads = 0
        """Reads of registers that were held against their history."""
        self.exact_reads = 0
        """Those of them that could show one value only."""
        self.findings: list[Finding] = []
        self._most_kept = most_kept

    def report(self, fault: Fault, key: str, text: str, recent: Iterable[str] = ()) -> None:
        """Add a finding."""
        with self.lock:
            self.counts[fault] += 1
            if len(self.findings) < self._most_kept:
                self.findings.append(Finding(fault, key, text, tuple(recent)))


def _as_stored(value: Value) -> Value:
    return value


class Register:
    """The history of an item that one worker writes, one write after the other, and any number read."""

    def __init__(self, book: Book, name: str, look: Callable[[], Value]) -> None:
        """Begin with no such item. `look` reads what is really stored, past all faults."""
        self.name = name
        self._book = book
        self._look = look
        self._stored: set[Value] = {None}
        self._late: set[Value] = set()
        self._writing: set[Value] = set()
        self._refused: set[Value] = set()
        self._seen: set[Value] = set()
        self._last = 0
        self._readings: set[Reading] = set()
        self._recent: deque[str] = deque(maxlen=_RECENT)

    def next_value(self) -> int:
        """Return a value that was never written."""
        self._last += 1
        return self._last

    @property
    def is_certain(self) -> bool:
        """Whether exactly one value can be stored, and no other can come."""
        with self._book.lock:
            return len(self._stored) == 1 and not self._late and not self._writing

    @property
    def value(self) -> Value:
        """The value that is stored, where that is certain."""
        [value] = self._stored
        return value

    # Writes.

    def began(self, value: Value) -> None:
        """Note that a write of `value` is on its way. Several may be, one after the other: a batch."""
        with self._book.lock:
            self._writing.add(value)
            self._recent.append(f"write of {value} begins")
            self._changed()

    def ended(self, values: Sequence[Value], told: Told, *, may_come_again: bool = False, how: str = "") -> None:
        """Note what was told of the writes of `values`, in their order.

        Args:
            values: what was written; the last one is what is stored if all were applied.
            told: what the answer says.
            may_come_again: whether a request was sent more than once, so that a lost one may still arrive.
            how: the words of the answer, for a finding.
        """
        with self._book.lock:
            again = ", may come again" if may_come_again else ""
            self._recent.append(f"write of {list(values)} is told {told}{again}{how and f': {how}'}")
            self._writing.difference_update(values)
            if told is Told.APPLIED:
                self._stored = {values[-1]}
                self._late |= set(values) if may_come_again else set()
            elif told is Told.UNSURE:
                self._stored |= set(values)
                self._late |= set(values)
            else:
                self._refuse(values)
            self._seen.clear()
            self._changed()

    def _refuse(self, values: Sequence[Value]) -> None:
        numbers = {value for value in values if value is not None}
        self._refused |= numbers
        for value in numbers & self._seen:
            self._report(Fault.WRONG, f"the write of {value} is told as not applied, and a read has shown it")

    def settled(self) -> None:
        """Note that nothing of earlier writes is on its way any more: what was late has come, or never will."""
        with self._book.lock:
            self._stored |= self._late
            self._late = set()
            self._recent.append(f"settled: one of {_shown(self._stored)}")
            self._changed()

    def _changed(self) -> None:
        for reading in self._readings:
            reading.allowed |= self._possible()
            reading.is_disturbed = True

    def _possible(self) -> set[Value]:
        return self._stored | self._late | self._writing

    # Reads.

    def read(self) -> Reading:
        """Begin a read."""
        with self._book.lock:
            reading = Reading(self, self._possible(), is_disturbed=bool(self._writing))
            self._readings.add(reading)
            return reading

    def closed(self, reading: Reading) -> None:
        """End a read that gave no answer. See `Reading.close`."""
        with self._book.lock:
            self._readings.discard(reading)

    def answered(self, reading: Reading, found: Value, sees: Sees, by: str) -> bool:
        """End a read with what it gave. See `Reading.found`."""
        with self._book.lock:
            self._readings.discard(reading)
            self._book.reads += 1
            self._book.exact_reads += len(reading.allowed) == 1
            if all(sees(value) != found for value in reading.allowed):
                self._recent.append(f"{by} found {found}")
                self._missed(reading, found, by)
                return False
            if found in self._writing:
                self._seen.add(found)
            if not reading.is_disturbed:
                shown = {value for value in self._stored | self._late if sees(value) == found}
                if shown != self._stored:
                    self._stored = shown
                    self._recent.append(f"{by} found {found}")
                    self._changed()
            return True

    def found_stale(self, found: Value, by: str) -> bool:
        """Hold an answer that says it is stale against the history: any value will do that was ever stored."""
        with self._book.lock:
            if found is None or (found <= self._last and found not in self._refused):
                return True
            self._report(Fault.WRONG, f"{by} found {found}, which never was stored")
            return False

    def _missed(self, reading: Reading, found: Value, by: str) -> None:
        """Find out what is wrong: with what is stored, or only with the answer."""
        truth = self._look()
        text = f"{by} found {found}, allowed were {_shown(reading.allowed)}; stored is {truth}"
        if found in self._refused:
            self._report(Fault.WRONG, f"{text}; its write was told as not applied")
        elif truth not in self._possible():
            self._report(Fault.LOST, text)
        elif found is None or found > self._last:
            self._report(Fault.WRONG, text)
        else:
            self._report(Fault.STALE, text)
        if truth not in self._possible():  # reported once
            self._stored = {truth}
            self._changed()

    def _report(self, fault: Fault, text: str) -> None:
        self._book.report(fault, self.name, text, self._recent)

    def complain(self, text: str) -> None:
        """Report that an answer about this item says what is not so."""
        with self._book.lock:
            self._report(Fault.WRONG, text)


class Reading:
    """One read under way. `close` it if it gave no answer."""

    def __init__(self, register: Register, allowed: set[Value], *, is_disturbed: bool) -> None:
        """See `Register.read`."""
        self.register = register
        self.allowed = allowed
        """What the answer may show: whatever could be stored at some moment since the read began."""
        self.is_disturbed = is_disturbed
        """Whether a write was under way, or another read told more: then the answer does not say what is stored now."""

    def found(self, value: Value, by: str, sees: Sees = _as_stored) -> bool:
        """End the read with what it gave; return whether that is allowed."""
        return self.register.answered(self, value, sees, by)

    def close(self) -> None:
        """End the read without an answer."""
        self.register.closed(self)


@dataclass(frozen=True)
class Entries:
    """What a ledger's item holds."""

    count: int
    names: tuple[str, ...]
    """The additions, in their order where the item keeps one."""
    version: int | None = None
    """The item's version, where it has one: one for each addition."""


NO_ENTRIES = Entries(0, ())


class Ledger:
    """The history of an item that any number of workers add to."""

    def __init__(self, book: Book, name: str, look: Callable[[], Entries]) -> None:
        """Begin empty. `look` reads what is really stored, past all faults."""
        self.name = name
        self._book = book
        self._look = look
        self._applied: set[str] = set()
        self._maybe: set[str] = set()
        """On their way, or unsure."""
        self._refused: set[str] = set()
        self._missing: set[str] = set()
        """Reported as lost already."""
        self._doubled = 0
        self._recent: deque[str] = deque(maxlen=_RECENT)

    def __len__(self) -> int:
        return len(self._applied) + len(self._maybe)

    def began(self, name: str) -> None:
        """Note that an addition is on its way."""
        with self._book.lock:
            self._maybe.add(name)

    def ended(self, name: str, told: Told, how: str = "") -> None:
        """Note what was told of an addition; `how` has the words of the answer, for a finding."""
        with self._book.lock:
            self._recent.append(f"{name} is told {told}{how and f': {how}'}")
            if told is Told.APPLIED:
                self._maybe.discard(name)
                self._applied.add(name)
            elif told is Told.NOT_APPLIED:
                if name in self._applied:
                    self._report(Fault.WRONG, f"{name} is told as not applied, and a read has shown it")
                self._maybe.discard(name)
                self._refused.add(name)

    def read(self) -> frozenset[str]:
        """Begin a read: return what it must show."""
        with self._book.lock:
            return frozenset(self._applied - self._missing)

    def found(self, entries: Entries, by: str, must: Collection[str] = ()) -> bool:
        """Hold what a read gave against the history; return whether it is allowed.

        Args:
            entries: what the read gave.
            by: what read.
            must: what `read` returned when it began.
        """
        with self._book.lock:
            names = set(entries.names)
            before = sum(self._book.counts.values())
            self._check_once(entries, by)
            self._check_known(names, by)
            missing = set(must) - names
            if missing:
                self._miss(missing, by)
            self._applied |= names & self._maybe
            self._maybe -= names
            return sum(self._book.counts.values()) == before

    def _check_once(self, entries: Entries, by: str) -> None:
        wanted = len(set(entries.names))
        counts = {len(entries.names), entries.count, wanted if entries.version is None else entries.version}
        excess = max(counts) - wanted
        if min(counts) < wanted:
            self._report(Fault.WRONG, f"{by} found {wanted} additions, but a count of {min(counts)}")
        if excess > self._doubled:
            twice = sorted(name for name, times in Counter(entries.names).items() if times > 1)
            self._report(Fault.DOUBLED, f"{by} found {wanted} additions made {max(counts)} times; {_shown(twice)}")
            self._doubled = excess

    def _check_known(self, names: set[str], by: str) -> None:
        for name in sorted(names & self._refused):
            self._report(Fault.WRONG, f"{by} found {name}, which was told as not applied")
            self._refused.discard(name)
            self._applied.add(name)
        unknown = names - self._applied - self._maybe
        if unknown:
            self._report(Fault.WRONG, f"{by} found what nobody added: {_shown(unknown)}")
            self._applied |= unknown

    def _miss(self, missing: set[str], by: str) -> None:
        lost = missing - set(self._look().names)
        if lost:
            self._report(Fault.LOST, f"{by} did not find {_shown(lost)}, nor is it stored")
            self._missing |= lost
        if missing - lost:
            self._report(Fault.STALE, f"{by} did not find {_shown(missing - lost)}, which is stored")

    def _report(self, fault: Fault, text: str) -> None:
        self._book.report(fault, self.name, text, self._recent)

    def complain(self, text: str, fault: Fault = Fault.WRONG) -> None:
        """Report that an answer about this item says what is not so."""
        with self._book.lock:
            self._report(fault, text)


def _shown(values: Collection[Any]) -> str:
    texts = [str(value) for value in sorted(values, key=str)]
    return ", ".join(texts[:8]) + (f" and {len(texts) - 8} more" if len(texts) > 8 else "") if texts else "none"
