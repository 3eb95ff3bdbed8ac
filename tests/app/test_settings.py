"""Settings come from the environment; what cannot be used is said with its variable's name."""

from __future__ import annotations

import pytest

from pileus.app import settings
from pileus.app.settings import Settings
from pileus.cli.problem import Problem


def test_without_any_they_are_the_defaults_and_other_variables_are_none() -> None:
    assert settings.read({"PILEUS_STATE": "/x", "THREADS": "3"}) == Settings()


def test_each_kind_is_read_from_its_text() -> None:
    environment = {
        "PILEUS_REGION": "12",
        "PILEUS_STORE_SYNC": "full",
        "PILEUS_THREADS": "3",
        "PILEUS_FLOATING_CIDR": "192.0.2.0/24",
    }
    assert settings.read(environment) == Settings(
        region="12",
        store_sync="full",
        threads=3,
        floating_cidr="192.0.2.0/24",
    )


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("PILEUS_THREADS", "0", "`int` >= 1"),
        ("PILEUS_THREADS", "many", "`int`"),
        ("PILEUS_LOG_LEVEL", "loud", "'loud'"),
        ("PILEUS_FLOATING_CIDR", "10.0.0.0/8", "a prefix of 16 to 28 bits"),
        ("PILEUS_FLOATING_CIDR", "ten", "'ten'"),
        ("PILEUS_INTERNAL", "10.0.0.1:65536", "an address of this machine and a port"),
        ("PILEUS_CHANNELS", "here:1", "an address of this machine and a port"),
        ("PILEUS_HOST_METRICS", "300.0.0.1:1", "an address of this machine and a port"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(variable: str, value: str, why: str) -> None:
    with pytest.raises(Problem) as caught:
        settings.read({variable: value, "PILEUS_ZONE": "a"})
    assert caught.value.message.startswith(f"{variable}={value} cannot be used: ")
    assert why in caught.value.message
    assert "\n" not in caught.value.message
