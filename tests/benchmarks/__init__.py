"""What this package costs beside stock pynetdicom: `bash tests/bench.sh`, or `python -m tests.benchmarks --help`.

A module `bench_*.py` here with `measure() -> list[Figure]` is found and run by that. Everything that is
measured runs in processes of its own, so that one interpreter's lock is not another's delay.
"""
