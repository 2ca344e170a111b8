"""For tests of both rims in one file: they run without aiobotocore too, and leave out what needs it."""

import importlib.util

import pytest

HAS_AIO = importlib.util.find_spec("aiobotocore") is not None
NEEDS_AIO = pytest.mark.skipif(not HAS_AIO, reason="the async rim needs aiobotocore")
SYNC_AND_ASYNC = ["sync", pytest.param("async", marks=NEEDS_AIO)]
"""Parameters of a test or fixture that takes one rim after the other."""
