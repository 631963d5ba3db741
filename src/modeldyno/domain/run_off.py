"""A run-off: the leaders of a job are measured again, in turns, so that the same minutes count for all of them.

1. A *turn* is a few windows of one contender at the users of its own figures; a *round* is one turn of each. Rounds go
   forth and back (A B C, C B A), so that what drifts steadily is shared evenly, and a run-off ends after such a pair.
2. Compared are turns of one round only: the logarithms of their costs per inference, contender beside contender. What
   the host was in that round is in both and cancels. Over the rounds these differences have a mean, and Student's
   interval, wider by what two deployments of the same thing differ by (`statistics.deployments_apart`).
3. It is looked at after 4 and 8 rounds and at its end. The intervals of all pairs at all looks hold together at 95%, so
   contenders that are alike are told apart in one run-off of twenty at most.
4. It ends when its time is over, or when no other can be cheaper than the one ahead by more than `ENOUGH`. A contender
   that is dearer in all likelihood gets no more turns; the time goes to the others.
5. Chosen is the one with the least cost over the rounds. Where others cannot be told apart from it and lie within
   `ALIKE` of it, the type that costs least an hour is taken, and then the first in the job's order.

The figures of a trial are what they were measured as: a run-off decides the order of its contenders and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

from modeldyno.domain.statistics import deployments_apart, student

ALPHA = 0.05
"""Of all that a run-off says: that one of its contenders is dearer than the chosen one, at any look."""
LOOKS = 3
FEWEST_ROUNDS = 4
ENOUGH = 0.02
"""What the chosen one may still be dearer by when a run-off ends early. Chosen: less than the 3% that matter."""
ALIKE = 0.01
"""Chosen: what two deployments of one thing differ by, at times."""
_FAR = 0.10  # dearer by so much in both of the first two rounds: it is not among the best
_LIKELY = 0.9  # of the interval beyond which a contender is dearer in all likelihood
_LEAST_REQUESTS = 50
MOST_WINDOWS = 4
"""Of a turn, chosen: longer ones would let the host change between turns."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A measured trial that takes part. `usd_per_hour` None: of types without a price, compared by throughput."""

    trial_index: int
    users: int
    usd_per_hour: float | None


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contender answered in one round: `requests` in `seconds`, from `started_at` on (seconds since the
    epoch)."""

    trial_index: int
    round: int
    started_at: float
    seconds: float
    requests: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a contender came out. ratio: its cost per inference (without a price: its time for one) over the chosen
    one's in the same `rounds`, None of the chosen one itself; `low` and `high`: its interval, None where it was left
    behind before there was one. told_apart: the interval leaves out that they are alike."""

    trial_index: int
    rounds: int
    per_minute: float
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    told_apart: bool = False


@dataclass(frozen=True, slots=True)
class RunOff:
    """How a run-off ended. `standings`: the chosen one first, then by cost. `together`: all were deployed at once; else
    each anew for its turns. `note` says it in words. `seconds`: from the first turn's beginning to the last's end."""

    standings: tuple[Standing, ...]
    turns: tuple[Turn, ...]
    seconds: float
    together: bool
    note: str = ""

    @property
    def order(self) -> tuple[int, ...]:
        """The trials' indices, best first."""
        return tuple(standing.trial_index for standing in self.standings)


@dataclass(frozen=True, slots=True)
class _Apart:
    """How much dearer one is than the other, on the logarithms' scale: the mean over `rounds`, and its error."""

    mean: float
    error: float
    rounds: int

    def half(self, confidence: float) -> float:
        """Half of the interval, for what deployments differ by, too."""
        if self.rounds < 2:
            return math.inf
        return math.hypot(student(confidence, self.rounds - 1) * self.error, deployments_apart(confidence))


def turn_windows(per_second: float) -> int:
    """How many windows a turn takes: enough answers to be compared, and few, so that turns follow each other soon."""
    return min(MOST_WINDOWS, max(1, math.ceil(_LEAST_REQUESTS / per_second))) if per_second > 0 else MOST_WINDOWS


@dataclass(slots=True)
class Rounds:
    """The rounds of a run-off, as they go. Ask `next_round`, and `add` the turn of each in that order."""

    contenders: tuple[Contender, ...]
    seconds: float
    turns: list[Turn] = field(default_factory=list)
    _in: list[int] = field(default_factory=list)
    _round: int = -1

    def __post_init__(self) -> None:
        self._in = [one.trial_index for one in self.contenders]

    def add(self, turn: Turn) -> None:
        """Take a turn of the round that goes on."""
        self.turns.append(turn)

    @property
    def round(self) -> int:
        """The number of the round that goes on, from 0."""
        return self._round

    def next_round(self, passed: float) -> tuple[int, ...]:
        """The trials' indices in the order of the next round's turns; none when it is over. `passed`: seconds since the
        first turn began."""
        done = self._round + 1
        if done and done % 2 == 0 and self._over(done, passed):
            return ()
        self._round = done
        return tuple(self._in) if done % 2 == 0 else tuple(reversed(self._in))

    def _over(self, done: int, passed: float) -> bool:
        if done >= FEWEST_ROUNDS and passed + 2 * passed / done > self.seconds:
            return True
        looked = done in (FEWEST_ROUNDS, 2 * FEWEST_ROUNDS)
        if looked and all(apart.mean - apart.half(self._confidence) > -ENOUGH for apart in self._others()):
            return True
        self._thin_out(done)
        return False

    def _others(self) -> list[_Apart]:
        rates, best = self._costs(), self._ahead()
        return [_apart(rates, other, best) for other in self._in if other != best]

    def _thin_out(self, done: int) -> None:
        """Leave out who is dearer in all likelihood; two stay."""
        costs, best = self._costs(), self._ahead()
        for other in sorted(self._in, key=lambda index: -_apart(costs, index, best).mean):
            apart = _apart(costs, other, best)
            far = min(_differences(costs, other, best)) > _FAR
            likely = done >= FEWEST_ROUNDS and apart.mean > apart.half(_LIKELY)
            if other != best and len(self._in) > 2 and (far or likely):
                self._in.remove(other)

    def _ahead(self) -> int:
        """The one with the least cost of those that are in: they took part in every round."""
        costs = self._costs()
        return min(self._in, key=lambda index: fmean(costs[index].values()))

    def _costs(self) -> dict[int, dict[int, float]]:
        return _costs(self.contenders, self.turns)

    @property
    def _confidence(self) -> float:
        return confidence_of(len(self.contenders))

    def concluded(self, *, together: bool, seconds: float) -> RunOff:
        """How it ended."""
        costs, confidence = self._costs(), self._confidence
        of = {one.trial_index: one for one in self.contenders}
        best = self._ahead()
        equals = [best]
        for other in self._in:
            apart = _apart(costs, other, best)
            if other != best and apart.mean <= min(ALIKE, apart.half(confidence)):
                equals.append(other)
        place = {one.trial_index: number for number, one in enumerate(self.contenders)}
        chosen = min(equals, key=lambda index: (of[index].usd_per_hour or 0.0, index))
        rest = sorted(
            (index for index in of if index != chosen),
            key=lambda index: (index not in self._in, _apart(costs, index, chosen).mean, place[index]),
        )
        standings = [self._standing(chosen)]
        for index in rest:
            apart = _apart(costs, index, chosen)
            half = apart.half(confidence)
            told = replace(self._standing(index), ratio=math.exp(apart.mean))
            if apart.rounds >= FEWEST_ROUNDS:
                low, high = math.exp(apart.mean - half), math.exp(apart.mean + half)
                told = replace(told, low=low, high=high, told_apart=apart.mean > half)
            standings.append(told)
        return RunOff(tuple(standings), tuple(self.turns), seconds, together)

    def _standing(self, index: int) -> Standing:
        own = [turn for turn in self.turns if turn.trial_index == index]
        per_minute = 60 * sum(turn.requests for turn in own) / sum(turn.seconds for turn in own)
        return Standing(index, len(own), per_minute)


def confidence_of(contenders: int) -> float:
    """Of one interval, so that all pairs at all looks hold together."""
    return 1 - ALPHA / (LOOKS * math.comb(contenders, 2))


def _costs(contenders: Sequence[Contender], turns: Sequence[Turn]) -> dict[int, dict[int, float]]:
    """Logarithm of the cost per inference by trial and round, up to one constant."""
    prices = {one.trial_index: math.log(one.usd_per_hour) if one.usd_per_hour else 0.0 for one in contenders}
    found: dict[int, dict[int, float]] = {one.trial_index: {} for one in contenders}
    for turn in turns:
        found[turn.trial_index][turn.round] = prices[turn.trial_index] - math.log(turn.requests / turn.seconds)
    return found


def _differences(costs: Mapping[int, Mapping[int, float]], one: int, other: int) -> list[float]:
    return [costs[one][number] - costs[other][number] for number in sorted(costs[one].keys() & costs[other].keys())]


def _apart(costs: Mapping[int, Mapping[int, float]], one: int, other: int) -> _Apart:
    apart = _differences(costs, one, other)
    error = stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else math.inf
    return _Apart(fmean(apart), error, len(apart))
