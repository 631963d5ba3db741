"""Which configuration to try next, when the grid is larger than the budget of tests.

1. A *point* is a configuration as numbers: vCPUs, memory a vCPU, and each variable whose values are all positive
   numbers, on a log2 scale, the variables also per vCPU and all of them multiplied; others have one column a value.
2. The *start* fills the space: each type once, as far as four fifths of the budget go, each next point the farthest
   from those before, so that the ends of every variable are seen early.
3. A Gaussian process models the logarithm of the cost, over what it would be at first sight: if every vCPU did the same
   work, or only those that the variables keep busy, or if size did not matter. That, the length of each column and the
   noise are the likeliest ones, lengths with a prior for long ones.
4. The next point has the most *expected improvement* over the best so far, times the probability that it comes out
   well: what failed or broke its threshold has no cost, but warns of its like. Points under way count as though they
   had come out as predicted.
5. The answer depends on the observations and the seed only: the same rows give the same next point, after a crash too.

Source: Alipourfard et al., "CherryPick", NSDI 2017 (Bayesian search of cloud configurations, expected improvement);
Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapters 2 and 5; Duvenaud et al., "Additive
Gaussian Processes", NIPS 2011. The constants were chosen on simulated servers (tests/unit/domain/surfaces.py has some).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

_Array = np.ndarray
_LENGTHS = (0.7, 1.5, 3.0, 6.0, 24.0)  # in doublings of a number; with the last a column hardly counts
_LIKELY_LENGTH = 4.0
_SPREAD_OF_LENGTHS = 1.2  # standard deviation of the logarithm of a length, before anything is seen
_NOISES = (0.01, 0.03, 0.1)  # of the logarithm of the cost: repeated measurements differ by about that
_SCALE = 0.25  # variance of the logarithm before anything is seen ...
_SCALE_WORTH = 2  # ... which counts as so many observations
_ROUNDS = 2
_ALONE = 0.5  # share of the variance that single columns explain; the rest is their interplay
_START_SHARE = 0.8
_HOPE = 0.3  # above 0: untried points are rather expected to come out well


@dataclass(frozen=True, slots=True)
class Point:
    """One configuration of a grid. `usd_per_hour` None: the grid is judged by throughput."""

    kind: str
    vcpus: float | None
    memory_mib: int | None
    accelerators: int = 0
    usd_per_hour: float | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observation:
    """What a trial of `grid[index]` came to. `cost`: any positive figure that should be small (dollars an inference, or
    one over the throughput); None: it failed or broke the threshold."""

    index: int
    cost: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """For every point of a grid: the logarithm of its cost, expected and its standard deviation, and the probability
    that it comes out well at all."""

    mean: _Array
    deviation: _Array
    feasible: _Array


def most_types(budget: int) -> int:
    """How many types the start covers at most."""
    return max(min(budget, 2), math.ceil(_START_SHARE * budget))


def start(grid: Sequence[Point], budget: int, seed: int) -> tuple[int, ...]:
    """The points to begin with, in order: spread over the grid, each type once as far as `most_types` goes."""
    columns, wanted = _columns(grid), min(len(grid), most_types(budget))
    chosen: list[int] = []
    kinds: set[str] = set()
    while len(chosen) < wanted:
        fresh = [index for index, point in enumerate(grid) if point.kind not in kinds]
        if not fresh and 2 * len(chosen) >= wanted:
            break
        chosen.append(_farthest(columns, chosen, fresh or range(len(grid)), seed))
        kinds.add(grid[chosen[-1]].kind)
    return tuple(chosen)


def propose(
    grid: Sequence[Point], observations: Sequence[Observation], under_way: Collection[int], budget_left: int, seed: int
) -> int | None:
    """The index of the point to try next; None when the budget is spent or every point has been tried."""
    tried = {seen.index for seen in observations} | set(under_way)
    free = [index for index in range(len(grid)) if index not in tried]
    if budget_left <= 0 or not free:
        return None
    if not observations:
        return _farthest(_columns(grid), sorted(tried), free, seed)
    prediction = predict(grid, observations, under_way)
    costs = [seen.cost for seen in observations if seen.cost]
    if prediction is None:
        worth = _feasible(_columns(grid), observations)
    else:
        worth = _expected_improvement(math.log(min(costs)), prediction) * prediction.feasible
    order = _order(grid, seed)
    return max(free, key=lambda index: (float(worth[index]), order[index]))


def predict(
    grid: Sequence[Point], observations: Sequence[Observation], under_way: Collection[int] = ()
) -> Prediction | None:
    """What the model says of every point; None while nothing has come out well."""
    good = {seen.index: math.log(seen.cost) for seen in observations if seen.cost}
    if not good:
        return None
    columns, at, values = _columns(grid), list(good), np.array(list(good.values()))
    fits = [(_fitted(columns[at], values - level[at]), level) for level in _levels(grid)]
    process, level = max(fits, key=lambda fit: fit[0].likelihood)
    waiting = sorted(under_way)
    if waiting:
        believed = np.append(values - level[at], process.at(columns[waiting])[0])
        process = _Process(columns[[*at, *waiting]], believed, process.lengths, process.noise)
    mean, deviation = process.at(columns)
    return Prediction(mean + level, deviation, _feasible(columns, observations))


def _expected_improvement(best: float, prediction: Prediction) -> _Array:
    ahead = best - prediction.mean
    ratio = ahead / prediction.deviation
    density = np.exp(-0.5 * ratio**2) / math.sqrt(2 * math.pi)
    expected: _Array = ahead * _normal(ratio) + prediction.deviation * density
    return expected


def _normal(ratios: _Array) -> _Array:
    """The distribution function of the standard normal distribution."""
    return np.array([0.5 * math.erfc(-ratio / math.sqrt(2)) for ratio in ratios])


# --- points as numbers ---


def _columns(grid: Sequence[Point]) -> _Array:
    """One row a point, one column a fact that differs between points."""
    vcpus = np.array([math.log2(point.vcpus or 1.0) for point in grid])
    memory = np.array([math.log2(point.memory_mib or 1024) for point in grid])
    columns = [vcpus, memory - vcpus, np.array([float(point.accelerators) for point in grid])]
    numbers = _numbers(grid)
    for column in numbers.values():
        columns += [column, column - vcpus] if np.ptp(vcpus) > 0 else [column]
    if len(numbers) > 1:
        columns.append(sum(numbers.values(), -vcpus))
    for name in _names(grid) - numbers.keys():
        columns += _one_each([point.settings.get(name) for point in grid])
    shapes = {(point.kind, point.vcpus, point.memory_mib, point.accelerators) for point in grid}
    if len({shape[1:] for shape in shapes}) < len(shapes):  # types that only their names tell apart
        columns += _one_each([point.kind for point in grid])
    return np.stack([column for column in columns if np.ptp(column) > 0] or [vcpus], axis=1)


def _names(grid: Sequence[Point]) -> set[str]:
    return {name for point in grid for name in point.settings}


def _numbers(grid: Sequence[Point]) -> dict[str, _Array]:
    """The variables whose values are all positive numbers: log2 of them."""
    found: dict[str, _Array] = {}
    for name in sorted(_names(grid)):
        values = [_positive(point.settings.get(name)) for point in grid]
        if all(values):
            found[name] = np.log2(np.array(values, dtype=float))
    return found


def _positive(value: str | None) -> float:
    """The number; 0 when it is none."""
    try:
        number = float(value or "")
    except ValueError:
        return 0.0
    return number if 0 < number < math.inf else 0.0


def _one_each(values: Sequence[str | None]) -> list[_Array]:
    return [np.array([2.0 * (value == one) for value in values]) for one in sorted(set(values), key=str)]


def _levels(grid: Sequence[Point]) -> list[_Array]:
    """The logarithm of the cost at first sight, up to a constant (point 3 above)."""
    price = np.array([math.log(point.usd_per_hour or 1.0) for point in grid])
    vcpus = np.array([math.log(point.vcpus or 1.0) for point in grid])
    numbers = [column * math.log(2) for column in _numbers(grid).values()]
    busy = [*numbers, sum(numbers, np.zeros(len(grid)))] if len(numbers) > 1 else numbers
    return [price - vcpus, *(price - np.minimum(vcpus, number) for number in busy), price]


def _farthest(columns: _Array, chosen: Sequence[int], free: Collection[int], seed: int) -> int:
    """The free point farthest from all chosen ones; with none chosen, the one nearest to the middle of the grid."""
    candidates = [index for index in free if index not in set(chosen)]
    scaled = _scaled(columns)
    away = -(scaled**2).sum(axis=1)
    if chosen:
        away = np.min([((scaled - scaled[index]) ** 2).sum(axis=1) for index in chosen], axis=0)
    order = _order(columns, seed)
    return max(candidates, key=lambda index: (round(float(away[index]), 9), order[index]))


def _order(points: Sequence[object] | _Array, seed: int) -> list[int]:
    """Who goes first among equals."""
    return [int(place) for place in np.random.default_rng(seed).permutation(len(points))]


def _scaled(columns: _Array) -> _Array:
    scaled: _Array = (columns - columns.mean(axis=0)) / np.maximum(columns.std(axis=0), 1e-9)
    return scaled


# --- the model ---


class _Process:
    """A Gaussian process over some rows, with a constant mean; its scale comes from the values and a prior."""

    def __init__(self, rows: _Array, values: _Array, lengths: _Array, noise: float) -> None:
        self.lengths, self.noise = lengths, noise
        self._rows, self._mean = rows, float(values.mean())
        kernel, rest, self._scale = _kernel(rows, rows, lengths), values - float(values.mean()), _SCALE
        for _ in range(3):  # the noise is relative to the scale, which depends on it
            noisy = kernel + np.eye(len(values)) * (noise**2 / self._scale + 1e-8)
            self._factor = np.linalg.cholesky(noisy)
            half = np.linalg.solve(self._factor, rest)
            self._scale = (float(half @ half) + _SCALE_WORTH * _SCALE) / (len(values) + _SCALE_WORTH)
        self._weights = np.linalg.solve(self._factor.T, half)
        spread = np.log(lengths / _LIKELY_LENGTH) / _SPREAD_OF_LENGTHS
        determinant = float(np.log(np.diag(self._factor)).sum())
        fit = 0.5 * (len(values) + _SCALE_WORTH) * math.log(self._scale)
        self.likelihood = -fit - determinant - 0.5 * float((spread**2).sum())

    def at(self, rows: _Array) -> tuple[_Array, _Array]:
        """The expected values there and their standard deviations."""
        cross = _kernel(rows, self._rows, self.lengths)
        half = np.linalg.solve(self._factor, cross.T)
        variance = self._scale * np.maximum(1.0 - (half**2).sum(axis=0), 1e-9)
        return self._mean + cross @ self._weights, np.sqrt(variance)


def _fitted(rows: _Array, values: _Array) -> _Process:
    """The most likely lengths and noise, one after the other, twice."""
    best = _Process(rows, values, np.full(rows.shape[1], _LIKELY_LENGTH), _NOISES[1])
    for _ in range(_ROUNDS):
        for column in range(rows.shape[1]):
            for length in _LENGTHS:
                lengths = best.lengths.copy()
                lengths[column] = length
                best = max(best, _Process(rows, values, lengths, best.noise), key=lambda process: process.likelihood)
        for noise in _NOISES:
            best = max(best, _Process(rows, values, best.lengths, noise), key=lambda process: process.likelihood)
    return best


def _kernel(some: _Array, others: _Array, lengths: _Array) -> _Array:
    """How much two rows have in common: a part for each column alone, and one for all together."""
    squares = ((some[:, None, :] - others[None, :, :]) / lengths) ** 2
    both: _Array = _ALONE * _matern(squares).mean(axis=2) + (1 - _ALONE) * _matern(squares.sum(axis=2))
    return both


def _matern(squares: _Array) -> _Array:
    away = np.sqrt(5.0 * squares)
    similar: _Array = (1.0 + away + away**2 / 3.0) * np.exp(-away)
    return similar


def _feasible(columns: _Array, observations: Sequence[Observation]) -> _Array:
    """The probability that a point comes out well: a Gaussian process over 1 (did) and -1 (did not), a plane through
    the columns and the neighbours' part."""
    good = np.array([seen.cost is not None for seen in observations])
    if good.all():
        return np.ones(len(columns))
    scaled = _scaled(columns)
    rows = scaled[[seen.index for seen in observations]]

    def alike(some: _Array, others: _Array) -> _Array:
        squares = ((some[:, None, :] - others[None, :, :]) ** 2).mean(axis=2) / 2.25
        both: _Array = some @ others.T / columns.shape[1] + _matern(squares)
        return both

    factor = np.linalg.cholesky(alike(rows, rows) + 0.1 * np.eye(len(rows)))
    across = np.linalg.solve(factor, alike(rows, scaled))
    mean = _HOPE + across.T @ np.linalg.solve(factor, np.where(good, 1.0, -1.0) - _HOPE)
    variance = (scaled**2).mean(axis=1) + 1.0 - (across**2).sum(axis=0)
    return _normal(mean / np.sqrt(0.1 + np.maximum(variance, 1e-6)))
