"""What failed calls leave in cycles."""

import gc
from contextlib import contextmanager


@contextmanager
def without_collector():
    """Collect nothing unasked, and pass over what is there already: to look at that again takes long in a large run."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def ours_in_cycles():
    """Return the types of this library's objects that only the garbage collector takes away."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return [type(found).__name__ for found in gc.garbage if is_ours(found)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


def is_ours(found):
    code = getattr(found, "f_code", None) or getattr(found, "gi_code", None)
    return type(found).__module__.startswith("resilient_ddb") or (
        code is not None and "resilient_ddb" in code.co_filename and "tests" not in code.co_filename
    )
