"""Benchmarks: `python -m tests.benchmarks` prints what was measured, as ratios to boto3 and aiobotocore in one run.

Nothing here decides whether a test passes: timings are printed, not asserted.
"""
