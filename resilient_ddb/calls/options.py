"""What a Table's option adds to its calls: the protocols that `core` and `execution` know it by."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol


class TableOption(Protocol):
    """The option of tables that a client goes by, as its calls need it. It never changes."""

    @property
    def settings(self) -> Any:
        """What was set, hashable: if it differs, there are other answers to the same calls."""

    @property
    def by_table(self) -> Mapping[str, Any]:
        """What was set for each table."""

    def of(self, table: str) -> OfOneTable | None:
        """Return what goes for a table; None if it has not the option."""

    def at_once(self, execution: Any) -> Any:
        """Return what `prepare` does, if no call has to be made for that; else None."""

    def prepare(self, execution: Any, ask: Callable[[str, dict[str, Any]], Any]) -> Generator[Any, Any, Any]:
        """Return the parameters to send for a call; `ask` makes a call of the client's."""


class OfOneTable(Protocol):
    """What goes for one table."""

    @property
    def settings(self) -> Any:
        """What was set."""

    def stamped(self, execution: Any, ask: Callable[[str, dict[str, Any]], Any], item: Any, seconds: Any) -> Any:
        """Return the steps that end with an item which expires so many seconds from now."""

    def expired(self, item: Mapping[str, Any] | None, core: Any) -> Any:
        """Return an item with native values as one that has expired; None if there is none, or it has not."""

    def until(self, core: Any) -> tuple[str, int] | None:
        """Return the TTL attribute, and the time up to which items have expired; None if there is none."""


class AnswerView(Protocol):
    """What is left of the answer to one call: the doors that an answer passes, in their order."""

    def begin(self) -> None:
        """Record that an answer has come in."""

    def sift(self, answer: dict[str, Any]) -> None:
        """Leave rows out of an answer with typed values, in place."""

    def keeper(self, name: str | None) -> Callable[[int, Any], bool] | None:
        """Return what says whether a row of the answer is kept, given its position; None if all are."""

    def was_read(self, answer: dict[str, Any]) -> None:
        """Record an answer that the codec has read, and left rows out of."""

    def parsed(self, answer: dict[str, Any]) -> None:
        """Change an answer that botocore has parsed, in place."""

    def finish(self, response: Any) -> None:
        """Change a response with native values, in place."""

    def hide(self, response: Any) -> None:
        """Remove what the caller did not ask for, in place."""

    def of_fallback(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return a fallback's answer as DynamoDB would have given it."""
