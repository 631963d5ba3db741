"""Closed-loop users together."""

from __future__ import annotations

from collections.abc import Iterator

from modeldyno.load.connection import Scene
from modeldyno.load.user import User


class Crowd:
    """So many users, and those who leave but wait for an answer still."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._users: list[User] = []
        self._leaving: list[User] = []

    def __iter__(self) -> Iterator[User]:
        return iter((*self._users, *self._leaving))

    @property
    def in_flight(self) -> int:
        """Requests without an answer yet."""
        return sum(1 for user in self if user.intended_ns)

    @property
    def gone(self) -> bool:
        """Whether there is nobody, and nothing in flight."""
        return not self._users and all(user.finished for user in self._leaving)

    def want(self, users: int, redraw: bool) -> None:
        """Have so many users from now on; `redraw`: all on new connections."""
        for user in self._users[users:]:
            user.leave()
        self._leaving = [user for user in self._leaving if not user.finished] + self._users[users:]
        del self._users[users:]
        if redraw:
            for user in self._users:
                user.redraw()
        while len(self._users) < users:
            self._users.append(User(self._scene))
