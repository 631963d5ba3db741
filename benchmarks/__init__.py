"""Speed and size, outside the test run: `python -m benchmarks` prints JSON with machine facts."""
