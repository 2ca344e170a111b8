"""For tests of code that uses DynamoDB: a clock to move by hand, and a proxy that makes faults."""

from resilient_ddb.testing import faults
from resilient_ddb.testing.clock import FakeClock
from resilient_ddb.testing.proxy import FaultProxy, Seen

__all__ = ["FakeClock", "FaultProxy", "Seen", "faults"]
