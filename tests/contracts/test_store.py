"""The store passes the port's contract suite, on SQLite and on PostgreSQL."""

import contextlib

import pytest

from modeldyno.store import open_store
from modeldyno.testing.contracts.store import StoreContract
from modeldyno.testing.postgres import postgres_server


@pytest.fixture
def opened():
    with contextlib.ExitStack() as stack:

        def open_one(url, *, migrate):
            store = open_store(url, migrate=migrate, now=0.0)
            stack.callback(store.close)
            return store

        yield open_one


@pytest.fixture(scope="module")
def migrated_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("new") / "dyno.sqlite"
    open_store(f"sqlite:///{file}", migrate=True, now=0.0).close()
    return file


@pytest.fixture(scope="module")
def server():
    with postgres_server() as server:
        name = server.new_database()
        open_store(server.url(name), migrate=True, now=0.0).close()
        yield server, name


class TestSqlite(StoreContract):
    @pytest.fixture
    def open_again(self, opened, migrated_file, tmp_path):
        file = tmp_path / "dyno.sqlite"
        file.write_bytes(migrated_file.read_bytes())
        return lambda: opened(f"sqlite:///{file}", migrate=False)


@pytest.mark.postgres
class TestPostgres(StoreContract):
    @pytest.fixture
    def open_again(self, opened, server):
        postgres, template = server
        url = postgres.url(postgres.new_database(template))
        return lambda: opened(url, migrate=False)
