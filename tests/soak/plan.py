"""Which fault a request meets: drawn by its number and the seed. And when everything fails for a while."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from .faults import KINDS, Kind, fits, through
from .messages import Request
from .relay import Meet

NO_FAULT = "none"
_CALM = (5.0, 12.0)
_OUTAGE = (0.5, 2.5)
_OUTAGES = ("reset-before", "html-503", "error-before", "late-after-reset", "refused", "hang")


class FaultPlan:
    """A plan for a relay."""

    def __init__(self, seed: int, kinds: Sequence[Kind], *, rate: float = 0.2, outages: bool = True) -> None:
        """Let a share of `rate` of all requests meet one of `kinds`; with `outages`, all of them now and then."""
        self._seed = seed
        self._kinds = kinds
        self._rate = rate
        self._is_calm = not kinds
        self._chance = Random(f"{seed}/outages")
        self._outages = outages
        self._until = 0.0
        self._outage: Kind | None = None
        self.outages = 0

    def calm(self) -> None:
        """Make no more faults."""
        self._is_calm = True

    def __call__(self, number: int, now: float, request: Request) -> tuple[str, Meet]:
        """Return the fault that a request meets, and its name."""
        if self._is_calm:
            return NO_FAULT, through
        outage = self._outage_at(now)
        if outage is not None:
            return f"outage: {outage.name}", outage.meet
        chance = Random(f"{self._seed}/{number}")
        kinds = [kind for kind in self._kinds if fits(kind, request)]
        if not kinds or chance.random() >= self._rate:
            return NO_FAULT, through
        [kind] = chance.choices(kinds, [kind.weight for kind in kinds])
        return kind.name, kind.meet

    def _outage_at(self, now: float) -> Kind | None:
        while self._outages and now >= self._until:
            if self._outage is None and self._until:
                self._outage = KINDS[self._chance.choice(_OUTAGES)]
                self.outages += 1
                self._until += self._chance.uniform(*_OUTAGE)
            else:
                self._outage = None
                self._until += self._chance.uniform(*_CALM)
        return self._outage
