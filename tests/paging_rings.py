"""A fault that readers must see: pages that lead back to where one has been."""

from dataclasses import dataclass

from resilient_ddb.testing import faults
from resilient_ddb.testing.messages import json_answer
from resilient_ddb.testing.plan import Refuse


@dataclass(frozen=True, kw_only=True)
class Ring(faults.Fault):
    """Answer queries and scans with pages without items, of which the last leads back to an earlier one."""

    tail: int = 0
    """Pages before the ring begins."""
    length: int = 1
    """Pages in the ring."""
    keys: tuple[str, ...] = ("sk",)
    """The attributes of the key besides the partition key."""

    def matches(self, call):
        return call.operation in ("Query", "Scan") and super().matches(call)

    def act(self, call):
        start = call.params.get("ExclusiveStartKey")
        number = 0 if start is None else int(start[self.number_in]["N"]) + 1
        if number == self.tail + self.length:
            number = self.tail
        values = call.params.get("ExpressionAttributeValues") or {}
        texts = [value for value in values.values() if "S" in value]
        partition = (start or {}).get("pk") or (texts[0] if texts else {"S": "a"})
        last = {"pk": partition, **{key: {"N": str(number)} for key in self.keys}}
        payload = {"Items": [], "Count": 0, "ScannedCount": 0, "LastEvaluatedKey": last}
        return Refuse(answer=json_answer(200, payload, request_id=call.request_id))

    @property
    def number_in(self):
        return self.keys[0]
