"""What every operation gets beside its request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from modeldyno.domain.catalog import Catalogue
from modeldyno.domain.endpoint import Server
from modeldyno.domain.experiment import Margins
from modeldyno.ports import Clock, Entropy, Store


@dataclass(frozen=True, slots=True)
class Context:
    """The world of one call. `region` is of the request's credential scope.

    `runtimes` are the image names that dyno.toml maps to commands; `documented_limits` enforces the limits that only
    AWS's documentation states; `accept_unenforced`: what asks for protection that there is not passes. `margins`: of
    experiments whose tags set none. `caller`: the id of the key that the request names. `server_output`: what a hosted
    server wrote, each line with the time when its log last grew.
    """

    region: str
    account: str
    store: Store
    clock: Clock
    entropy: Entropy
    catalogue: Catalogue
    runtimes: Collection[str] = field(default_factory=tuple)
    documented_limits: bool = False
    accept_unenforced: bool = False
    margins: Margins = field(default_factory=Margins)
    caller: str = "dyno"
    server_output: Callable[[Server], Sequence[tuple[float, str]]] = lambda server: ()

    def now(self) -> float:
        """Seconds since the Unix epoch, in whole milliseconds as answers show it: a time that was read back from an
        answer then filters exactly."""
        return round(self.clock.now(), 3)
