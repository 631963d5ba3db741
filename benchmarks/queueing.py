"""What queueing theory says exactly of an open loop: Poisson arrivals, exponential service times, k workers (M/M/k).

Source: Gross, Shortle, Thompson and Harris, "Fundamentals of Queueing Theory", M/M/c: Erlang's C formula and the
distribution of the time in the system, first come first served.
"""

from __future__ import annotations

import math

_CLOSE = 1e-6  # a - (k - 1) this near to 0 is its limit, the Erlang distribution


def erlang_c(workers: int, offered: float) -> float:
    """The probability that an arrival has to wait. `offered`: arrival rate times mean service time, below `workers`."""
    term = total = 1.0
    for number in range(1, workers):
        term *= offered / number
        total += term
    waiting = term * offered / (workers - offered)
    return waiting / (total + waiting)


def share_over(limit_seconds: float, rate: float, workers: int, service_seconds: float) -> float:
    """The share of arrivals whose time in the system, waiting included, is over the limit; 1 from the capacity on."""
    offered = rate * service_seconds
    if offered >= workers:
        return 1.0
    time = limit_seconds / service_seconds
    left = workers - 1 - offered
    joint = time if abs(left) < _CLOSE else -math.expm1(-left * time) / left
    return math.exp(-time) * (1 + erlang_c(workers, offered) * joint)


def sustainable_rate(limit_seconds: float, percentile: float, workers: int, service_seconds: float) -> float:
    """The highest rate a second at which that percentile (0..100) of the time in the system is within the limit.

    0.0 where the service time alone breaks it.
    """
    allowed = 1 - percentile / 100
    low, high = 0.0, workers / service_seconds
    if share_over(limit_seconds, low, workers, service_seconds) > allowed:
        return 0.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if share_over(limit_seconds, middle, workers, service_seconds) <= allowed:
            low = middle
        else:
            high = middle
    return low
