"""The users together: how many there are, and who waits too long."""

from __future__ import annotations

from time import perf_counter_ns

from modeldyno.load.shutter import Shutter
from modeldyno.load.user import Scene, User


class Crowd:
    """Closed-loop users. A window ends where their number changes, so it is constant within each."""

    def __init__(self, scene: Scene, shutter: Shutter) -> None:
        self._scene = scene
        self._shutter = shutter
        self._users: list[User] = []
        self._leaving: list[User] = []
        self._timeout_ns = round(scene.timeout_seconds * 1e9)
        scene.loop.call_later(scene.timeout_seconds, self._expire)

    def want(self, users: int, redraw: bool) -> None:
        """Have so many users from now on; `redraw`: all on new connections. Where nothing changes, nothing is cut.

        Where there were none and nothing was in flight, the idle time before is in no window.
        """
        if users == len(self._users) and not (redraw and users):
            return
        idle = not self._users and all(user.finished for user in self._leaving)
        self._shutter.change(users, unseen=idle and self._scene.recorder.empty)
        for user in self._users[users:]:
            user.leave()
        self._leaving = [user for user in self._leaving if not user.finished] + self._users[users:]
        del self._users[users:]
        if redraw:
            for user in self._users:
                user.redraw()
        while len(self._users) < users:
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
