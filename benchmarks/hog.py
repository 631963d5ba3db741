"""A process that uses a share of one core in small pieces: ``python -m benchmarks.hog --core 1 --share 0.1``.

A tenth is 1 ms of processor time in each 10 ms. It runs until it is ended.
"""

from __future__ import annotations

import argparse
import os
import time

PERIOD_NS = 10_000_000


def burn(share: float) -> None:
    """For ever. Periods that it could not keep are not made up for."""
    due = time.monotonic_ns()
    while True:
        until = time.thread_time_ns() + round(share * PERIOD_NS)
        while time.thread_time_ns() < until:
            pass
        due = max(due + PERIOD_NS, time.monotonic_ns())
        time.sleep(max(0, due - time.monotonic_ns()) / 1e9)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--core", type=int, required=True)
    parser.add_argument("--share", type=float, default=0.1)
    given = parser.parse_args()
    os.sched_setaffinity(0, {given.core})
    burn(given.share)


if __name__ == "__main__":
    main()
