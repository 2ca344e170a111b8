"""For tests of code that uses DynamoDB: a clock to move by hand, and a proxy that makes faults."""

from . import faults
from .clock import FakeClock
from .proxy import FaultProxy, Seen

__all__ = ["FakeClock", "FaultProxy", "Seen", "faults"]


def __dir__() -> list[str]:
    return sorted(__all__)
