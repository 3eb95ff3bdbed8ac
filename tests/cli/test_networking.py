"""The commands of networks say what the REST face's paths take, no more and no less."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from pileus.cli import nouncommands
from pileus.cli.networking import NOUNS
from pileus.cli.nouncommands import TAGS, NounCommand, app_of
from pileus.cli.tables import COLUMNS
from pileus.faces.rest.documents import PLURALS
from pileus.faces.rest.networking import ROUTES

LEFT_OUT = {
    "networkacls/{id}/entries": {"icmp_type", "icmp_code"},
    "ports": {"secondaries", "more"},
    "ports/{id}": {"map_public", "delete_on_termination"},
    "prefixlists/{id}": {"name"},
    "dhcpoptionsets": {"netbios", "node_type"},
    "securitygroups/{id}/rules": {"number"},
}
"""Fields that have no option."""

COMMANDS = [(noun.kind, command) for noun in NOUNS for command in noun.commands]


def program(kind: str) -> typer.Typer:
    """A program with the commands of one noun."""
    (noun,) = (noun for noun in NOUNS if noun.kind == kind)
    whole = typer.Typer()
    whole.add_typer(app_of(noun), name=kind)
    return whole


def path_of(kind: str, command: NounCommand) -> str:
    if command.name == "create":
        return f"{kind}s"
    return f"{kind}s/{{id}}/{command.path or command.name}".removesuffix("/-")


@pytest.mark.parametrize(("kind", "command"), COMMANDS, ids=lambda each: getattr(each, "name", each))
def test_a_command_has_the_fields_of_its_path(kind: str, command: NounCommand) -> None:
    path = path_of(kind, command)
    (route,) = (route for route in ROUTES if (route.method, route.path) == ("POST", path))
    fields = {field.name: field for field in msgspec.structs.fields(route.body)} if route.body else {}
    assert {field.name for field in command.fields} == fields.keys() - LEFT_OUT.get(path, set())
    required = {name for name, field in fields.items() if field.required}
    arguments = {field.name for field in command.fields if field.required}
    assert required <= arguments | {"rules", "subnets"}


def test_every_path_has_a_command() -> None:
    paths = {path_of(kind, command) for kind, command in COMMANDS}
    assert paths == {route.path for route in ROUTES if route.method == "POST"}
    kinds = {noun.kind for noun in NOUNS}
    assert kinds <= PLURALS.keys() | COLUMNS.keys()
    assert {route.path.partition("s/")[0] for route in ROUTES if route.method == "DELETE"} == kinds


@pytest.mark.parametrize(
    ("words", "path", "body"),
    [
        (["network", "create", "--name", "lab"], ("networks",), {"name": "lab"}),
        (["network", "join", "lab", "vpc-1"], ("networks", "lab", "join"), {"router": "vpc-1"}),
        (["network", "part", "lab"], ("networks", "lab", "part"), {}),
        (["subnet", "modify", "s", "--no-map-public"], ("subnets", "s"), {"map_public": False}),
        (["router", "create", "10.1.0.0/16", "--ipv6"], ("routers",), {"cidr": "10.1.0.0/16", "ipv6": True}),
        (["router", "add-ipv6", "vpc-1"], ("routers", "vpc-1", "ipv6"), {}),
        (["subnet", "add-ipv6", "s"], ("subnets", "s", "ipv6"), {}),
        (["subnet", "remove-ipv6", "s"], ("subnets", "s", "ipv6", "remove"), {}),
        (
            ["subnet", "create", "10.1.0.0/24", "--router", "vpc-1", "--ipv6", "auto", "--ipv6-mode", "slaac"],
            ("subnets",),
            {"cidr": "10.1.0.0/24", "router": "vpc-1", "ipv6": "auto", "ipv6_mode": "slaac"},
        ),
        (
            ["routerattachment", "create", "tgw-1", "vpc-1", "--subnet", "a", "--subnet", "b"],
            ("routerattachments",),
            {"transitgateway": "tgw-1", "router": "vpc-1", "subnets": ["a", "b"]},
        ),
        (
            ["prefixlist", "create", "offices", "3", "--entry", "192.0.2.0/24", "--tag", "a=b"],
            ("prefixlists",),
            {"name": "offices", "max_entries": 3, "entries": [{"cidr": "192.0.2.0/24"}], "tags": {"a": "b"}},
        ),
        (
            ["securitygroup", "add-rule", "web", "--priority", "10", "--tag", "db", "--target", "web"],
            ("securitygroups", "web", "rules"),
            {"priority": 10, "tag": "db", "targets": ["web"]},
        ),
    ],
)
def test_a_command_sends_what_was_said(
    monkeypatch: pytest.MonkeyPatch, words: list[str], path: tuple[str, ...], body: dict[str, Any]
) -> None:
    sent: list[tuple[tuple[str, ...], object]] = []

    class Client:
        def post(self, *words: str, body: object = None) -> dict[str, Any]:
            sent.append((words, body))
            return {"id": "x-1", "name": "named"}

    monkeypatch.setattr(nouncommands, "connect", lambda _: Client())
    done = CliRunner().invoke(program(words[0]), words)
    assert (done.output, done.exit_code) == ("x-1  named\n", 0)
    assert sent == [(path, body)]


def test_a_tag_without_a_value_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nouncommands, "connect", lambda _: None)
    assert any(TAGS in command.fields for _, command in COMMANDS)
    done = CliRunner().invoke(program("router"), ["router", "create", "10.0.0.0/16", "--tag", "a"])
    assert str(done.exception) == "A tag is written KEY=VALUE."
