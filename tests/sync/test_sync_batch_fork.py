"""A process that is forked by what a batch writer calls, and goes on from there: it writes nothing of the parent's."""

import os
import threading
from collections import Counter

from foreign_answers import sent_keys, takes_all
from fork_support import FORKS, QUIET
from wire_stub import TABLE, WireStub

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock

pytestmark = [FORKS, QUIET]
LARGE = {"pk": "large", "b": "x" * 500_000}


def write(table, ends, **options):
    """Write, and have a child forked as the large item is handed over; it ends with its block."""
    parent = os.getpid()

    def take(_):
        child = os.fork()
        if child:
            ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    code = 1
    try:
        with table.batch_writer(["pk"], on_unprocessed=take, **options) as batch:
            for item in ({"pk": "0"}, {"pk": "1"}, LARGE, {"pk": "2"}):
                batch.put_item(Item=item)
            batch.flush()
            if os.getpid() != parent:
                batch.put_item(Item={"pk": "the child's"})
        code = 0
    finally:
        if os.getpid() != parent:
            os._exit(code)


def table_on(stub):
    return rddb.table(TABLE, endpoint_url=stub.endpoint_url, policy=rddb.Policy(clock=FakeClock()))


def test_it_does_not_send_what_waits():
    asked = []

    def answer(_, params):
        [requests] = params["RequestItems"].values()
        asked.append(requests)
        return {"UnprocessedItems": {TABLE: requests[2:]}} if len(asked) == 1 else takes_all(params)

    ends = []
    with WireStub(answer) as stub:
        write(table_on(stub), ends, flush_amount=5)
    assert ends == [0]
    assert Counter(sent_keys(stub)) == {"0": 1, "1": 1, "2": 2, "the child's": 1}


def test_it_does_not_make_calls_that_are_under_way():
    over, asked = threading.Event(), set()

    def answer(_, params):
        [requests] = params["RequestItems"].values()
        key = requests[0]["PutRequest"]["Item"]["pk"]["S"]
        if key != "the child's" and key not in asked:
            asked.add(key)
            over.wait(20)
        return takes_all(params)

    class Ends(list):
        def append(self, end):
            super().append(end)
            over.set()

    ends = Ends()
    with WireStub(answer) as stub:
        write(table_on(stub), ends, flush_amount=2, max_workers=2)
    assert ends == [0]
    assert Counter(sent_keys(stub)) == {"0": 1, "1": 1, "2": 1, "the child's": 1}
