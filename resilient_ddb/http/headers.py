"""The headers of an answer, as botocore's mapping: asked for a dozen times in a call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from botocore.awsrequest import HeadersDict


class AnswerHeaders(HeadersDict):  # type: ignore[misc]  # botocore has no types of its own
    """Headers by their names in lower case: botocore's mapping makes an object for each name that is asked for."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Hold these names and values; of a name that is there more than once, the last, as aiobotocore has it."""
        self._found: dict[str, Any] = {name.lower(): value for name, value in pairs}

    def __getitem__(self, key: str) -> Any:
        return self._found[key.lower()]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._found

    def __setitem__(self, key: str, value: Any) -> None:
        self._found[key.lower()] = value

    def __delitem__(self, key: str) -> None:
        del self._found[key.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return repr(self._found)
