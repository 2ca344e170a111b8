"""The decorator for AWS Lambda's handlers, and a deadline that is met after its block has ended."""

import gc
import threading
from types import SimpleNamespace

import boto3
import pytest

import resilient_ddb as rddb
from resilient_ddb.policy.deadlines import Stop, current_deadline
from resilient_ddb.testing import FakeClock


def context(milliseconds):
    return SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)


def left():
    found = current_deadline()
    return None if found is None else round(found.remaining(), 1)


def test_bare_and_called_give_the_time_that_is_left_less_the_margin():
    @rddb.lambda_handler
    def bare(event, _):
        return event, left()

    @rddb.lambda_handler()
    def called(event, _):
        return event, left()

    @rddb.lambda_handler(margin=1)
    def own(event, _):
        return event, left()

    @rddb.lambda_handler(margin=1)
    async def asynchronous(event, _):
        return event, left()

    found = [handler("e", context(5000)) for handler in (bare, called, own, asynchronous)]
    assert found == [("e", 4.5), ("e", 4.5), ("e", 4.0), ("e", 4.0)]
    assert current_deadline() is None


def test_a_handler_keeps_its_name_and_what_it_raises():
    @rddb.lambda_handler
    async def look_up(_event, _context):
        """Look up."""
        raise LookupError("none")

    assert (look_up.__name__, look_up.__doc__) == ("look_up", "Look up.")
    for _ in range(2):
        with pytest.raises(LookupError, match="none"):
            look_up({}, context(3000))


def test_threads_that_call_a_handler_at_once_each_have_a_loop():
    import asyncio  # noqa: PLC0415 - an async handler needs it

    both, ran, answers = threading.Barrier(2, timeout=30.0), [], []

    @rddb.lambda_handler
    async def handler(event, _):
        ran.append(event)
        await asyncio.to_thread(both.wait)
        return event

    threads = [threading.Thread(target=lambda n=n: answers.append(handler(n, context(60_000)))) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ran) == sorted(answers) == [0, 1]


def test_each_invocation_has_a_context_of_its_own_on_one_loop():
    import asyncio  # noqa: PLC0415 - an async handler needs it

    found = []

    @rddb.lambda_handler(margin=0)
    async def handler(_event, _context):
        found.append((asyncio.get_running_loop(), left()))

    for milliseconds in (1000, 2000, 3000):
        handler({}, context(milliseconds))
    assert [seconds for _, seconds in found] == [1.0, 2.0, 3.0]
    assert len({id(loop) for loop, _ in found}) == 1
    found[0][0].close()
    handler({}, context(4000))  # somebody closed it: there is a new one
    assert found[3][0] is not found[0][0]
    loop = found[3][0]
    del handler
    gc.collect()
    assert loop.is_closed()


def test_what_gives_an_awaitable_is_run_as_an_async_handler_is():
    class Awaitable:
        def __await__(self):
            yield from ()
            return left()

    assert rddb.lambda_handler(lambda *_: Awaitable(), margin=0)({}, context(2000)) == 2.0


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((5,), {}, TypeError, "lambda_handler decorates a function of event and context: .*; got int"),
        ((), {"margin": -1}, ValueError, "margin must be a number of 0 or more; got -1"),
        ((), {"margin": "1"}, TypeError, "margin must be a number"),
    ],
)
def test_what_can_t_be_meant_is_refused_as_it_is_decorated(arguments, options, error, words):
    with pytest.raises(error, match=words):
        rddb.lambda_handler(*arguments, **options)


def test_a_context_that_is_none_is_refused():
    with pytest.raises(TypeError, match="context must be the context object that Lambda gives to a handler"):
        rddb.lambda_handler(lambda *_: None)({}, {})


# What is flushed.


class Keeps:
    """An observer that writes at the end."""

    def __init__(self, *, fails=False):
        self.flushed, self.fails = 0, fails

    def __call__(self, event):
        pass

    def flush(self):
        self.flushed += 1
        if self.fails:
            raise OSError("full")


@pytest.mark.parametrize("ending", ["returns", "raises"])
def test_observers_are_flushed_however_an_invocation_ends(ending, caplog):
    shared, failing, other = Keeps(), Keeps(fails=True), Keeps()
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="eu-west-1")
    plain = print  # has no flush()
    policies = [rddb.Policy(observers=[shared, failing, plain]), rddb.Policy(observers=[shared])]
    clients = [rddb.client("dynamodb", policy=policy, session=session) for policy in policies]
    gone = rddb.client("dynamodb", policy=rddb.Policy(observers=[other]), session=session)
    del gone
    gc.collect()

    @rddb.lambda_handler
    def handler(_event, _context):
        assert shared.flushed == 0
        if ending == "raises":
            raise LookupError

    if ending == "raises":
        with pytest.raises(LookupError):
            handler({}, context(3000))
    else:
        handler({}, context(3000))
    assert (shared.flushed, failing.flushed, other.flushed) == (1, 1, 0)
    assert "observer Keeps can't be flushed" in caplog.text
    for client in clients:
        client.close()


# A deadline that was left behind.


def test_a_deadline_says_once_it_is_met_that_its_block_has_ended():
    clock = FakeClock()
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="eu-west-1")
    client = rddb.client("dynamodb", policy=rddb.Policy(clock=clock), session=session)
    import contextvars  # noqa: PLC0415 - for this test

    with rddb.deadline(1.0, clock=clock):
        kept = contextvars.copy_context()
        clock.advance(2.0)
        with pytest.raises(rddb.DeadlineExceededError) as within:
            client.list_tables()
    with pytest.raises(rddb.DeadlineExceededError) as after:
        kept.run(client.list_tables)
    with pytest.raises(rddb.DeadlineExceededError) as stopped:
        kept.run(_stopped, client)
    words = "the deadline is that of a block that has ended"
    assert not any(words in note for note in within.value.__notes__)
    assert any(words in note for note in after.value.__notes__)
    assert any(words in note for note in stopped.value.__notes__)
    client.close()


def _stopped(client):
    with Stop().watched():
        client.list_tables()
