"""How much of the model's cores others used."""

import pytest

from modeldyno.engine.driving import foreign_share
from modeldyno.ports import Usage


def usage(**cores: tuple[float, float]) -> Usage:
    return Usage(0.0, 0, core_seconds={int(name[1:]): values for name, values in cores.items()})


def test_what_others_used_of_the_cores_is_their_share() -> None:
    before, after = usage(_1=(10.0, 5.0)), usage(_1=(10.9, 5.5))
    assert foreign_share(before, after, 1.0) == pytest.approx(0.4)


def test_the_generator_on_the_models_cores_is_not_foreign() -> None:
    before, after = usage(_0=(0.0, 0.0), _1=(0.0, 0.0)), usage(_0=(1.0, 0.7), _1=(1.0, 0.9))
    assert foreign_share(before, after, 1.0, ours_seconds=0.3) == pytest.approx(0.05)


def test_where_the_host_cannot_tell_there_is_none() -> None:
    assert foreign_share(usage(), usage(), 1.0) == 0.0
