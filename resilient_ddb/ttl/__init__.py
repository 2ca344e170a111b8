"""Items that have expired: which they are, and how a Table leaves them out of all answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .rule import absent_or_expired, is_expired

__all__ = ["absent_or_expired", "is_expired"]


if not TYPE_CHECKING:  # a checker sees the imports above, and finds names that are not there

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import rule  # noqa: PLC0415 - loaded when it is asked for

        return getattr(rule, name)


def __dir__() -> list[str]:
    return sorted(__all__)
