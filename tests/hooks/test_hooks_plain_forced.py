"""Tests of other subjects, made again with all plain calls going past botocore's inside."""

from __future__ import annotations

import pytest
from unit_support import assert_passes_with_the_path_forced

FILES = [
    *("sync/test_sync_faults.py", "sync/test_sync_wire.py", "sync/test_sync_told_success.py", "sync/test_sync_ttl.py"),
    *("sync/test_sync_versioned.py", "sync/test_sync_modify.py", "sync/test_sync_batch_writer.py"),
    *("sync/test_sync_fallbacks.py", "sync/test_sync_sharded.py"),
]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", FILES)
def test_with_the_path_forced_all_is_as_ever(file):
    assert_passes_with_the_path_forced(file)
