"""Observers that come with the library: `Policy(observers=[LoggingObserver()])`.

Each is loaded as it is first asked for: those that need another library do so only then.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .emf import EmfObserver
    from .logs import LoggingObserver
    from .otel import OpenTelemetryObserver
    from .powertools import PowertoolsObserver
    from .prometheus import PrometheusObserver

__all__ = ["EmfObserver", "LoggingObserver", "OpenTelemetryObserver", "PowertoolsObserver", "PrometheusObserver"]

_HOMES = {
    "EmfObserver": "emf",
    "LoggingObserver": "logs",
    "OpenTelemetryObserver": "otel",
    "PowertoolsObserver": "powertools",
    "PrometheusObserver": "prometheus",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
