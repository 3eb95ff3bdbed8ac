"""Write the reference pages beside this file from the code itself: `python docs/reference/make.py`."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec.inspect
import typer.main

from pileus.app import faces, kits, settings
from pileus.app.settings import Settings
from pileus.cli.commands import cli
from pileus.faces.ec2 import errors as ec2_errors
from pileus.faces.ec2 import ledger as ec2_ledger
from pileus.faces.ec2.face import Ec2Face
from pileus.faces.ec2.face import registered as ec2_actions
from pileus.faces.iam import errors as iam_errors
from pileus.faces.iam import ledger as iam_ledger
from pileus.faces.iam.face import IamFace
from pileus.faces.iam.face import registered as iam_actions
from pileus.faces.rest.openapi import openapi
from pileus.faces.wire import refusals
from pileus.faces.wire.action import Action
from pileus.faces.wire.errors import FAULTS as PROTOCOLS
from pileus.faces.wire.ledger import UNSUPPORTED, Ledger
from pileus.faces.wire.model import ServiceModel
from pileus.faces.wire.queryface import QueryFace
from pileus.faces.wire.sigv4 import codes_of
from pileus.model import quota
from pileus.model.bounds import BOUNDS
from pileus.model.errors import ERRORS
from pileus.model.faults import FAULTS
from pileus.model.finding import MEANINGS
from pileus.model.role import RIGHTS, Right, includes

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src" / "pileus"

_NOTE = "<!-- Made by docs/reference/make.py (`make reference`); edits here are lost. -->"
_CAMEL = re.compile(r"(?:[A-Z][a-z0-9]+){2,}")

Row = tuple[str, ...]


def pages() -> dict[str, str]:
    """Every page by its file name."""
    return {
        "README.md": _index(),
        "cli.md": _cli(),
        "ec2.md": _actions("EC2", Ec2Face, ec2_actions(), ec2_ledger.LEDGER),
        "iam.md": _actions("IAM and STS", IamFace, iam_actions(), iam_ledger.LEDGER),
        "errors.md": _errors(),
        "faces.md": _faces(),
        "findings.md": _findings(),
        "limits.md": _limits(),
        "rest.md": _rest(),
        "rights.md": _rights(),
        "settings.md": _settings(),
        "verbs.md": _verbs(),
    }


def finding_codes() -> set[str]:
    """Every code that some module makes a Finding with."""
    return {
        code
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding"
        for keyword in node.keywords
        if keyword.arg == "code"
        for code in _constants(keyword.value)
    }


def fault_codes() -> set[str]:
    """Every code that some module makes a Fault with."""
    return {code for path in sorted(SOURCE.rglob("*.py")) for code in _codes_in(ast.parse(path.read_text()))}


def verbs() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every public function of the verbs, with its module's name below `pileus.verbs`."""
    root = SOURCE / "verbs"
    for path in sorted(root.rglob("*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield module, node


def _codes_in(module: ast.Module) -> Iterator[str]:
    makes_faults = False
    for node in ast.walk(module):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
            continue
        place = {"Fault": 0, "disk_fault": 1}.get(node.func.id)
        if place is not None and len(node.args) > place:
            makes_faults = True
            yield from _constants(node.args[place])
    if makes_faults:
        # Codes that have a name, or are chosen first.
        for node in ast.walk(module):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                yield from (text for text in _constants(node.value) if _CAMEL.fullmatch(text))


def _constants(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _constants(node.body)
        yield from _constants(node.orelse)


def _index() -> str:
    rows = [
        ("[cli.md](cli.md)", "commands and their options"),
        ("[settings.md](settings.md)", "what an operator may choose, and by which variable"),
        ("[faces.md](faces.md)", "the dialects that a cloud speaks: where, and how requests are authenticated"),
        ("[ec2.md](ec2.md)", "actions of the EC2 API"),
        ("[iam.md](iam.md)", "actions of the IAM and STS APIs"),
        ("[rest.md](rest.md)", "paths of Pileus's own REST API"),
        ("[errors.md](errors.md)", "codes of errors and faults: what they mean and where they show"),
        ("[findings.md](findings.md)", "codes of what `pileus doctor` finds: what they mean and what to do"),
        ("[limits.md](limits.md)", "bounds: the limit of each thing that can be used up, and the answer at the limit"),
        ("[rights.md](rights.md)", "which role may call which verb"),
        ("[verbs.md](verbs.md)", "what all faces call: the core's own functions"),
    ]
    return _page("Reference", "Made from the code; a test fails when a page is behind it.", _table(("Page", ""), rows))


def _verbs() -> str:
    parts = []
    by_module: dict[str, list[Row]] = {}
    for module, node in verbs():
        names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        only = [argument.arg for argument in node.args.kwonlyargs]
        shown = ", ".join([*names, *(["*", *only] if only else [])])
        row = (f"`{node.name}({shown})`", _paragraph(ast.get_docstring(node)))
        by_module.setdefault(module, []).append(row)
    for module, rows in by_module.items():
        about = _paragraph(importlib.import_module(f"pileus.verbs.{module}").__doc__)
        parts.append(f"## {module}\n\n{about}\n\n{_table(('Verb', 'What it does'), rows)}")
    return _page("Verbs", "Every face maps its dialect to these functions of `pileus.verbs`.", *parts)


def right_of(verb: ast.FunctionDef) -> Right | None:
    """The right that a verb's decorator declares; None for a function without a caller."""
    for decorator in verb.decorator_list:
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "requires":
            return cast("Right", next(_constants(decorator.args[0])))
    return None


def _rights() -> str:
    rows = [
        (f"`{module}.{node.name}`", *("yes" if includes(right, required) else "no" for right in RIGHTS))
        for module, node in verbs()
        if (required := right_of(node)) is not None
    ]
    about = (
        "The verbs that a caller may call by its role in the project: the same over every face. `administrator` is an "
        "administrator of the cloud. A role allows a verb; the noun has to be the caller's to see as well. Verbs of a "
        "user's own password, tokens and credentials are for every role, and for other users' they take `admin`."
    )
    return _page("Rights", about, _table(("Verb", *RIGHTS), rows))


def _kind(kind: msgspec.inspect.Type) -> str:
    """What a setting may be: its type, or its words, with its limits."""
    if isinstance(kind, msgspec.inspect.LiteralType):
        return f"Literal[{', '.join(map(repr, kind.values))}]"
    if isinstance(kind, msgspec.inspect.CustomType):
        return str(kind.cls.__name__)
    name = type(kind).__name__.removesuffix("Type").lower()
    limits = [f"{limit}={value}" for limit in ("ge", "le") if (value := getattr(kind, limit, None)) is not None]
    return f"{name}; {', '.join(limits)}" if limits else name


def _settings() -> str:
    text = (
        f"A setting is read from the environment of `pileus up`; `{settings.PREFIX}STATE` names the state directory"
        " for every command that is not told by `--state`. `up` says which variables begin so and are none."
    )
    own = [
        f"## Of the provider {kit.name}\n\n{_settings_of(kit.settings)}"
        for kit in kits.every()
        if kit.settings is not None
    ]
    own += [
        f"## Of the face {face.name}\n\n{_settings_of(face.settings, face.name)}"
        for face in faces.declared()
        if face.settings is not None
    ]
    return _page("Settings", text, _settings_of(Settings), *own)


def _settings_of(struct: type[msgspec.Struct], owner: str = "") -> str:
    rows = []
    for field in cast("msgspec.inspect.StructType", msgspec.inspect.type_info(struct)).fields:
        kind, meaning = field.type, ""
        if isinstance(kind, msgspec.inspect.Metadata):
            kind, meaning = kind.type, (kind.extra_json_schema or {}).get("description", "")
        name = f"{owner}_{field.name}" if owner else field.name
        rows.append((f"`{name}`", f"`{settings.variable(name)}`", f"`{field.default}`", _kind(kind), meaning))
    return _table(("Setting", "Variable", "Default", "Type", "Meaning"), rows)


def _faces() -> str:
    rows = []
    for face in faces.declared():
        where = [*sorted(face.paths.exact), *(f"{prefix}…" for prefix in face.paths.prefixes)]
        shown = ", ".join(f"`{path}`" for path in where) or "any path"
        if face.listener is not None:
            shown += ", on a port of its own"
        endpoints = ", ".join(f"`{name}`" for name in face.endpoints)
        rows.append((f"`{face.name}`", endpoints, shown, face.authentication, str(len(face.actions()))))
    return _page(
        "Faces",
        "A face is a dialect in which a cloud is spoken to. `endpoints.json` has a URL for each name of the second"
        " column.",
        _table(("Face", "Endpoints", "Paths", "Authentication", "Actions"), rows),
    )


def _errors() -> str:
    core = []
    for error in ERRORS:
        amazon = sorted({code for (ours, _, _), (code, _) in ec2_errors.TABLE.items() if ours == error.code})
        core.append(
            (
                f"`{error.code}`",
                _paragraph(error.__doc__),
                str(refusals.STATUS[error.code]),
                ", ".join(f"`{code}`" for code in amazon),
            )
        )
    table = [
        (f"`{code}`", noun or "any", f"`{reason}`" if reason else "any", f"`{told}`", str(status))
        for (code, noun, reason), (told, status) in ec2_errors.TABLE.items()
    ]
    iam = [
        (f"`{code}`", noun or "any", f"`{reason}`" if reason else "any", f"`{told}`", str(status))
        for (code, noun, reason), (told, status) in iam_errors.TABLE.items()
    ]
    own = [(f"`{code}`", str(status)) for code, status in refusals.OWN.items()]
    faults = [(f"`{code}`", FAULTS.get(code, "")) for code in sorted(fault_codes(), key=str.lower)]
    return _page(
        "Errors",
        "A code never changes its meaning. Causes that a client can mend are errors; what a host cannot do is a fault.",
        "## Errors of the core\n\n" + _table(("Code", "Meaning", "REST status", "EC2 codes"), core),
        "## What EC2's clients are told of them\n\nThe most particular line counts.\n\n"
        + _table(("Code", "Noun", "Reason", "EC2 code", "Status"), table),
        "## What the clients of IAM and STS are told of them\n\nThe most particular line counts.\n\n"
        + _table(("Code", "Noun", "Reason", "Code of IAM", "Status"), iam),
        "## Refused before the core is asked: EC2, IAM and STS\n\n" + _table(("Code", "Status", "Message"), _wire()),
        "## Refused by the REST face itself\n\n`Fault` passes on a fault of a host.\n\n"
        + _table(("Code", "Status"), own),
        "## Faults\n\nShown by `pileus explain` as what was seen, by EC2 as the `StateReason` `Server.InternalError`"
        " of the instance, or as `Unavailable` (503) when a request had to wait for a host; by REST as `Fault` (502)."
        "\n\n" + _table(("Code", "Meaning"), faults),
    )


def _findings() -> str:
    mends = {"": "", "repair": "`--repair`", "adopt": "`--adopt`"}
    rows = [
        (f"`{code}`", meaning.severity, f"{meaning.says} {meaning.means}", meaning.do, mends[meaning.mend])
        for code, meaning in sorted(MEANINGS.items())
    ]
    return _page(
        "Findings",
        "What `pileus doctor` may find. An *error*: something that was asked for is not so. A *warning*: nothing is"
        " lost yet, or something is left over.",
        _table(("Code", "Severity", "Meaning", "What to do", "Doctor mends it by"), rows),
    )


def _limits() -> str:
    rows = [
        (
            f"`{name}`",
            bound.what,
            bound.per,
            f"{bound.most}",
            f"`{bound.setting}`" if bound.setting else "",
            bound.answer,
        )
        for name, bound in BOUNDS.items()
    ]
    quotas = [(f"`{resource}`", str(most)) for resource, most in sorted(quota.DEFAULTS.items())]
    return _page(
        "Limits",
        "A *bound* is the limit of one thing that a request, a tenant, a guest or a host can use up. A bound with a"
        " setting is changed by that setting.",
        "## Bounds\n\n" + _table(("Bound", "Counted", "Per", "Default", "Setting", "Answer at the limit"), rows),
        "## Quotas\n\nA project has these limits unless its own are set; an administrator's project has none. The"
        " answer at the limit is the core's `QuotaExceeded`.\n\n" + _table(("Resource", "Default"), quotas),
    )


def _wire() -> list[Row]:
    found: set[Row] = set()
    for path in sorted(path for face in ("wire", "ec2", "iam") for path in SOURCE.glob(f"faces/{face}/**/*.py")):
        if path.name.startswith("rest"):
            continue
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                found |= set(_refusals(function))
    for protocol in ("ec2", "query"):
        for code, text, *own_status in PROTOCOLS[protocol].words.values():
            found.add((f"`{code}`", str(*own_status or [400]), re.sub(r"{\w+}", "…", text)))
    for service in ("ec2", "sts"):
        codes = codes_of(service)
        for code, text, status in (codes.unknown, codes.mismatch, codes.ended):
            found.add((f"`{code}`", str(status), text))
        for code, status in (codes.skewed, codes.expired):
            found.add((f"`{code}`", str(status), "The request's time, or that of its signature, is over."))
    return sorted(found)


def _refusals(function: ast.FunctionDef) -> Iterator[Row]:
    """Code, status and text of each WireError that a function makes by name."""
    named: dict[str, str] = {}
    for node in ast.walk(function):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(node, ast.Assign) and isinstance(target, ast.Name):
                # A name that is given twice says nothing.
                named[target.id] = "" if target.id in named else _text(node.value, {})
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "WireError":
            code, *more = node.args
            if isinstance(code, ast.Constant):
                status = ast.unparse(more[1]) if len(more) > 1 else "400"
                yield f"`{code.value!s}`", status, _text(more[0], named)


def _text(node: ast.expr, named: Mapping[str, str]) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, named) or "…" for part in node.values)
    if isinstance(node, ast.Name):
        return named.get(node.id, "")
    return str(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _cli() -> str:
    importlib.import_module("pileus.app.main")  # adds those that run processes
    parts = [
        f"## pileus {' '.join(words)}\n\n{_paragraph(command.help)}\n\n{_usage(command)}".rstrip()
        for words, command in _commands(typer.main.get_command(cli), ())
    ]
    return _page("Commands", "Each takes `--help`. Status 0 is success, 1 a problem that is said in one line.", *parts)


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield words, command
        return
    for name, one in sorted(below.items()):
        if not one.hidden:
            yield from _commands(one, (*words, name))


def _usage(command: Any) -> str:
    rows = []
    for parameter in command.params:
        option = parameter.param_type_name == "option"
        if parameter.name == "help":
            continue
        word = parameter.metavar or (parameter.name or "").upper()
        shown = ", ".join(parameter.opts) if option else word
        default = parameter.default
        given = default not in (None, "", False) and not callable(default) and isinstance(default, str | int)
        rows.append((f"`{shown}`", getattr(parameter, "help", None) or "", f"`{default}`" if given else ""))
    return _table(("Argument", "Meaning", "Default"), rows) if rows else ""


def _rest() -> str:
    rows = [
        (method.upper(), f"`{path}`", operation["summary"])
        for path, methods in openapi()["paths"].items()
        for method, operation in methods.items()
    ]
    rows.sort(key=lambda row: (row[1], row[0]))
    text = (
        "JSON over HTTP with `Authorization: Bearer TOKEN`; `/v1/openapi.json` has every shape. A WebSocket at"
        " `/v1/instances/{id}/connect/{port}` is a TCP stream to the instance."
    )
    return _page("REST", text, _table(("Method", "Path", "What it does"), rows))


def _actions(title: str, face: type[QueryFace], actions: Mapping[tuple[str, str], Action], ledger: Ledger) -> str:
    """The page of a face of the query dialects."""
    rows = [(f"`{name}`", service, entry.says) for (service, name), entry in sorted(actions.items(), key=_named)]
    lacking = sorted(
        name
        for service in face.SERVICES
        for name in ServiceModel.load(service).operations
        if (service, name) not in actions
    )
    by_family = {family: [name for name in lacking if ledger.family(name) == family] for family in ledger.families}
    to_come = [name for name in lacking if ledger.family(name) is None]
    refused = [
        (each.name, f"`{each.code}`", each.reason, ", ".join(f"`{name}`" for name in names))
        for each, names in by_family.items()
    ]
    return _page(
        title,
        "Every action of Amazon's models is here: it is done, refused on purpose, or not yet done. The message of a"
        " refusal names this page.",
        f"## Done: {len(rows)}\n\n" + _table(("Action", "Service", "What it does"), rows),
        f"## Refused: {sum(map(len, by_family.values()))}\n\n" + _table(("Family", "Code", "Why", "Actions"), refused),
        f"## Not yet done: {len(to_come)}\n\nThey are refused with `{UNSUPPORTED}`.\n\n"
        + (", ".join(f"`{name}`" for name in to_come) or "None."),
    )


def _named(action: tuple[tuple[str, str], object]) -> tuple[str, str]:
    (service, name), _ = action
    return name, service


def _paragraph(text: str | None) -> str:
    return " ".join(inspect.cleandoc(text or "").split("\n\n")[0].split())


def _table(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    escaped = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return "\n".join(f"| {line} |" for line in escaped)


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", _NOTE, *parts]) + "\n"


if __name__ == "__main__":
    for file, page in pages().items():
        (HERE / file).write_text(page, encoding="utf-8")
