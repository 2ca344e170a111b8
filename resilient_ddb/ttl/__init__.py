"""Items that have expired: which they are, and how a Table leaves them out of all answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resilient_ddb._public import public_names

if TYPE_CHECKING:
    from .rule import absent_or_expired, is_expired

__all__ = ["absent_or_expired", "is_expired"]

if not TYPE_CHECKING:  # a checker sees the imports above, and finds names that are not there
    __getattr__, __dir__ = public_names(__name__, __all__, {"rule": __all__})
