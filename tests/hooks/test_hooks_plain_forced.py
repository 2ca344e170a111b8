"""Tests of other subjects, made again with all plain calls going past botocore's inside."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from unit_support import ROOT

FILES = [
    *("sync/test_sync_faults.py", "sync/test_sync_wire.py", "sync/test_sync_told_success.py", "sync/test_sync_ttl.py"),
    *("sync/test_sync_versioned.py", "sync/test_sync_modify.py", "sync/test_sync_batch_writer.py"),
    *("sync/test_sync_fallbacks.py", "sync/test_sync_sharded.py"),
]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", FILES)
def test_with_the_path_forced_all_is_as_ever(file):
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(  # noqa: S603 - our own tests
        [sys.executable, "-m", "pytest", "-p", "forced_path", "-q", "-n0", f"tests/{file}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]
