"""The faults that a `FaultProxy` can make.

Each is a frozen, keyword-only value; `Fault` says how the requests that it hits are chosen.

- Errors of the service: `Throttle`, `ServerError`, `ErrorResponse`, `CancelTransaction`.
- In the answer: `Unprocessed`, `TruncateBody`, `ShortBody`, `BadCrc`, `BadJson`, `BadUtf8`.
- In its place: `HtmlError`, `ForeignAnswer`, `Redirect`.
- On the wire: `Delay`, `Hang`, `InterimAnswer`, `ResetBefore`, `LoseReply` (also named `ResetAfter`).
- Over time: `Outage`, `PartitionCapacity`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from .batches import leave_undone
from .calls import BATCHES, Call
from .partitions import PartitionCapacity
from .plan import Act, End, Fault, Refuse, check_number
from .service_faults import CancelTransaction, ErrorResponse, ServerError, Throttle
from .wire_faults import (
    BadCrc,
    BadJson,
    BadUtf8,
    Delay,
    ForeignAnswer,
    Hang,
    HtmlError,
    InterimAnswer,
    LoseReply,
    Redirect,
    ResetAfter,
    ResetBefore,
    ShortBody,
    TruncateBody,
)

__all__ = [
    "BadCrc",
    "BadJson",
    "BadUtf8",
    "CancelTransaction",
    "Delay",
    "ErrorResponse",
    "Fault",
    "ForeignAnswer",
    "Hang",
    "HtmlError",
    "InterimAnswer",
    "LoseReply",
    "Outage",
    "PartitionCapacity",
    "Redirect",
    "ResetAfter",
    "ResetBefore",
    "ServerError",
    "ShortBody",
    "Throttle",
    "TruncateBody",
    "Unprocessed",
]


@dataclass(frozen=True, kw_only=True)
class Unprocessed(Fault):
    """Process only a part of a batch; the rest comes back in `UnprocessedItems` or `UnprocessedKeys`, HTTP 200."""

    share: float = 0.5
    """The share of the batch's entries that is left undone, spread over it; above 0.0, up to 1.0. Their
    number is rounded down, so that a remainder which is sent again gets done; a batch too small for one
    goes unharmed. With 1.0 nothing is forwarded."""

    fits: ClassVar[frozenset[str] | None] = BATCHES

    def _check(self) -> None:
        check_number("share", self.share, 0, 1)
        if self.share == 0:
            raise ValueError(f"share must be above 0; got {self.share!r}")

    def act(self, call: Call, /) -> Act | None:
        """Split the batch."""
        numbers = range(len(call.parts))
        refused = {at for at in numbers if int((at + 1) * self.share) > int(at * self.share)}
        return leave_undone(call, refused) if refused else None


@dataclass(frozen=True, kw_only=True)
class Outage(Fault):
    """Fail every matching request in a stretch of time. Nothing is forwarded in it.

    `rate`, `every` and `times` count the requests of that stretch only.
    """

    start: float = 0.0
    """When it begins: seconds on the proxy's clock after the proxy's start, or after its plan was set."""
    duration: float
    """How long it lasts, in seconds. `float("inf")`: until another plan is set."""
    mode: Literal["error", "reset", "hang"] = "error"
    """HTTP 500 with `InternalServerError`, a reset connection, or no answer."""

    def _check(self) -> None:
        check_number("start", self.start, 0)
        check_number("duration", self.duration, 0)
        if self.mode not in {"error", "reset", "hang"}:
            raise ValueError(f"mode must be 'error', 'reset' or 'hang'; got {self.mode!r}")

    def matches(self, call: Call, /) -> bool:
        """Return whether the request falls in the outage."""
        return self.start <= call.at < self.start + self.duration and super().matches(call)

    def act(self, call: Call, /) -> Act:
        """Fail."""
        if self.mode == "error":
            return ServerError().act(call)
        return Refuse(answer=End(self.mode))
