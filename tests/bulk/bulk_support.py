"""What the tests of `resilient-ddb load` and `export` share besides fixtures."""

import time


def wait_until(is_so, seconds=60):
    """Wait for what another process is to bring about."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)
