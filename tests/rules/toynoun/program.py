"""Everything that a noun can do, done with the toy noun in the package that it was added to."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from pileus import model
from pileus.faces.rest import documents, explain, openapi
from pileus.model import quota
from pileus.model.errors import Duplicate, QuotaExceeded
from pileus.rules import recount
from pileus.verbs import tag
from tests.loops.test_recover import Process, empty, replaced
from tests.site import Site

ROOT = Path(__file__).parents[3]


def lived(nouns: Any, verbs: Any) -> None:
    """From its first row to its tombstone, through a lost database."""
    site = Site()
    ann = site.caller()
    site.host()
    milk = verbs.create(ann, site.core, "milk", nouns.Wanted(text="Buy milk.", at=5.0))
    with pytest.raises(Duplicate):
        verbs.create(ann, site.core, "milk", nouns.Wanted(text="again"))
    verbs.create(ann, site.core, "bread", nouns.Wanted(text="Buy bread."))
    with pytest.raises(QuotaExceeded):
        verbs.create(ann, site.core, "eggs", nouns.Wanted(text="Buy eggs."))
    site.settle()
    tag.put(ann, site.core, [("reminder", milk.uuid)], {"colour": "white"})
    site.settle()
    assert [row.name for row in verbs.listing(ann, site.core, ["milk"])] == ["milk"]
    assert ("reminder", milk.uuid, "colour", "white") in tag.listing(ann, site.core)
    assert site.engine.specs["reminder", milk.uuid].text == "Buy milk."
    shown = explain.explain(ann, site.core, documents.kind_of("reminders"), "milk")
    assert (shown["settled"], shown["seen"]["present"], shown["wanted"]["at"]) == (True, True, 5.0)
    assert [line["outcome"] for line in shown["journal"]] == ["done", "done"]
    replaced(site, empty())
    Process(site).opened()
    site.settle()
    ann = site.caller()
    rows = {row.name: row for row in verbs.listing(ann, site.core)}
    assert rows.keys() == {"milk", "bread"}
    assert (rows["milk"].uuid, rows["milk"].tags) == (milk.uuid, {"colour": "white"})
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        assert tx.usage(f"project:{ann.project}")[f"project:{ann.project}", "reminders"] == 2
    verbs.delete(ann, site.core, milk.uuid)
    site.settle()
    assert ("reminder", milk.uuid) not in site.engine.bodies
    assert [row.name for row in verbs.listing(ann, site.core)] == ["bread"]
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        assert tx.journal(milk.uuid, open_only=True) == []


def documented(package: Path) -> None:
    """In the reference of verbs and limits, and in the OpenAPI document."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    reference.__dict__["SOURCE"] = package
    assert "Reminders: made, listed, deleted." in reference._verbs()
    assert quota.DEFAULTS["reminders"] == 2
    assert "`reminders`" in reference._limits()
    assert "/v1/reminders" in openapi.openapi()["paths"]


if __name__ == "__main__":
    PACKAGE = Path(model.__file__).parents[1]
    assert PACKAGE != ROOT / "src" / "pileus"
    lived(importlib.import_module("pileus.model.reminder"), importlib.import_module("pileus.verbs.reminder"))
    documented(PACKAGE)
