"""One load on one server: the policy says what to send, and every window comes with what the server used meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from modeldyno.domain.errors import ModelFault, ServiceError
from modeldyno.domain.measurement import Window
from modeldyno.domain.stopping import Hold, Policy, Rate, Stop, Users
from modeldyno.ports import Instance, LoadSession, Usage

_OF_LATE = 5  # windows: about as many as decide that a configuration cannot win


@dataclass(slots=True)
class Driven:
    """What a load left: its windows, and by window how much of the model's cores others used (0..1). `cut_short`: why
    it ended without its answer."""

    windows: list[Window] = field(default_factory=list)
    foreign: dict[int, float] = field(default_factory=dict)
    cut_short: str | None = None

    def foreign_share(self) -> float:
        """The mean share of others, over the whole load or of late, whichever is more."""
        shares = list(self.foreign.values())
        return max((sum(part) / len(part) for part in (shares, shares[-_OF_LATE:]) if part), default=0.0)

    def foreign_share_in(self, windows: Sequence[Window]) -> float | None:
        """The mean share of others in those of its windows; None of none."""
        shares = [self.foreign[window.sequence] for window in windows]
        return sum(shares) / len(shares) if shares else None


Each = Callable[[Window, Driven], Awaitable[str | None]]


async def drive(
    instance: Instance,
    session: LoadSession,
    policy: Policy,
    each: Each,
    *,
    fills_host: bool = False,
    driven: Driven | None = None,
) -> Driven:
    """Load it until the policy has its answer. `each` is told every window, and says why the load has to end before
    that (None: it goes on). `fills_host`: the generator has to share the model's cores, and is not foreign there.
    `driven`: where to gather, for who wants it after a fault too.

    Raises:
        ModelFault: the server ended.
        ServiceError: the generator did.
    """
    driven = driven or Driven()
    before = instance.usage()
    await _obey(session, policy.beginning)
    async for plain in session.windows():
        usage = instance.usage()
        window = _with_usage(plain, before, usage)
        ours = window.generator_cpu_seconds if fills_host else 0.0
        driven.windows.append(window)
        driven.foreign[window.sequence] = foreign_share(before, usage, window.duration_seconds, ours)
        before = usage
        if (death := instance.death()) is not None:
            raise ModelFault(f"The model server {death} under load ({_load_words(window)}).", instance.log_tail())
        driven.cut_short = await each(window, driven)
        if driven.cut_short is not None:
            return driven
        match policy.observe(window):
            case Stop():
                return driven
            case Users() | Rate() as load:
                await _obey(session, load)
            case Hold():
                pass
    raise ServiceError("the load generator ended before the load was over")


async def _obey(session: LoadSession, load: Users | Rate) -> None:
    match load:
        case Users(users, redraw):
            await session.set_users(users, redraw=redraw)
        case Rate(per_second, redraw):
            await session.set_rate(per_second, redraw=redraw)


def _load_words(window: Window) -> str:
    if window.rate_per_second is not None:
        return f"{window.rate_per_second * 60:.0f} arrivals a minute"
    return "1 user" if window.users == 1 else f"{window.users} users"


def _with_usage(window: Window, before: Usage, after: Usage) -> Window:
    cpu = None
    if before.cpu_seconds is not None and after.cpu_seconds is not None:
        cpu = max(0.0, after.cpu_seconds - before.cpu_seconds)
    return replace(window, cpu_seconds=cpu, memory_bytes=after.memory_bytes)


def foreign_share(before: Usage, after: Usage, seconds: float, ours_seconds: float = 0.0) -> float:
    """Use of the instance's cores by others, 0..1; 0 where the host cannot tell. `ours_seconds` are known as ours."""
    cores = [core for core in after.core_seconds if core in before.core_seconds]
    if not cores or seconds <= 0:
        return 0.0
    foreign = 0.0
    for core in cores:
        everyone = after.core_seconds[core][0] - before.core_seconds[core][0]
        own = after.core_seconds[core][1] - before.core_seconds[core][1]
        foreign += max(0.0, everyone - own)
    return min(1.0, max(0.0, foreign - ours_seconds) / (seconds * len(cores)))
