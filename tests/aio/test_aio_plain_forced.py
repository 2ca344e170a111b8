"""Tests of other subjects, made again with all plain calls going past aiobotocore's inside."""

from __future__ import annotations

import pytest
from unit_support import assert_passes_with_the_path_forced

FILES = [
    *("aio/test_aio_faults.py", "aio/test_aio_wire.py", "aio/test_aio_ttl.py", "aio/test_aio_versioned.py"),
    *("aio/test_aio_batch_writer.py", "aio/test_aio_fallback.py", "aio/test_aio_sharded.py"),
    *("aio/test_aio_cancellation.py", "aio/test_aio_twins.py"),
]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", FILES)
def test_with_the_path_forced_all_is_as_ever(file):
    assert_passes_with_the_path_forced(file)
