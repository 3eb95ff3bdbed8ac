"""Each bound is stated once, and every value of a request, every noun and every queue has one."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec import inspect as shapes

from pileus import verbs
from pileus.app import kits, settings
from pileus.faces.rest.routes import ROUTES, Adoption
from pileus.model import quota
from pileus.model.bounds import BOUNDS
from pileus.model.nouns import NOUNS
from pileus.verbs.imageupload import ImageUpload
from tests.house.tree import SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULTS = {
    field.encode_name: field.default for kind in settings.kinds(kits.every()) for field in msgspec.structs.fields(kind)
}

ADMINISTRATORS = {"project", "user", "flavor", "host", "issuer"}
"""Nouns that administrators alone make, or that hosts make which an administrator admitted."""

ORDERS = (Adoption,)
"""Bodies that administrators alone send, made of an order that a host has: the body's size bounds them."""

QUEUES = {"Queue", "SimpleQueue", "LifoQueue", "PriorityQueue", "deque", "ThreadPoolExecutor"}

QUEUES_WITHOUT_A_NUMBER = {
    "app/shares.py": "`put` counts what waits under a key; an inbox has the one job of its thread",
    "loops/intake.py": "`put` counts the reports of a host",
    "providers/local/machine/hypervisor.py": "one result of one call; libvirt's events, which its handler drains",
    "providers/local/network/provider.py": "one hint for each object that the engine changes",
    "cli/streams.py": "a command's own stream, which it reads from its own terminal",
}
"""Queues that take whatever comes, by file, and the reason why that is bounded."""


def test_there_are_bounds() -> None:
    assert "tags" in BOUNDS


@pytest.mark.parametrize("name", BOUNDS)
def test_a_bound_is_whole_and_agrees_with_its_setting(name: str) -> None:
    bound = BOUNDS[name]
    assert bound.most > 0
    assert bound.what
    assert bound.answer
    if bound.setting:
        assert DEFAULTS[bound.setting] == bound.most


def boundless(kind: shapes.Type, where: str) -> Iterator[str]:
    """Texts and collections of a type that may be of any length."""
    if isinstance(kind, shapes.StructType):
        for field in kind.fields:
            yield from boundless(field.type, f"{where}.{field.name}")
    elif isinstance(kind, shapes.UnionType):
        for each in kind.types:
            yield from boundless(each, where)
    elif isinstance(kind, shapes.StrType | shapes.BytesType | shapes.CollectionType | shapes.DictType):
        if kind.max_length is None:
            yield where
        if isinstance(kind, shapes.CollectionType):
            yield from boundless(kind.item_type, f"{where}[]")
        if isinstance(kind, shapes.DictType):
            yield from boundless(kind.key_type, f"{where}.keys")
            yield from boundless(kind.value_type, f"{where}.values")


def requests_of_verbs() -> Iterator[type[msgspec.Struct]]:
    """The structs that verbs take: those of a verb's module that a function after caller and core is annotated with."""
    for module_info in pkgutil.walk_packages(verbs.__path__, "pileus.verbs."):
        module = importlib.import_module(module_info.name)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            words = [str(parameter.annotation) for parameter in inspect.signature(function).parameters.values()]
            for word in words[2:] if words[:2] == ["Caller", "Core"] and not name.startswith("_") else ():
                taken: Any = getattr(module, word, None)
                if inspect.isclass(taken) and issubclass(taken, msgspec.Struct) and taken.__module__ == module.__name__:
                    yield taken


def test_every_body_has_bounds() -> None:
    bodies = {route.body for route in ROUTES if route.body} - {*ORDERS}
    assert [where for body in bodies for where in boundless(shapes.type_info(body), body.__name__)] == []


def test_everything_that_a_verb_takes_has_bounds() -> None:
    taken: set[type[msgspec.Struct]] = {*requests_of_verbs(), ImageUpload}
    assert {"Launch", "CaptureRequest", "Change"} <= {each.__name__ for each in taken}
    assert [where for each in taken for where in boundless(shapes.type_info(each), each.__name__)] == []


def test_a_type_without_a_bound_is_found() -> None:
    class Loose(msgspec.Struct):
        name: str = ""
        tags: dict[str, str] = {}

    assert [*boundless(shapes.type_info(Loose), "Loose")] == [
        "Loose.name",
        "Loose.tags",
        "Loose.tags.keys",
        "Loose.tags.values",
    ]


def test_every_noun_is_a_projects_and_limited_or_an_administrators() -> None:
    assert {kind for kind, cls in NOUNS.items() if not cls.QUOTA} == ADMINISTRATORS
    assert {f"{kind}s" for kind, cls in NOUNS.items() if cls.QUOTA} <= quota.DEFAULTS.keys()


def queues_without_a_number(text: str) -> int:
    """How many queues and pools a program makes that may become as long as they like."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    names = [
        (call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", ""), call)
        for call in calls
    ]
    limits = {"maxsize", "maxlen", "max_workers", "max_length"}
    return sum(
        name in QUEUES
        and not (call.args and name != "deque")
        and not (name == "deque" and len(call.args) > 1)
        and not any(keyword.arg in limits for keyword in call.keywords)
        for name, call in names
    )


def test_every_queue_has_a_bound() -> None:
    found = {
        str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if queues_without_a_number(path.read_text())
    }
    assert found == QUEUES_WITHOUT_A_NUMBER.keys()


def test_a_queue_without_a_bound_is_found() -> None:
    assert queues_without_a_number("a = queue.Queue()\nb = deque([1])\nc = SimpleQueue()") == 3
    assert (
        queues_without_a_number("a = Queue(5)\nb = deque([1], 5)\nc = deque(maxlen=2)\nd = ThreadPoolExecutor(4)") == 0
    )
