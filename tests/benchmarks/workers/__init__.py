"""What runs in a contender's own interpreter. `python -m benchmarks.workers` with `tests` on PYTHONPATH."""
