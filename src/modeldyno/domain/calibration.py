"""How far off figures are where the truth is known: what `dyno doctor --calibrate` found, and what follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modeldyno.domain.saturation import PLATEAU_SHARE
from modeldyno.domain.statistics import Interval
from modeldyno.domain.trial import Flag

GOOD_ERROR = 0.05
"""Up to here a capacity is called good. Chosen: as far as figures of another deployment of a thing may lie apart."""


@dataclass(frozen=True, slots=True)
class Percentile:
    """One percentile of the same requests: as the server recorded it, and as the generator saw it. Milliseconds."""

    percentile: float
    recorded_ms: float
    reported_ms: float

    @property
    def error_ms(self) -> float:
        """How much longer it took than the server knows of: the way there and back, and the generator."""
        return self.reported_ms - self.recorded_ms


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One server of known truth, measured. truth_per_second: None where it is not the server that bounds it."""

    name: str
    title: str
    instance_type: str
    capacity: Interval
    truth_per_second: float | None
    latencies: tuple[Percentile, ...]
    users: int
    requests: int
    load_seconds: float
    flags: dict[Flag, str]

    @property
    def error(self) -> float | None:
        """How much higher the capacity is than the truth, as a share of it."""
        return None if self.truth_per_second is None else self.capacity.value / self.truth_per_second - 1

    @property
    def inside(self) -> bool | None:
        """Whether the truth lies in the stated interval."""
        truth = self.truth_per_second
        return None if truth is None else self.capacity.low <= truth <= self.capacity.high


def conclusions(found: Sequence[Calibrated]) -> list[str]:
    """What follows, in sentences."""
    return [*_about_capacity(found), *_about_latency(found), *_about_the_generator(found)]


def _about_capacity(found: Sequence[Calibrated]) -> Iterator[str]:
    errors = [(abs(one.error), one) for one in found if one.error is not None]
    if not errors:
        return
    worst, where = max(errors, key=lambda pair: pair[0])
    inside = sum(bool(one.inside) for _, one in errors)
    yield (
        f"Capacity within {worst:.1%} of the truth; the truth lies in the stated 95% interval in {inside} of "
        f"{len(errors)}."
    )
    if any(not one.inside and 1 - 1 / PLATEAU_SHARE <= (one.error or 0.0) < 0 for _, one in errors):
        yield (
            f"A capacity up to {1 - PLATEAU_SHARE:.0%} below the truth is the beginning of the plateau: with so few "
            "users a worker waits for its next request at times, and the interval is of that number of users."
        )
    if worst > GOOD_ERROR:
        why = f" ({'; '.join(where.flags.values())})" if where.flags else ""
        yield (
            f"Figures of this host may be off by as much as that, as with {where.title}{why}. Repeat it when the host "
            "is quiet."
        )


def _about_latency(found: Sequence[Calibrated]) -> Iterator[str]:
    errors = {
        percentile: max(abs(each.error_ms) for one in found for each in one.latencies if each.percentile == percentile)
        for percentile in sorted({each.percentile for one in found for each in one.latencies})
    }
    if errors:
        told = ", ".join(f"{error:.2f} ms (p{percentile:g})" for percentile, error in errors.items())
        yield f"Latencies within {told} of what the servers recorded."


def _about_the_generator(found: Sequence[Calibrated]) -> Iterator[str]:
    for one in found:
        if one.truth_per_second is None:
            yield (
                f"Of {one.title}, {one.capacity.value:,.0f} requests a second were seen: servers that could serve more "
                "cannot be told apart here."
            )


def document_of(one: Calibrated) -> dict[str, object]:
    """As JSON has it."""
    return {
        "name": one.name,
        "title": one.title,
        "instance_type": one.instance_type,
        "requests_per_second": one.capacity.value,
        "requests_per_second_interval": [one.capacity.low, one.capacity.high],
        "truth_per_second": one.truth_per_second,
        "error": one.error,
        "truth_in_interval": one.inside,
        "latencies": {
            f"p{each.percentile:g}": {
                "recorded_ms": each.recorded_ms,
                "reported_ms": each.reported_ms,
                "error_ms": each.error_ms,
            }
            for each in one.latencies
        },
        "users": one.users,
        "requests": one.requests,
        "load_seconds": one.load_seconds,
        "flags": dict(one.flags),
    }
