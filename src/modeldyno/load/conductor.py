"""What the owner orders is done: closed or open loop, one at a time; and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns

from modeldyno.domain.measurement import Window
from modeldyno.load.connection import Scene
from modeldyno.load.crowd import Crowd
from modeldyno.load.messages import SetRate, SetUsers, Start
from modeldyno.load.recorder import Level
from modeldyno.load.shutter import Shutter
from modeldyno.load.stream import Stream


class Conductor:
    """A window ends where the load changes, so it is constant within each. Where nothing changes, nothing is cut.

    Idle time before a load, with nothing in flight, is in no window.
    """

    def __init__(self, scene: Scene, start: Start, emit: Callable[[Window], None]) -> None:
        self._scene = scene
        self._crowd = Crowd(scene)
        self._stream = Stream(scene, start.seed, start.max_connections)
        lengths = start.window_seconds, start.settle_seconds
        self._shutter = Shutter(scene.loop, scene.recorder, lengths, lambda: self._in_flight, emit)
        self._timeout_ns = round(scene.timeout_seconds * 1e9)
        scene.loop.call_later(scene.timeout_seconds, self._expire)

    def obey(self, order: SetUsers | SetRate) -> None:
        """Change the load at once."""
        match order:
            case SetUsers(users):
                level = Level(users)
            case SetRate(per_second, arrivals):
                level = Level(0, per_second or None, arrivals)
        if level == self._shutter.level and not (order.redraw and level != Level(0)):
            return
        idle = self._shutter.level == Level(0) and self._crowd.gone and not self._stream.carriers
        self._shutter.change(level, unseen=idle and self._scene.recorder.empty)
        self._crowd.want(level.users, order.redraw)
        if level.per_second is not None:
            self._stream.want(level.per_second, level.arrivals, order.redraw)
        else:
            self._stream.end(give_up=level.users > 0)

    @property
    def _in_flight(self) -> int:
        return self._crowd.in_flight + self._stream.in_flight

    def _expire(self) -> None:
        """Give up what has waited too long, and look again when the oldest of the rest will have."""
        now_ns = perf_counter_ns()
        limit_ns = now_ns - self._timeout_ns
        oldest_ns = self._stream.expire(limit_ns) or now_ns
        for connection in (*self._crowd, *self._stream.carriers):
            if not connection.intended_ns:
                continue
            if connection.intended_ns <= limit_ns:
                connection.expire()
            else:
                oldest_ns = min(oldest_ns, connection.intended_ns)
        wait_ns = oldest_ns + self._timeout_ns - now_ns
        self._scene.loop.call_later(wait_ns / 1e9 + 0.001, self._expire)
