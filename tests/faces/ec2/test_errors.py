"""The table from the core's errors to Amazon's."""

import pytest

from pileus.faces.ec2.errors import TABLE, told
from pileus.faces.wire.errors import WireError
from pileus.model.errors import ERRORS, Conflict, Fault, NotFound, PileusError


@pytest.mark.parametrize("error", ERRORS)
def test_every_core_error_has_a_code_of_its_own(error: type[PileusError]) -> None:
    assert (error.code, "", "") in TABLE
    found = told(error("Something.", noun="nothing known", reason="nothing known"))
    assert found == (*TABLE[error.code, "", ""][:1], "Something.", TABLE[error.code, "", ""][1])


def test_table_has_no_codes_that_the_core_lacks() -> None:
    assert {code for code, _, _ in TABLE} == {error.code for error in ERRORS}


def test_nearest_entry_wins() -> None:
    assert told(Conflict("x", noun="securitygroup", reason="in-use")) == ("DependencyViolation", "x", 400)
    assert told(Conflict("x", noun="instance", reason="protected")) == ("OperationNotPermitted", "x", 400)
    assert told(Conflict("x", noun="instance", reason="other")) == ("IncorrectState", "x", 400)
    assert told(NotFound("x", noun="router", reason="default")) == ("VPCIdNotSpecified", "x", 400)


def test_nouns_are_called_as_amazon_calls_them() -> None:
    found = told(NotFound("The router ID 'vpc-1' does not exist", noun="router", ident="vpc-1"))
    assert found == ("InvalidVpcID.NotFound", "The vpc ID 'vpc-1' does not exist", 400)


def test_errors_of_the_wire_and_of_hosts_pass() -> None:
    assert told(WireError("InvalidAction", "No.", 400)) == ("InvalidAction", "No.", 400)
    found = told(Fault("NoSpace", "The disk is full."))
    assert found is not None
    assert (found.code, found.status) == ("Unavailable", 503)


def test_anything_else_is_not_told() -> None:
    class Strange(PileusError):
        code = "Strange"

    assert told(Strange("x")) is None
    assert told(KeyError("x")) is None
