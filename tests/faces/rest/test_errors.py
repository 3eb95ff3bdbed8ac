"""Every refusal of the core has a status here, and looks the same."""

from __future__ import annotations

import json

import pytest

from pileus.faces.wire import refusals
from pileus.model.errors import ERRORS, PileusError


def test_the_table_has_every_code_of_the_core_and_no_other() -> None:
    assert sorted(refusals.STATUS) == sorted(error.code for error in ERRORS)
    assert not refusals.OWN.keys() & refusals.STATUS.keys()


@pytest.mark.parametrize("cls", ERRORS, ids=lambda cls: cls.code)
def test_an_error_says_its_code_what_it_is_about_and_the_request(cls: type[PileusError]) -> None:
    answer = refusals.PLAIN.of(cls("Because.", noun="instance", ident="i-1", reason="state"), "request-1")
    assert 400 <= answer.status < 600
    assert answer.headers["x-request-id"] == "request-1"
    assert json.loads(answer.body)["error"] == {
        "code": cls.code,
        "message": "Because.",
        "request_id": "request-1",
        "noun": "instance",
        "id": "i-1",
        "reason": "state",
    }
