"""Queries: access keys."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from modeldyno.domain.errors import ResourceInUse, ResourceNotFound
from modeldyno.domain.key import AccessKey
from modeldyno.store.queries import Queries
from modeldyno.store.tables import access_keys

_ALL = select(access_keys).order_by(access_keys.c.created_at, access_keys.c.id)


class KeyQueries(Queries):
    """Access keys."""

    def add_key(self, key: AccessKey) -> None:
        """Add one; `ResourceInUse` when its id is there."""
        values = {
            "id": key.id,
            "secret": key.secret,
            "created_at": key.created_at,
            "note": key.note,
            "revoked_at": key.revoked_at,
        }

        def work(connection: Connection) -> bool:
            try:
                connection.execute(insert(access_keys).values(**values))
            except IntegrityError as error:
                raise ResourceInUse(f"The key {key.id} already exists.") from error
            return True

        def landed(connection: Connection) -> bool | None:
            row = connection.execute(select(access_keys).where(access_keys.c.id == key.id)).first()
            return True if row is not None and row.secret == key.secret else None

        self._database.write(work, landed)

    def access_keys(self) -> tuple[AccessKey, ...]:
        """Every key, revoked ones too, oldest first."""
        return tuple(map(_key, self._database.read(lambda connection: connection.execute(_ALL).all())))

    def revoke_key(self, key_id: str, now: float) -> AccessKey:
        """It is not valid any more from now on; one that was revoked before stays as it is. `ResourceNotFound`."""

        def work(connection: Connection) -> AccessKey:
            valid = access_keys.c.revoked_at.is_(None)
            connection.execute(update(access_keys).where(access_keys.c.id == key_id, valid).values(revoked_at=now))
            row = connection.execute(select(access_keys).where(access_keys.c.id == key_id)).first()
            if row is None:
                raise ResourceNotFound(f"There is no key {key_id}.")
            return _key(row)

        return self._database.write(work)


def _key(row: Row[Any]) -> AccessKey:
    return AccessKey(row.id, row.secret, row.created_at, row.note, row.revoked_at)
