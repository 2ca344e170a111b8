"""From samples to figures: medians over rounds, ratios of medians, and how far the rounds' own ratios spread."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Samples = Mapping[str, Sequence[Mapping[str, float] | None]]
"""For each contender, what each round measured; None where it failed."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One contender's figure in one scenario."""

    median: float
    ratio: float | None
    """To the base line's median; None where that is missing."""
    low: float | None
    """The lower quartile of the ratios of single rounds."""
    high: float | None
    """The upper quartile of the ratios of single rounds."""
    rounds: int

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def figure(samples: Samples, contender: str, base: str, metric: str) -> Figure | None:
    """Return a contender's figure; None if there is no sample."""
    values = [sample[metric] for sample in samples.get(contender, ()) if sample is not None and metric in sample]
    if not values:
        return None
    bases = [sample[metric] for sample in samples.get(base, ()) if sample is not None and metric in sample]
    median = statistics.median(values)
    base_median = statistics.median(bases) if bases else 0.0
    ratio = median / base_median if base_median > 0 else None
    low, high = quartiles(round_ratios(samples, contender, base, metric)) if ratio is not None else (None, None)
    return Figure(median=median, ratio=ratio, low=low, high=high, rounds=len(values))


def round_ratios(samples: Samples, contender: str, base: str, metric: str) -> list[float]:
    """Return the ratio of each round in which both were measured."""
    pairs = zip(samples.get(contender, ()), samples.get(base, ()), strict=False)
    return [one[metric] / other[metric] for one, other in pairs if one and other and other.get(metric, 0.0) > 0]


def quartiles(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the lower and the upper quartile."""
    if not values:
        return None, None
    if len(values) == 1:
        return values[0], values[0]
    cut = statistics.quantiles(values, n=4, method="inclusive")
    return cut[0], cut[2]


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)
