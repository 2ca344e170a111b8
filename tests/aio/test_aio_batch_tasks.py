"""Tasks that share a batch writer: as in the sync tests of threads, nobody waits for ever."""

import asyncio
import contextvars
import threading

import pytest
from aio_support import ACCESS, until
from foreign_answers import sent_keys, takes_all
from wire_stub import TABLE, WireStub

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.policy.clock import SYSTEM_CLOCK
from resilient_ddb.testing import FakeClock


def table_on(stub, **policy):
    policy = rddb.Policy(**{"clock": FakeClock(), **policy})
    return aio.table(TABLE, endpoint_url=stub.endpoint_url, policy=policy, **ACCESS)


@pytest.mark.parametrize("workers", [1, 4])
async def test_what_another_task_waits_for_does_not_hold_up_the_end_of_the_block(workers):
    """It is 50 minutes until the next pass: the block ends now, and nothing more is sent."""
    with WireStub(lambda _, params: {"UnprocessedItems": params["RequestItems"]}) as stub:
        table = table_on(stub, clock=SYSTEM_CLOCK, retry=rddb.Retry(wait=lambda _: 3000.0))
        async with table:
            batch = table.batch_writer(["pk"], flush_amount=2, max_workers=workers)
            with pytest.raises(RuntimeError, match="mine"):  # noqa: PT012 - the block raises
                async with batch:
                    waiting = [asyncio.create_task(batch.put_item(Item={"pk": str(n)})) for n in range(2)]
                    await until(lambda: stub.named("BatchWriteItem"))
                    raise RuntimeError("mine")
            async with asyncio.timeout(20):
                await asyncio.gather(*waiting)
            assert sorted(request["PutRequest"]["Item"]["pk"] for request in batch.unprocessed) == ["0", "1"]
            assert len(stub.named("BatchWriteItem")) == 1


async def test_a_deadline_holds_while_another_task_sends():
    answer = threading.Event()

    def late(_, params):
        answer.wait(20)
        return takes_all(params)

    with WireStub(late) as stub:
        async with table_on(stub) as table, table.batch_writer(flush_amount=1) as batch:
            sender = asyncio.create_task(batch.put_item(Item={"pk": "0"}))
            await until(lambda: stub.named("BatchWriteItem"))
            with rddb.deadline(0.05), pytest.raises(rddb.DeadlineExceededError) as raised:
                await batch.put_item(Item={"pk": "1"})
            assert [request["PutRequest"]["Item"]["pk"] for request in raised.value.requests] == ["0", "1"]
            answer.set()
            await sender
        assert sent_keys(stub) == ["0", "1"]
        assert batch.unprocessed == []


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("flush_on_error", [False, True])
async def test_an_exception_passes_through_a_block_whose_deadline_comes_while_another_task_sends(
    workers, flush_on_error
):
    answer = threading.Event()

    def late(_, params):
        answer.wait(20)
        return takes_all(params)

    with WireStub(late) as stub:
        async with table_on(stub) as table:
            options = {"flush_amount": 1, "max_workers": workers, "flush_on_error": flush_on_error}
            batch = table.batch_writer(["pk"], **options)
            with pytest.raises(RuntimeError, match="mine"), rddb.deadline(0.05):  # noqa: PT012 - the block raises
                async with batch:
                    task = batch.put_item(Item={"pk": "0"})
                    sender = asyncio.create_task(task, context=contextvars.Context())  # without the deadline
                    await until(lambda: stub.named("BatchWriteItem"))
                    asyncio.get_running_loop().call_later(0.1, answer.set)
                    raise RuntimeError("mine")
            await sender
            async with batch:  # and it can go on
                await batch.put_item(Item={"pk": "1"})
        assert sent_keys(stub) == ["0", "1"]
        assert batch.unprocessed == []


class SlowToJoin:
    """A limiter that gets its part at once for the first batch, and for the next one when it is let."""

    def __init__(self):
        self.asked, self.has_part = 0, asyncio.Event()

    async def reserve_async(self, _):
        self.asked += 1
        if self.asked > 1:
            await self.has_part.wait()
        return 0.0

    def reserve(self, _):
        return 0.0

    def charge(self, _):
        """Keep no account."""


@pytest.mark.parametrize("workers", [1, 4])
async def test_a_wait_that_would_begin_while_the_block_is_being_left_does_not(workers):
    """A task is getting its limiter's part; then it would be 50 minutes until the next pass."""
    with WireStub(lambda _, params: {"UnprocessedItems": params["RequestItems"]}) as stub:
        table = table_on(stub, clock=SYSTEM_CLOCK, retry=rddb.Retry(wait=lambda _: 3000.0))
        async with table, asyncio.timeout(20):
            limiter = SlowToJoin()
            options = {"flush_amount": 1, "max_workers": workers, "write_units_per_second": limiter}
            batch = table.batch_writer(["pk"], **options)
            with pytest.raises(RuntimeError, match="mine"):  # noqa: PT012 - the block raises
                async with batch:
                    waiting = asyncio.create_task(batch.put_item(Item={"pk": "0"}))
                    await until(lambda: limiter.asked > 1)
                    asyncio.get_running_loop().call_soon(limiter.has_part.set)
                    raise RuntimeError("mine")
            await waiting
            assert [request["PutRequest"]["Item"]["pk"] for request in batch.unprocessed] == ["0"]
            assert len(stub.named("BatchWriteItem")) == 1


async def test_what_the_writer_calls_may_put_but_not_flush():
    told = []

    async def take(requests):
        for _ in requests:
            await batch.put_item(Item={"pk": f"again-{len(told)}"})
        with pytest.raises(RuntimeError, match=r"flush\(\) of a batch writer must not be called") as raised:
            await batch.flush()
        told.append(raised.value)

    with WireStub(lambda _, params: takes_all(params)) as stub:
        made = table_on(stub)
        async with made, asyncio.timeout(20), made.batch_writer(flush_amount=1, on_unprocessed=take) as batch:
            await batch.put_item(Item={"pk": "too large", "b": "x" * 500_000})
        assert sent_keys(stub) == ["again-0"]
        assert len(told) == 1


async def test_an_error_of_a_sharded_writers_flush_has_the_keys_as_callers_see_them():
    with WireStub(lambda *_: (400, {"__type": "x#ValidationException", "message": "no"})) as stub:
        async with table_on(stub) as table:
            batch = table.sharded(2, by="n").batch_writer()
            await batch.put_item(Item={"pk": "a", "n": 1})
            with pytest.raises(rddb.UnprocessedItemsError) as raised:
                await batch.flush()
            assert raised.value.requests == [{"PutRequest": {"Item": {"pk": "a", "n": 1}}}] == batch.unprocessed


# A writer of module scope, as of a Lambda handler that calls `asyncio.run`: each invocation has a loop of its own.


@pytest.mark.parametrize("workers", [1, 3])
def test_a_writer_follows_the_loop_and_what_was_under_way_on_the_one_before_is_written(workers):
    held = threading.Event()

    def answer(_, params):
        if len(stub.named("BatchWriteItem")) == 1:
            held.wait(20)
        return takes_all(params)

    with WireStub(answer) as stub:
        table = table_on(stub)
        batch = table.batch_writer(["pk"], flush_amount=2, max_workers=workers)

        async def ends_while_a_batch_is_under_way():
            tasks = [asyncio.create_task(batch.put_item(Item={"pk": f"{number}"})) for number in range(4)]
            await until(lambda: stub.named("BatchWriteItem"))
            return tasks  # that are waiting for their turn, or for the answer

        async def waits_for_its_turn(first):
            tasks = [batch.put_item(Item={"pk": f"{number}"}) for number in range(first, first + 4)]
            async with asyncio.timeout(20):
                await asyncio.gather(*tasks)

        asyncio.run(ends_while_a_batch_is_under_way())
        held.set()
        assert {request["PutRequest"]["Item"]["pk"] for request in batch.unprocessed} >= {"0"}
        asyncio.run(waits_for_its_turn(4))
        asyncio.run(waits_for_its_turn(8))
        asyncio.run(batch.flush())
        assert batch.unprocessed == []
        assert set(sent_keys(stub)) == {f"{number}" for number in range(12)}


def test_an_answer_that_came_on_the_loop_before_counts():
    with WireStub(lambda _, params: takes_all(params)) as stub:
        table = table_on(stub)
        batch = table.batch_writer(["pk"], flush_amount=2, max_workers=2)

        async def ends_when_a_batch_is_answered():
            for pk in "01":
                await batch.put_item(Item={"pk": pk})
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.wait(others)

        asyncio.run(ends_when_a_batch_is_answered())
        asyncio.run(batch.flush())
        assert batch.report.written == 2
        assert sent_keys(stub) == ["0", "1"]
