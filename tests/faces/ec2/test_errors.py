"""The table from the core's errors to Amazon's."""

import pytest

from pileus.faces.ec2.errors import TABLE, WORDINGS, told
from pileus.faces.wire.errors import WireError
from pileus.model.errors import ERRORS, Conflict, Fault, NotFound, PileusError
from pileus.model.securitygroup import SecurityGroup
from pileus.rules import find


@pytest.mark.parametrize("error", ERRORS)
def test_every_core_error_has_a_code_of_its_own(error: type[PileusError]) -> None:
    assert (error.code, "", "") in TABLE
    found = told(error("Something.", noun="nothing known", reason="nothing known"))
    code, status = TABLE[error.code, "", ""]
    assert found == (code, WORDINGS.get((error.code, "", ""), "Something."), status)


def test_table_has_no_codes_that_the_core_lacks() -> None:
    assert {code for code, _, _ in TABLE} == {error.code for error in ERRORS}


def test_nearest_entry_wins() -> None:
    assert told(Conflict("x", noun="securitygroup", reason="in-use")) == ("DependencyViolation", "x", 400)
    assert told(Conflict("x", noun="instance", reason="protected")) == ("OperationNotPermitted", "x", 400)
    assert told(Conflict("x", noun="instance", reason="other")) == ("IncorrectState", "x", 400)
    assert told(NotFound("x", noun="router", reason="other")) == ("InvalidVpcID.NotFound", "x", 400)
    default = told(NotFound("x", noun="router", reason="default"))
    assert default == ("VPCIdNotSpecified", WORDINGS["NotFound", "router", "default"], 400)


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


def test_labels_become_amazons_ids() -> None:
    uuid, group = "0d1f2a3b-4c5d-6e7f-8a9b-0c1d2e3f4a5b", "1d1f2a3b-4c5d-6e7f-8a9b-0c1d2e3f4a5b"
    found = told(Conflict(f"The router {uuid} has dependencies.", noun="router", ident=uuid, reason="in-use"))
    assert found == ("DependencyViolation", "The vpc 'vpc-0d1f2a3b4c5d6e7f8' has dependencies.", 400)
    found = told(Conflict(f"It is on router {uuid}.", noun="instance", ident=group, reason="state"))
    assert found == ("IncorrectInstanceState", "It is on vpc-0d1f2a3b4c5d6e7f8.", 400)


@pytest.mark.parametrize("count", [1, 2])
def test_a_noun_that_ended_meanwhile_is_refused_as_an_id_of_nothing(count: int) -> None:
    uuids = ["0d1f2a3b-4c5d-6e7f-8a9b-0c1d2e3f4a5b", "1d1f2a3b-4c5d-6e7f-8a9b-0c1d2e3f4a5b"][:count]
    ids = [f"sg-{uuid.replace('-', '')[:17]}" for uuid in uuids]
    raced, unknown = told(find.absent(SecurityGroup, uuids)), told(find.not_found(SecurityGroup, ids))
    assert raced == unknown
    assert raced is not None
    assert raced.code == "InvalidGroup.NotFound"


def test_wordings_are_of_errors_that_have_codes() -> None:
    assert all((code, "", "") in TABLE for code, _, _ in WORDINGS)
