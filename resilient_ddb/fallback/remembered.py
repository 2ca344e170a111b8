"""Answers that are kept in memory, within a number and a size, until they are old or a write may have changed them.

For one thread at a time: its owner has the lock, and the clock.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from .item_marks import Mark, Written, value_of

_BYTES_OF_ANSWER, _BYTES_OF_MARK = 600, 700
"""What an answer, and each of its marks, takes in tables besides."""
_WRITES_KNOWN = 1_000
"""The last writes, which reads that were under way meanwhile are held against."""
Marks = Sequence[tuple[str, Mark]]


class _Answer(NamedTuple):
    at: float
    content: bytes
    marks: Marks
    size: int


class _Write(NamedTuple):
    table: str | None
    values: Mapping[str, Any] | None
    """Those of its attributes that are known to be of keys; None: of any item."""
    at: float


class Remembered:
    """The answers."""

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._max_items, self._max_bytes = max_items, max_bytes
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()
        self._marked: dict[tuple[str, Mark], set[Hashable]] = {}
        self._names: dict[str, dict[frozenset[str], int]] = {}
        """By table: which attributes marks name, and how many marks do."""
        self._writes: deque[_Write] = deque()
        self._known_since = float("-inf")
        self.size = 0
        """Bytes that the answers take, about."""

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: Hashable) -> tuple[float, bytes] | None:
        """Return when an answer was kept, and its content; None if there is none."""
        found = self._answers.get(key)
        return None if found is None else (found.at, found.content)

    def keep(self, key: Hashable, content: bytes, marks: Marks, *, began: float, at: float) -> None:
        """Keep an answer in place of an older one, and drop the oldest if there is no room.

        It is not kept if a write that may have changed it has ended since the read began: which of the two came first
        can't be told.
        """
        old = self._answers.get(key)
        around = _size_around(key, marks) if old is None else old.size - len(old.content)
        size = around + len(content)
        if size > self._max_bytes or self._is_overtaken(marks, began):
            self.drop(key)
            return
        self._answers[key] = _Answer(at, content, marks, size)
        if old is None:
            self._mark(key, marks)
        else:  # the same read has the same marks
            self._answers.move_to_end(key)
            self.size -= old.size
        self.size += size
        while len(self._answers) > self._max_items or self.size > self._max_bytes:
            self.drop(next(iter(self._answers)))

    def _mark(self, key: Hashable, marks: Marks) -> None:
        for mark in marks:
            self._marked.setdefault(mark, set()).add(key)
            names = self._names.setdefault(mark[0], {})
            of_mark = _names_of(mark[1])
            names[of_mark] = names.get(of_mark, 0) + 1

    def drop_before(self, time: float) -> None:
        """Drop the answers that were kept before a time."""
        while self._answers:
            key, answer = next(iter(self._answers.items()))
            if answer.at >= time:
                return
            self.drop(key)

    def drop(self, key: Hashable) -> None:
        """Drop an answer, if there is one."""
        answer = self._answers.pop(key, None)
        if answer is None:
            return
        self.size -= answer.size
        for table, mark in answer.marks:
            keys = self._marked.get((table, mark), set())
            keys.discard(key)
            if not keys:
                self._marked.pop((table, mark), None)
            names, of_mark = self._names[table], _names_of(mark)
            names[of_mark] -= 1
            if not names[of_mark]:
                del names[of_mark]
            if not names:
                del self._names[table]

    def drop_written(self, table: str | None, written: Written, at: float) -> None:
        """Drop the answers that a write may have changed, which has ended now."""
        values = self._values_in(table, written)
        self._writes.append(_Write(table, values, at))
        if len(self._writes) > _WRITES_KNOWN:
            self._known_since = self._writes.popleft().at
        for of_table in list(self._names) if table is None else [table]:
            for names in list(self._names.get(of_table, ())):
                if values is None:
                    self._drop_all(of_table)
                    break
                if names <= values.keys():
                    mark = frozenset((name, values[name]) for name in names)
                    for key in list(self._marked.get((of_table, mark), ())):
                        self.drop(key)

    def _drop_all(self, table: str) -> None:
        for key in [key for (of_table, _), keys in self._marked.items() if of_table == table for key in keys]:
            self.drop(key)

    def _values_in(self, table: str | None, written: Written) -> Mapping[str, Any] | None:
        if table is None or not isinstance(written, Mapping):
            return None
        known = frozenset().union(*self._names.get(table, ()))
        try:
            return {name: value_of(written[name]) for name in known if name in written}
        except (TypeError, ArithmeticError):
            return None

    def _is_overtaken(self, marks: Marks, began: float) -> bool:
        if began < self._known_since:
            return True
        for write in reversed(self._writes):
            if write.at <= began:
                return False
            values = write.values
            for table, mark in marks:
                if write.table in (None, table) and (
                    values is None or all(values.get(name, value) == value for name, value in mark)
                ):
                    return True
        return False


def _names_of(mark: Mark) -> frozenset[str]:
    return frozenset(name for name, _ in mark)


def _size_around(key: Hashable, marks: Marks) -> int:
    return _size_of(key) + _BYTES_OF_ANSWER + _BYTES_OF_MARK * len(marks)


def _size_of(value: Any) -> int:
    size = sys.getsizeof(value)
    return size + sum(map(_size_of, value)) if isinstance(value, (tuple, frozenset)) else size
