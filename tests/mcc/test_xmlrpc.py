"""What is written is read again, by Python's own library too; what is no message is refused."""

from __future__ import annotations

import xmlrpc.client
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.mcc import xmlrpc as own

_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
_VALUES = st.recursive(
    st.booleans() | st.integers(-(1 << 31), (1 << 31) - 1) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(_VALUES)
def test_what_is_answered_is_read_again(value: Any) -> None:
    body = own.answer(value)
    assert own.read_answer(own.parse(body)) == value
    assert xmlrpc.client.loads(body.decode())[0][0] == value


@given(st.lists(_VALUES, max_size=3))
def test_what_is_asked_is_read_again(params: list[Any]) -> None:
    body = own.call("openvz.x", params)
    assert own.read_call(own.parse(body)) == ("openvz.x", params)
    read, method = xmlrpc.client.loads(body.decode())
    assert (method, list(read)) == ("openvz.x", params)
    assert own.read_call(own.parse(xmlrpc.client.dumps(tuple(params), "openvz.x").encode())) == ("openvz.x", params)


def test_faults_are_raised() -> None:
    with pytest.raises(own.XmlRpcFault) as caught:
        own.read_answer(own.parse(own.refusal(2, "why & how")))
    assert (caught.value.code, caught.value.text) == (2, "why & how")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a",
        b"<methodResponse/>",
        b"<methodResponse><params/></methodResponse>",
        b"<methodResponse><fault><value>x</value></fault></methodResponse>",
        b'<!DOCTYPE a [<!ENTITY e "x">]><methodResponse><fault><value>&e;</value></fault></methodResponse>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><methodResponse/>',
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(own.MalformedXmlRpc):
        own.read_answer(own.parse(body))
