"""What is left in cycles, found among what is new: to look at all of a large run again takes a quarter of a second."""

import gc
from contextlib import contextmanager
from types import CoroutineType, FrameType, GeneratorType

CODE_OF = {FrameType: "f_code", GeneratorType: "gi_code", CoroutineType: "cr_code"}


@contextmanager
def collected_afterwards():
    """Collect what is dropped within, at the end; nothing is collected before, so all that was made within is new."""
    gc.disable()
    try:
        yield
        gc.collect(0)
    finally:
        gc.enable()


@contextmanager
def without_collector():
    """Collect nothing unasked. What is made within is all that `gc.get_objects(0)` gives."""
    gc.collect(1)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def ours_in_cycles():
    """Return the types of this library's objects that only the garbage collector takes away.

    It looks at what was made since it last did, also if `gc.collect(0)` came between.
    """
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect(1)
        return [type(found).__name__ for found in gc.garbage if is_ours(found)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


def is_ours(found):
    kind = type(found)  # and nothing is asked of it: it may be a proxy of what is gone
    code = getattr(found, CODE_OF[kind]) if kind in CODE_OF else None
    return kind.__module__.startswith("resilient_ddb") or (
        code is not None and "resilient_ddb" in code.co_filename and "tests" not in code.co_filename
    )
