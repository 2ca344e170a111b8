"""Benchmarks: `python -m tests.benchmarks` prints what was measured, as ratios to boto3 and aioboto3 in one run.

It writes JSON and an SVG chart too. Nothing here decides whether a test passes: timings are reported, not asserted.
"""
