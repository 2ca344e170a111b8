"""What DescribeTimeToLive says of a table whose TTL is switched on, off and over: an emulator's stays as it was."""

from dataclasses import dataclass

from resilient_ddb.testing import faults
from resilient_ddb.testing.messages import json_answer
from resilient_ddb.testing.plan import Refuse


@dataclass(frozen=True, kw_only=True)
class Described(faults.Fault):
    """Say that a table's TTL has this status, on this attribute."""

    status: str = "ENABLED"
    attribute: str

    def act(self, call, /):
        described = {"TimeToLiveStatus": self.status, "AttributeName": self.attribute}
        return Refuse(answer=json_answer(200, {"TimeToLiveDescription": described}, request_id=call.request_id))


def described_as(status, attribute):
    return Described(status=status, attribute=attribute, operations={"DescribeTimeToLive"})
