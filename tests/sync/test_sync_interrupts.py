"""Ctrl-C while calls are made on threads: wherever it comes, whoever waits goes on, and nothing is lost."""

import _thread
import contextlib
import gc
import itertools
import linecache
import signal
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from batch_support import FakeTable
from botocore.exceptions import PaginationError
from fan_in_support import Shelf, making, requested
from thread_support import end_soon, on_a_thread_of_its_own, where_it_is

import resilient_ddb as rddb
from resilient_ddb.bulk.iterators import ItemIterator
from resilient_ddb.bulk.settings import BatchSettings
from resilient_ddb.fallback import UNANSWERED
from resilient_ddb.sync.batch_get import BatchGet
from resilient_ddb.sync.batch_writer import BatchWriter
from resilient_ddb.sync.parallel_scan import ParallelScan
from resilient_ddb.sync.table_reads import _items
from resilient_ddb.sync.together import together
from resilient_ddb.testing import FakeClock

HERE = str(Path(__file__).parent.parent)
_STRIDE = 13
"""Every thirteenth line is enough: the threads run as they like, and so each run goes another way."""
_FINALIZERS = ("__del__", "_remove", "remove")
"""Objects' own, and those of weak sets and dictionaries. What is raised in one is swallowed, wherever it comes from."""
_SECONDS = 30
"""A run takes some milliseconds."""


class Interrupt:
    """Raises KeyboardInterrupt at the nth line that the thread runs, in whatever module but the tests'."""

    def __init__(self, at):
        self.left = at

    def __call__(self, frame, event, _):
        if frame.f_code.co_filename.startswith(HERE) or frame.f_code.co_name in _FINALIZERS:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


class SharedTable(FakeTable):
    """Answers one call after the other, on whichever thread."""

    def __init__(self):
        super().__init__()
        self._lock = threading.Lock()

    def batch_write_item(self, **params):
        with self._lock:
            return super().batch_write_item(**params)


@pytest.fixture
def watchdog():
    """Return what is to be called before each run. One that hangs fails, and says where."""

    def bark(*_):
        raise AssertionError(f"it hangs in {where_it_is()}")

    before = signal.signal(signal.SIGALRM, bark)
    gc.disable()  # a finalizer swallows the KeyboardInterrupt that is raised in it
    yield lambda: signal.alarm(_SECONDS)
    gc.enable()
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("start", [1, 7])
@on_a_thread_of_its_own
def test_the_block_ends_wherever_ctrl_c_comes(watchdog, start):
    interrupted = 0
    for runs in itertools.count():
        watchdog()
        at = start + runs * _STRIDE
        table = SharedTable()
        settings = BatchSettings(max_workers=3, flush_amount=2, overwrite_by_pkeys=["pk"])
        writer = BatchWriter("t", table, settings)
        taken, trace = [], sys.gettrace()
        try:
            with writer:
                sys.settrace(Interrupt(at))
                try:
                    for number in range(12):
                        writer.put_item(Item={"pk": number})
                        taken.append(number)
                finally:
                    sys.settrace(trace)
        except KeyboardInterrupt:
            interrupted += 1
        left = {request["PutRequest"]["Item"]["pk"] for request in writer.unprocessed}
        assert set(taken) <= left | {key for (key,) in table.items}, f"line {at}"
        with contextlib.suppress(rddb.UnprocessedItemsError), writer:  # and it can go on
            pass
        assert set(taken) <= {key for (key,) in table.items}, f"line {at}"
        if interrupted <= runs:
            break
    assert interrupted > 100


def interrupted_in_turn(at):
    """Return a trace function that raises KeyboardInterrupt at the nth line of what takes the writer's turn."""

    def lines(_, event, __):
        nonlocal at
        at -= event == "line"
        if not at:
            at = -1
            raise KeyboardInterrupt
        return lines

    return lambda frame, _, __: lines if frame.f_code.co_name == "_in_turn" else None


@on_a_thread_of_its_own
def test_no_turn_is_kept_where_ctrl_c_comes_as_it_is_taken_within_a_deadline(watchdog):
    for at in itertools.count(1):
        watchdog()
        table, trace = FakeTable(), sys.gettrace()
        writer = BatchWriter("t", table, BatchSettings(flush_amount=1, overwrite_by_pkeys=["pk"]))
        sys.settrace(interrupted_in_turn(at))
        try:
            with contextlib.suppress(KeyboardInterrupt), rddb.deadline(1000):
                writer.put_item(Item={"pk": 0})
        finally:
            sys.settrace(trace)
        if table.items:
            break
        other = threading.Thread(target=writer.flush, daemon=True)
        other.start()
        other.join(_SECONDS / 2)
        assert not other.is_alive(), f"line {at}"
        assert set(table.items) == {(0,)}
    assert at > 3


class Client:
    """Has room for two calls at a time."""

    def __init__(self):
        self.meta = Client.Meta()

    class Meta:
        class config:  # noqa: N801 - botocore's name
            max_pool_connections = 2


@on_a_thread_of_its_own
def test_calls_that_are_made_together_end_wherever_ctrl_c_comes(watchdog):
    for at in itertools.count(1):
        watchdog()
        client, trace = Client(), sys.gettrace()
        try:
            sys.settrace(Interrupt(at))
            try:
                outcomes = together(client, [lambda number=number: number for number in range(5)])
            finally:
                sys.settrace(trace)
        except KeyboardInterrupt:
            assert end_soon()
            assert together(client, [lambda: 1, lambda: 2, lambda: 3]) == [1, 2, 3]  # with whatever room is left
        else:
            assert outcomes == [0, 1, 2, 3, 4]
            break
    assert at > 50


NUMBERS = range(12)


class Readable:
    """Items 0 to 11: by their keys, but for 5, which is missing, and by pages of three."""

    def __init__(self):
        self.name = "t"
        core = SimpleNamespace(policy=rddb.Policy(clock=FakeClock()), observers=())
        client = SimpleNamespace(_resilience=core, batch_get_item=self.batch_get_item)
        self.meta = SimpleNamespace(client=client)

    def batch_get_item(self, RequestItems):
        keys = RequestItems["t"]["Keys"]
        undone = {"t": {"Keys": keys[3:]}} if len(keys) > 3 else {}
        return {"Responses": {"t": [dict(key) for key in keys[:3] if key != {"pk": 5}]}, "UnprocessedKeys": undone}

    def query(self, **params):
        first = params.get("ExclusiveStartKey", {"pk": -1})["pk"] + 1
        items = [{"pk": number} for number in NUMBERS[first : first + 3]]
        return {"Items": items, **({"LastEvaluatedKey": items[-1]} if first < 9 else {})}


def get_all(table):
    return BatchGet(table, [{"pk": number} for number in NUMBERS], {}, None)


def get_all_of_a_generator(table):
    return BatchGet(table, ({"pk": number} for number in NUMBERS), {}, None)


def query_all(table):
    return _items(table, "query", {}, None, None)


def read_until_interrupted(reading, given, interrupt, of="pk"):
    """Add what is read to `given` until the interrupt comes; return whether it came."""
    trace = sys.gettrace()
    sys.settrace(interrupt)
    try:
        for item in reading:
            given.append(item[of])
    except KeyboardInterrupt:
        sys.settrace(trace)
        return True
    finally:
        sys.settrace(trace)
    return False


@pytest.mark.parametrize("read", [get_all, get_all_of_a_generator, query_all])
@on_a_thread_of_its_own
def test_no_item_is_lost_wherever_ctrl_c_comes_and_the_reading_goes_on(watchdog, read):
    for at in itertools.count(1, 5):
        watchdog()
        reading, given = read(Readable()), []
        if not read_until_interrupted(reading, given, Interrupt(at)):
            break
        given += [item["pk"] for item in reading]
        missing = [key["pk"] for key in getattr(reading, "missing", [])]
        assert given + missing == sorted(given) + missing, f"line {at}"
        assert sorted(given + missing) == list(NUMBERS), f"line {at}"
        assert not UNANSWERED.get(), f"line {at}: no fallback would be asked any more"
    assert at > 100


class AsyncReadable(Readable):
    async def batch_get_item(self, RequestItems):
        return super().batch_get_item(RequestItems)


class Awaiting:
    """Iterates over what is async, none of which waits for anything."""

    def __init__(self, reading):
        self.reading = reading

    def __iter__(self):
        return self

    def __next__(self):
        try:
            self.reading.__anext__().send(None)
        except StopIteration as end:
            return end.value
        except StopAsyncIteration:
            raise StopIteration from None
        return pytest.fail("it waits")


async def later():
    for number in NUMBERS:
        yield {"pk": number}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a coroutine that nobody came to await
@pytest.mark.parametrize("keys", [lambda: [{"pk": number} for number in NUMBERS], later])
@on_a_thread_of_its_own
def test_no_item_of_an_async_table_is_lost_wherever_ctrl_c_comes(watchdog, keys):
    pytest.importorskip("aiobotocore")  # there are runs without it
    from resilient_ddb.aio.batch_get import AsyncBatchGet  # noqa: PLC0415 - as above

    for at in itertools.count(1, 11):
        watchdog()
        reading, given = AsyncBatchGet(AsyncReadable(), keys(), {}, None), []
        if not read_until_interrupted(Awaiting(reading), given, Interrupt(at)):
            break
        given += [item["pk"] for item in Awaiting(reading)]
        assert sorted(given + [key["pk"] for key in reading.missing]) == list(NUMBERS), f"line {at}"
    assert at > 100


def test_a_generator_that_ctrl_c_ends_is_no_end_of_the_keys():
    def interrupted():
        yield {"pk": 0}
        yield {"pk": 1}
        raise KeyboardInterrupt

    reading = BatchGet(Readable(), interrupted(), {}, None)
    with pytest.raises(KeyboardInterrupt):
        next(reading)
    assert [next(reading)["pk"], next(reading)["pk"]] == [0, 1]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="after its keys were broken off"):
            next(reading)


class InterruptBetweenItems(Interrupt):
    """As Python itself interrupts: never between a line's end and a `yield` that calls nothing."""

    def __call__(self, frame, event, arg):
        if event == "line" and linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip() == "yield item":
            return self
        return super().__call__(frame, event, arg)


@on_a_thread_of_its_own
def test_no_item_of_several_keys_is_lost_in_silence_wherever_ctrl_c_comes(watchdog):
    whole = [f"{number}{name}" for number in range(4) for name in "abc"]
    refused = 0
    for at in itertools.count(1, 5):
        watchdog()
        shelf = Shelf(
            {name: [{"sk": number, "id": f"{number}{name}"} for number in range(4)] for name in "abc"}, most=2
        )
        request = requested(shelf, list(shelf.sources))
        reading = ItemIterator(making(shelf, request)(), "query_many_items", SimpleNamespace(name="t"))
        given = []
        if not read_until_interrupted(reading, given, InterruptBetweenItems(at), of="id"):
            break
        try:
            given += [item["id"] for item in reading]
        except (RuntimeError, PaginationError):  # which items were given is not known
            refused += 1
            assert given == whole[: len(given)]
        else:
            assert given == whole, f"line {at}"
    assert 0 < refused < at / 5


def interrupted_page(**_):
    """Return three items. As the second one is handed out, Ctrl-C is pressed: Python looks when a function returns."""
    return {"Items": itertools.chain([{"pk": 0}], itertools.starmap(_thread.interrupt_main, [()]), [{"pk": 2}])}


class Interrupted(Readable):
    """Has one page, and one segment."""

    def __init__(self):
        super().__init__()
        self.meta.client.meta = Client().meta
        described = {"KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "TableArn": "t", "TableName": "t"}
        described["AttributeDefinitions"] = [{"AttributeName": "pk", "AttributeType": "N"}]
        self.meta.client.describe_table = lambda **_: {"Table": described}
        self.scan = self.query = interrupted_page


def scan_all(table):
    return ParallelScan(table, on_page=None, segments=1, rate=None, resume=None, params={})


@pytest.mark.parametrize("read", [query_all, scan_all])
def test_an_item_that_was_on_its_way_as_ctrl_c_came_is_missed_aloud(read):
    reading = read(Interrupted())
    assert next(reading) == {"pk": 0}
    with pytest.raises(KeyboardInterrupt):
        next(reading)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"was (broken off|stopped)"):
            next(reading)
    assert end_soon()


class Slow:
    """A reading of three pages, whose first one another thread waits for."""

    def __init__(self):
        self.pages, self.page = iter([[1], [2], [3]]), []
        self.is_asked, self.may_answer = threading.Event(), threading.Event()
        self.is_over = False

    def items(self):
        return iter(self.page)

    def more(self):
        self.is_asked.set()
        assert self.may_answer.wait(_SECONDS)
        self.page = next(self.pages)
        self.is_over = self.page == [3]
        return
        yield


def test_a_thread_that_comes_in_between_breaks_nothing_off_for_the_one_that_reads():
    slow, given = Slow(), []
    reading = ItemIterator(slow, "query_items", SimpleNamespace(name="t"))
    thread = threading.Thread(target=lambda: given.append(next(reading)))
    thread.start()
    assert slow.is_asked.wait(_SECONDS)
    with pytest.raises(ValueError, match="already executing"):
        next(reading)
    slow.may_answer.set()
    thread.join(_SECONDS)
    assert given + list(reading) == [1, 2, 3]


def test_what_was_broken_off_and_is_closed_is_simply_over():
    reading = query_all(Interrupted())
    assert next(reading) == {"pk": 0}
    with pytest.raises(KeyboardInterrupt):
        next(reading)
    reading.close()
    assert list(reading) == []
    assert end_soon()
