"""Who may look into a data directory."""

import os
import stat

import pytest

from modeldyno.app.compose import open_store_of
from modeldyno.app.places import Places
from modeldyno.instances.launch import why_no_mounts
from modeldyno.settings import Settings


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_a_new_data_directory_is_its_users_alone(umask, tmp_path):
    places = Places(tmp_path / "above" / "data")
    places.make()
    passed_by_servers = os.geteuid() == 0 and why_no_mounts() is not None
    assert mode(places.root) == (0o711 if passed_by_servers else 0o700)
    assert {mode(place) for place in (places.objects, places.logs, places.results, places.backups)} == {0o700}
    assert {mode(place) for place in (places.instances, places.work)} == {0o711}


def test_a_directory_that_is_there_keeps_its_rights(tmp_path):
    (tmp_path / "s3").mkdir()
    tmp_path.chmod(0o755)
    (tmp_path / "s3").chmod(0o775)
    Places(tmp_path).make()
    assert [mode(tmp_path), mode(tmp_path / "s3")] == [0o755, 0o775]


def test_the_database_is_its_users_alone_whatever_the_directory_is(umask, tmp_path):
    tmp_path.chmod(0o755)
    places = Places(tmp_path)
    places.make()
    for _ in range(2):
        store = open_store_of(Settings(), places, migrate=True)
        files = sorted(tmp_path.glob("dyno.sqlite*"))
        assert files[0].name == "dyno.sqlite"
        assert {mode(file) for file in files} == {0o600}
        store.close()
        places.root.joinpath("dyno.sqlite").chmod(0o644)
