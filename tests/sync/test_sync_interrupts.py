"""Ctrl-C while calls are made on threads: wherever it comes, whoever waits goes on, and nothing is lost."""

import contextlib
import gc
import itertools
import signal
import sys
import threading
from pathlib import Path

import pytest
from batch_support import FakeTable
from thread_support import end_soon

import resilient_ddb as rddb
from resilient_ddb.bulk.settings import BatchSettings
from resilient_ddb.sync.batch_writer import BatchWriter
from resilient_ddb.sync.together import together

HERE = str(Path(__file__).parent.parent)
_STRIDE = 13
"""Every thirteenth line is enough: the threads run as they like, and so each run goes another way."""
_FINALIZERS = ("__del__", "_remove", "remove")
"""Objects' own, and those of weak sets and dictionaries. What is raised in one is swallowed, wherever it comes from."""
_SECONDS = 30
"""A run takes some milliseconds."""


class Interrupt:
    """Raises KeyboardInterrupt at the nth line that the main thread runs, in whatever module but the tests'."""

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
    """Return what is to be called before each run. One that hangs fails, with what the main thread was doing."""

    def bark(_, frame):
        raise AssertionError(f"it hangs in {frame.f_code.co_filename}:{frame.f_lineno}")

    before = signal.signal(signal.SIGALRM, bark)
    gc.disable()  # a finalizer swallows the KeyboardInterrupt that is raised in it
    yield lambda: signal.alarm(_SECONDS)
    gc.enable()
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("start", [1, 7])
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
