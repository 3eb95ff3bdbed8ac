"""XML-RPC as Ruby's library writes it, to the byte: what clients of that age were tested with.

Integers are <i4>, strings always in <string>, an empty array is <data/>; one line, and a newline behind it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEEPEST = 16
"""How deep values may lie in each other."""

_PROLOG = '<?xml version="1.0" ?>'
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INT = re.compile(r"\s*[+-]?[0-9]{1,19}\s*", re.ASCII)


class MalformedXmlRpc(ValueError):
    """Bytes are no XML-RPC message, or one that nobody sends in good faith."""


class XmlRpcFault(Exception):
    """The other side's refusal: `code` and `text`."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code
        self.text = text


def parse(body: bytes) -> Element:
    """The root of a document without a document type: no entities, no external anything. Raises MalformedXmlRpc."""
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = lambda tag, _attributes: builder.start(tag, {})
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(body, True)
        root: Element = builder.close()
    except (expat.ExpatError, ValueError, LookupError, AssertionError) as error:
        raise MalformedXmlRpc(str(error)) from error
    return root


def _refuse(*_declared: object) -> None:
    raise MalformedXmlRpc("a document type is not taken")


def call(method: str, params: Sequence[Any]) -> bytes:
    """The document of a call."""
    param_elements = "".join(f"<param>{_value(param)}</param>" for param in params)
    inner = f"<params>{param_elements}</params>" if param_elements else "<params/>"
    return _document(f"<methodCall><methodName>{_text(method)}</methodName>{inner}</methodCall>")


def answer(result: Any) -> bytes:
    """The document of an answer."""
    return _document(f"<methodResponse><params><param>{_value(result)}</param></params></methodResponse>")


def refusal(code: int, text: str) -> bytes:
    """The document of a fault."""
    fault_value = _value({"faultCode": code, "faultString": text})
    return _document(f"<methodResponse><fault>{fault_value}</fault></methodResponse>")


def read_call(root: Element) -> tuple[str, list[Any]]:
    """Method and parameters of a call. Raises MalformedXmlRpc."""
    name = root.find("methodName")
    if root.tag != "methodCall" or name is None or not (name.text or "").strip():
        raise MalformedXmlRpc("no methodCall")
    return (name.text or "").strip(), [_read(_one(param, "value")) for param in root.findall("params/param")]


def read_answer(root: Element) -> Any:
    """Return the value of an answer. Raises XmlRpcFault, MalformedXmlRpc."""
    if root.tag != "methodResponse":
        raise MalformedXmlRpc("no methodResponse")
    fault = root.find("fault")
    if fault is None:
        return _read(_one(_one(_one(root, "params"), "param"), "value"))
    fault_members = _read(_one(fault, "value"))
    if not isinstance(fault_members, dict):
        raise MalformedXmlRpc("a fault without a structure")
    code = fault_members.get("faultCode")
    raise XmlRpcFault(code if isinstance(code, int) else 0, str(fault_members.get("faultString", "")))


def _document(inner: str) -> bytes:
    return f"{_PROLOG}{inner}\n".encode()


def _text(text: str) -> str:
    # What XML cannot carry must not make the whole answer unreadable.
    clean = _NO_XML.sub("\ufffd", text)
    return clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return f"<value><boolean>{int(value)}</boolean></value>"
    if isinstance(value, int):
        return f"<value><i4>{value}</i4></value>"
    if isinstance(value, str):
        return f"<value><string>{_text(value)}</string></value>"
    if isinstance(value, dict):
        members = (f"<member><name>{_text(name)}</name>{_value(each)}</member>" for name, each in value.items())
        return f"<value><struct>{''.join(members)}</struct></value>" if value else "<value><struct/></value>"
    if isinstance(value, list | tuple):
        data = "".join(map(_value, value))
        return f"<value><array>{f'<data>{data}</data>' if data else '<data/>'}</array></value>"
    raise TypeError(f"{type(value).__name__} does not go over this wire")


def _one(parent: Element, tag: str) -> Element:
    child = parent.find(tag)
    if child is None:
        raise MalformedXmlRpc(f"no {tag} in {parent.tag}")
    return child


def _read(value: Element, depth: int = 0) -> Any:
    if depth > DEEPEST:
        raise MalformedXmlRpc("values lie too deep in each other")
    typed = next(iter(value), None)
    if typed is None:
        return value.text or ""
    if typed.tag == "struct":
        members = typed.findall("member")
        return {_one(each, "name").text or "": _read(_one(each, "value"), depth + 1) for each in members}
    if typed.tag == "array":
        return [_read(each, depth + 1) for each in typed.findall("data/value")]
    read = _SCALARS.get(typed.tag)
    if read is None:
        raise MalformedXmlRpc(f"there is no type {typed.tag[:40]}")
    return read(typed.text or "")


def _int(text: str) -> int:
    if not _INT.fullmatch(text):
        raise MalformedXmlRpc("no integer")
    return int(text)


def _boolean(text: str) -> bool:
    if text.strip() not in ("0", "1"):
        raise MalformedXmlRpc("no boolean")
    return text.strip() == "1"


def _double(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise MalformedXmlRpc("no number") from error


_SCALARS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "int": _int,
    "i4": _int,
    "i8": _int,
    "boolean": _boolean,
    "double": _double,
    "base64": str,
    "dateTime.iso8601": str,
    "nil": lambda _text: None,
}
