"""Which of the library's threads have calls in hand. They are no `threading.Thread`: that can't be started safely."""

from __future__ import annotations

import functools
import linecache
import sys
import threading
import time

import resilient_ddb.sync.together

_HOME = resilient_ddb.sync.together.__file__


def calling_threads():
    """Return the threads that are making a call, or have made one and not yet let go of it."""
    frames = sys._current_frames()  # noqa: SLF001 - it is documented
    try:
        return [ident for ident, frame in frames.items() if _has_a_call(frame)]
    finally:
        frames.clear()  # this frame is among them: they would keep each other, and the threads' frames


def end_soon(within=20.0):
    """Return whether none makes a call any more, a moment from now: an answer is there before its thread has ended."""
    until = time.monotonic() + within
    while calling_threads() and time.monotonic() < until:
        time.sleep(0.001)
    return not calling_threads()


def _has_a_call(frame):
    while frame is not None:
        if frame.f_code.co_filename == _HOME and frame.f_code.co_name == "_make_calls":
            return "waiting.get()" not in linecache.getline(_HOME, frame.f_lineno)
        frame = frame.f_back
    return False


def on_a_thread_of_its_own(test):
    """Run a test whose trace function raises. Python 3.11 may keep what was being handled then, for that thread."""

    @functools.wraps(test)
    def run(*args, **params):
        raised = []

        def body():
            try:
                test(*args, **params)
            except BaseException as error:  # noqa: BLE001 - it is raised again
                raised.append(error)

        thread = threading.Thread(target=body, name=ON_ITS_OWN, daemon=True)
        thread.start()
        thread.join()
        if raised:
            raise raised.pop()

    return run


ON_ITS_OWN = "a test that is traced"


def where_it_is():
    """Return the file and line that a test on a thread of its own runs."""
    idents = [thread.ident for thread in threading.enumerate() if thread.name == ON_ITS_OWN]
    frames = [sys._current_frames().get(ident) for ident in idents]  # noqa: SLF001 - as above
    return [f"{frame.f_code.co_filename}:{frame.f_lineno}" for frame in frames if frame is not None]
