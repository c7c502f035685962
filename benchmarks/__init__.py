"""Benchmarks: ratios to peers, interleaved in one run. `python -m benchmarks` runs those of docs/benchmarks.md."""
