"""The users together: how many there are, the windows they are seen in, and who waits too long."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns

from modeldyno.domain.measurement import Window
from modeldyno.load.user import Scene, User


class Crowd:
    """Closed-loop users. Their number changes at the boundary of two windows only, so it is constant within each."""

    def __init__(self, scene: Scene, window_seconds: float, emit: Callable[[Window], None]) -> None:
        self._scene = scene
        self._emit = emit
        self._users: list[User] = []
        self._leaving: list[User] = []
        self._wanted = 0
        self._redraw = False
        self._sequence = 0
        self._window_ns = round(window_seconds * 1e9)
        self._timeout_ns = round(scene.timeout_seconds * 1e9)
        self._due_ns = scene.recorder.opened_ns + self._window_ns
        self._timer = scene.loop.call_later(window_seconds, self._boundary)
        scene.loop.call_later(scene.timeout_seconds, self._expire)

    def want(self, users: int, redraw: bool) -> None:
        """Have so many users from the next window on; `redraw`: all on new connections.

        Where there are none and nothing is in flight, the next window begins now, and the idle time before is in none.
        """
        self._wanted = users
        self._redraw = self._redraw or redraw
        idle = not self._users and all(user.finished for user in self._leaving)
        if users and idle and self._scene.recorder.empty:
            self._timer.cancel()
            self._scene.recorder.cut(self._sequence, users=0)
            self._due_ns = perf_counter_ns()
            self._begin()

    def _boundary(self) -> None:
        window = self._scene.recorder.cut(self._sequence, len(self._users))
        self._sequence += 1
        self._begin()
        self._emit(window)

    def _begin(self) -> None:
        self._change()
        now_ns = perf_counter_ns()
        self._due_ns += self._window_ns
        if self._due_ns <= now_ns:  # the loop was held up: that window was long, the next is not
            self._due_ns = now_ns + self._window_ns
        self._timer = self._scene.loop.call_later((self._due_ns - now_ns) / 1e9, self._boundary)

    def _change(self) -> None:
        for user in self._users[self._wanted :]:
            user.leave()
        self._leaving = [user for user in self._leaving if not user.finished] + self._users[self._wanted :]
        del self._users[self._wanted :]
        if self._redraw:
            self._redraw = False
            for user in self._users:
                user.redraw()
        while len(self._users) < self._wanted:
            self._users.append(User(self._scene))

    def _expire(self) -> None:
        """Give up what has waited too long, and look again when the oldest of the rest will have."""
        now_ns = oldest_ns = perf_counter_ns()
        for user in (*self._users, *self._leaving):
            if not user.sent_ns:
                continue
            if user.sent_ns + self._timeout_ns <= now_ns:
                user.expire()
            else:
                oldest_ns = min(oldest_ns, user.sent_ns)
        wait_ns = oldest_ns + self._timeout_ns - now_ns
        self._scene.loop.call_later(wait_ns / 1e9 + 0.001, self._expire)
