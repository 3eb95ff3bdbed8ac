"""The right that each verb requires: every cell of docs/reference/rights.md is tried, and no verb is missing there."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from pileus import verbs
from pileus.model.caller import Caller
from pileus.model.errors import Forbidden, NotFound
from pileus.model.role import RIGHTS, Right, Role
from pileus.rules.rights import REQUIRES, requires
from pileus.verbs import keypair

if TYPE_CHECKING:
    from tests.site import Site

TABLE = Path(__file__).parents[2] / "docs" / "reference" / "rights.md"
ROW = re.compile(r"\| `([\w.]+)` \| (\w+) \| (\w+) \| (\w+) \| (\w+) \| (\w+) \|")

OWN = {
    "certificate.archive",
    "certificate.create",
    "certificate.revoke",
    "credential.create",
    "credential.modify",
    "credential.revoke",
    "credential.rotate",
    "token.revoke",
    "token.revoke_all",
    "user.set_password",
}
"""Verbs that write for every role: a user's own secrets. For another user's they ask for more themselves."""


def callers_verbs() -> dict[str, Callable[..., Any]]:
    """Every public function of the verbs that takes a caller, by its module and name."""
    functions: dict[str, Callable[..., Any]] = {}
    for found in pkgutil.walk_packages(verbs.__path__, f"{verbs.__name__}."):
        module = importlib.import_module(found.name)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            is_own = function.__module__ == found.name and not name.startswith("_")
            if is_own and next(iter(inspect.signature(function).parameters), "") == "caller":
                functions[f"{found.name.removeprefix(f'{verbs.__name__}.')}.{name}"] = function
    return functions


VERBS = callers_verbs()
CELLS = {
    (row[1], right): allowed == "yes"
    for row in map(ROW.fullmatch, TABLE.read_text().splitlines())
    if row is not None
    for right, allowed in zip(RIGHTS, row.groups()[1:], strict=True)
}


def caller_with(right: Right) -> Caller:
    """Return a caller with this right and no greater one."""
    admin = right == "administrator"
    role = None if right == "none" else "reader" if admin else cast("Role", right)
    return Caller(user="u", user_name="u", project="p", role=role, admin=admin)


def test_no_verb_is_missing_in_the_table() -> None:
    assert {name for name, _ in CELLS} == VERBS.keys()
    assert len(VERBS) > 150


@pytest.mark.parametrize("right", RIGHTS)
@pytest.mark.parametrize("name", sorted(VERBS))
def test_a_verb_is_refused_to_callers_without_its_right_and_to_no_others(name: str, right: Right) -> None:
    """A call without its other arguments is a TypeError where the verb itself is reached."""
    with pytest.raises(TypeError if CELLS[name, right] else Forbidden):
        VERBS[name](caller_with(right))


def writing(module: ast.Module) -> Iterator[str]:
    """Yield the functions of a module that open a writing transaction, themselves or by another one of them."""
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    writers = {name for name, node in functions.items() if ".store.write(" in ast.unparse(node)}
    while more := {
        name
        for name, node in functions.items()
        if name not in writers and any(isinstance(each, ast.Name) and each.id in writers for each in ast.walk(node))
    }:
        writers |= more
    yield from writers


def test_what_changes_something_is_for_no_reader() -> None:
    writers = {
        name
        for name, verb in VERBS.items()
        if verb.__name__ in writing(ast.parse(inspect.getsource(inspect.getmodule(verb))))  # type: ignore[arg-type]  # verbs have modules
    }
    assert len(writers) > 100
    assert {name for name in writers if CELLS[name, "reader"]} == OWN


def test_a_verb_keeps_its_own_name_signature_and_right() -> None:
    assert inspect.signature(keypair.create).parameters.keys() >= {"caller", "core", "name"}
    assert getattr(keypair.create, REQUIRES) == "member"

    @requires("administrator", "does this")
    def deed(caller: Caller) -> str:
        return caller.user

    with pytest.raises(Forbidden, match="Only an administrator does this"):
        deed(caller_with("admin"))
    assert deed(caller_with("administrator")) == "u"


def test_a_refusal_says_what_is_missing_and_tells_nothing_of_the_noun(site: Site) -> None:
    reader = msgspec.structs.replace(site.caller("blue"), role="reader")
    for name in ("there-is-none", "another"):
        with pytest.raises(Forbidden, match="takes the role 'member' in the project, and yours is 'reader'"):
            keypair.delete(reader, site.core, name)
    with pytest.raises(NotFound):
        keypair.delete(site.caller("blue"), site.core, "there-is-none")
