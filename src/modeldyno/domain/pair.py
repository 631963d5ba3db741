"""A request and what production and the shadow answered; and how each request that could be mirrored ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from modeldyno.domain.endpoint import CaptureSpec


class Outcome(StrEnum):
    """How a request that could have been mirrored ended: exactly one of these."""

    COMPARED = "compared"  # both answered, and both answers are kept
    SHADOW_ERROR = "shadow_error"  # the shadow answered an error, or broke the connection
    TIMEOUT = "timeout"  # the shadow did not answer in time
    DROPPED = "dropped"  # there was no room for it in the queue or in the spool
    UNSAMPLED = "unsampled"  # it was not among the percentage
    OVERSIZE = "oversize"  # its body is larger than what is mirrored
    PRODUCTION_FAILED = "production_failed"  # production gave no good answer (the shadow may have)
    CANCELLED = "cancelled"  # the experiment changed, or the front ended, before the shadow was asked


@dataclass(frozen=True, slots=True)
class Side:
    """One variant's answer. `status` 0: none, `error` says why. `latency_ns`: from sending to the last byte.
    `first_ns`: to the first one."""

    variant: str
    status: int
    content_type: str
    body: bytes
    latency_ns: int
    error: str | None = None
    first_ns: int = 0

    @property
    def good(self) -> bool:
        """Whether it is an answer, not an error."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Pair:
    """What a front writes down of one request.

    key: the experiment's id, else the endpoint's. `at`: when it came, seconds since the epoch. `event_id`: shared by
    all that is kept of it. `shadow` None: it was not mirrored. `wait_ns`: from production's answer until the shadow was
    asked. `outcome` None: nothing is compared, it is only captured. `capture`: what of it is to be captured, and where.
    `again`: production's answer when it was asked a second time (A/A), which tells its own noise.
    """

    key: str
    region: str
    endpoint: str
    event_id: str
    at: float
    content_type: str
    body: bytes
    production: Side
    shadow: Side | None = None
    wait_ns: int = 0
    outcome: Outcome | None = None
    capture: CaptureSpec | None = None
    inference_id: str | None = None
    attributes: str | None = None
    streamed: bool = False
    again: Side | None = None

    @property
    def size(self) -> int:
        """Bytes of its bodies."""
        others = sum(len(side.body) for side in (self.shadow, self.again) if side is not None)
        return len(self.body) + len(self.production.body) + others
