"""The OpenAPI document, derived from the nouns and the routes."""

from __future__ import annotations

import re
from typing import Any, get_type_hints

import msgspec

from pileus.faces.rest.documents import PLURALS
from pileus.faces.rest.lists import MOST
from pileus.faces.rest.routes import RENAME, ROUTES
from pileus.faces.wire.typed import Route
from pileus.store.journalreader import JournalEntry
from pileus.verbs.user import Account

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"{(\w+)}")
_LIST = (
    ("limit", "integer", f"How many at most, up to {MOST}."),
    ("after", "string", "What an earlier page gave as `next`."),
    ("all", "boolean", "An administrator: of every project."),
    ("deleted", "boolean", "Those that ended within a day, too."),
    ("changed-since", "number", "Those that changed at this time or later, in seconds, in the order of changes."),
)
_JOURNAL = (
    *_LIST[:3],
    ("kind", "string", "The kind of the noun that `id` names, by default `instance`."),
    ("id", "string", "Of this noun alone, by id or name."),
    ("request", "string", "Of the request with this id alone."),
)
_UPLOAD = (
    ("name", "string", "The image's name."),
    ("login_user", "string", "Who logs in by ssh."),
    ("public", "boolean", "Every project may start from it (administrators)."),
    ("digest", "string", "The sha256 that the body must have."),
    ("kind", "string", "`machine` or `container`, refused unless the body is for that; as found if not given."),
    ("format", "string", "`qcow2`, `raw` or `tar`, the same."),
)


def openapi() -> dict[str, Any]:
    """OpenAPI 3.1 of everything under /v1."""
    paths: dict[str, dict[str, Any]] = {}
    shapes = [route.body for route in ROUTES if route.body]
    parts = {
        (kind, part): get_type_hints(cls)[part]
        for kind, cls in PLURALS.items()
        for part in ("wanted", "assigned", "seen")
    }
    types = [*shapes, Account, JournalEntry, *(hint for hint in parts.values() if hint is not type(None))]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    ref = dict(zip(types, schemas, strict=True))
    for plural, cls in PLURALS.items():
        name = {"$ref": _REF.format(name=cls.__name__)}
        page = _answer(_page(plural, name))
        _add(paths, f"/v1/{plural}", "get", f"The {plural}, oldest first.", page, _query(_LIST))
        _add(paths, f"/v1/{plural}/{{id}}", "get", f"One {cls.KIND}, by id or name.", _answer(name))
        if cls.RENAMED:
            _route(paths, RENAME, ref, f"/v1/{plural}/{{id}}")
        own = {part: ref.get(parts[plural, part], {"type": "null"}) for part in ("wanted", "assigned", "seen")}
        components[cls.__name__] = _noun(own)
        _hide(components, own["wanted"], cls.SECRET)
    for route in ROUTES:
        if "{nouns}" not in route.path:
            _route(paths, route, ref)
    lines = _page("journal", ref[JournalEntry])
    newest = "The project's changes, newest first; of a noun, or of a request."
    _add(paths, "/v1/journal", "get", newest, _answer(lines), _query(_JOURNAL))
    _add(paths, "/v1/images", "post", "Upload an image: its bytes are the body.", _answer({}), _query(_UPLOAD))
    paths["/v1/images"]["post"]["requestBody"] = {"content": {"application/octet-stream": {}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Pileus", "version": "1"},
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _noun(parts: dict[str, Any]) -> dict[str, Any]:
    text, number = {"type": "string"}, {"type": "number"}
    properties: dict[str, Any] = {
        **dict.fromkeys(("kind", "id", "uuid", "name", "project"), text),
        "tags": {"type": "object", "additionalProperties": text},
        "generation": {"type": "integer"},
        "revision": {"type": "array", "items": {"type": "integer"}},
        "created": number,
        "changed": number,
        "gone": {"type": ["number", "null"]},
        **parts,
    }
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def _hide(components: dict[str, Any], reference: dict[str, Any], secret: tuple[str, ...]) -> None:
    shape = components[reference["$ref"].rpartition("/")[2]]
    for field in secret:
        del shape["properties"][field]


def _route(paths: dict[str, Any], route: Route, ref: dict[Any, Any], at: str = "") -> None:
    path = at or f"/v1/{route.path}"
    _add(paths, path, route.method.lower(), route.says, {str(route.status): {"description": "Done."}})
    if route.body:
        body = {"content": {"application/json": {"schema": ref[route.body]}}}
        paths[path][route.method.lower()]["requestBody"] = body


def _page(plural: str, item: dict[str, Any]) -> dict[str, Any]:
    items = {"type": "array", "items": item}
    return {"type": "object", "properties": {plural: items, "next": {"type": ["string", "null"]}}}


def _answer(schema: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"description": "Done.", "content": {"application/json": {"schema": schema}}}}


def _query(parameters: tuple[tuple[str, str, str], ...]) -> list[dict[str, Any]]:
    return [{"name": n, "in": "query", "schema": {"type": t}, "description": says} for n, t, says in parameters]


def _add(
    paths: dict[str, dict[str, Any]],
    path: str,
    method: str,
    says: str,
    responses: dict[str, Any],
    parameters: list[dict[str, Any]] | None = None,
) -> None:
    own = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(path)
    ]
    failed = {"default": {"description": "An error: {error: {code, message, request_id}}."}}
    operation: dict[str, Any] = {"summary": says, "responses": {**responses, **failed}}
    if own or parameters:
        operation["parameters"] = [*own, *(parameters or [])]
    paths.setdefault(path, {})[method] = operation
