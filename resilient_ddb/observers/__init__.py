"""Observers that come with the library: `Policy(observers=[LoggingObserver()])`.

Each is loaded as it is first asked for: those that need another library do so only then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resilient_ddb._public import public_names

if TYPE_CHECKING:
    from .emf import EmfObserver
    from .logs import LoggingObserver
    from .otel import OpenTelemetryObserver
    from .powertools import PowertoolsObserver
    from .prometheus import PrometheusObserver

__all__ = ["EmfObserver", "LoggingObserver", "OpenTelemetryObserver", "PowertoolsObserver", "PrometheusObserver"]

_HOMES = {
    "emf": ("EmfObserver",),
    "logs": ("LoggingObserver",),
    "otel": ("OpenTelemetryObserver",),
    "powertools": ("PowertoolsObserver",),
    "prometheus": ("PrometheusObserver",),
}

if not TYPE_CHECKING:  # a checker sees the imports above, and finds names that are not there
    __getattr__, __dir__ = public_names(__name__, __all__, _HOMES)
