"""What the generator's process and its owner say to each other: one JSON object a line, each way."""

from __future__ import annotations

import msgspec

from modeldyno.domain.measurement import Window
from modeldyno.domain.traffic import Arrivals


class Start(msgspec.Struct, tag="start"):
    """First line to the generator: what to drive, and how. `places` are host names or IPs with ports, at least one,
    `path` begins with ``/``.

    payload_dir: None: requests have no body. raw_path: where per-request records go, `raw_limit` of them at most.
    """

    places: tuple[tuple[str, int], ...]
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    payload_dir: str | None
    seed: int
    timeout_seconds: float
    window_seconds: float
    settle_seconds: float
    cores: tuple[int, ...]
    max_connections: int
    raw_path: str | None
    raw_limit: int


class SetUsers(msgspec.Struct, tag="users"):
    """Any later line to the generator: so many users at once; `redraw`: on new connections."""

    users: int
    redraw: bool = False


class SetRate(msgspec.Struct, tag="rate"):
    """The same for open-loop arrivals."""

    per_second: float
    arrivals: Arrivals
    redraw: bool = False


Order = SetUsers | SetRate


class Ready(msgspec.Struct, tag="ready"):
    """The generator's first line: payloads are read, windows follow."""


class Refused(msgspec.Struct, tag="refused"):
    """The generator's first and last line: why it cannot start. `payloads`: the payloads are at fault."""

    reason: str
    payloads: bool


class Cut(msgspec.Struct, tag="window"):
    """Any later line from the generator: a window that ended."""

    window: Window


Report = Ready | Refused | Cut
