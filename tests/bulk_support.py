"""What the tests of `resilient-ddb load` and `export` share besides fixtures."""

import re
import time


def wait_until(is_so, seconds=60):
    """Wait for what another process is to bring about."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def lines_of(said):
    """Return the lines of what was said, with M:SS for the time that the work took."""
    return re.sub(r" in \d+:\d\d$", " in M:SS", said, flags=re.MULTILINE).splitlines()
