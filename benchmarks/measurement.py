"""Every figure of the measurement that has something to reach: is it right, soon, repeatable, and told when it is not?

All of capacity, threshold, open_loop, instances and forest, in one file with ``--resume``.
"""

from __future__ import annotations

from benchmarks import capacity, forest, instances, open_loop, threshold
from benchmarks.figures import main

BENCHMARKS = (capacity.BENCHMARK, threshold.BENCHMARK, open_loop.BENCHMARK, instances.BENCHMARK, forest.BENCHMARK)

if __name__ == "__main__":
    main("benchmarks.measurement", __doc__, *BENCHMARKS)
