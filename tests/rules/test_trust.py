"""Trust policies: whatever the document, it names principals or is refused; and it never trusts more than it names."""

from __future__ import annotations

import contextlib
import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model.caller import Caller
from pileus.model.errors import InvalidValue
from pileus.model.role import Role
from pileus.rules import trust

PRINCIPAL = re.compile(r"[0-9]{12}|arn:aws:iam::[0-9]{12}:(user|role)/.+|ec2\.amazonaws\.com")
words = st.sampled_from(
    (
        *("Version", "2012-10-17", "Statement", "Effect", "Allow", "Deny", "Action", "sts:AssumeRole", "Principal"),
        *("AWS", "Service", "ec2.amazonaws.com", "123456789012", "arn:aws:iam::123456789012:root", "*", "NotPrincipal"),
        *("arn:aws:iam::123456789012:user/a", "Condition", "Sid"),
    )
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | words | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5),
    max_leaves=20,
)
statements = st.fixed_dictionaries(
    {
        "Effect": st.just("Allow"),
        "Action": st.just("sts:AssumeRole"),
        "Principal": st.dictionaries(st.sampled_from(("AWS", "Service")), words | st.lists(words), max_size=2),
    }
)


def caller(account: str, name: str, session: str = "") -> Caller:
    """Return a caller of an account."""
    return Caller(user="u", user_name=name, project="p", account_id=account, session=session)


@given(documents | st.fixed_dictionaries({"Statement": statements | st.lists(statements)}))
def test_any_document_names_principals_or_is_refused(document: object) -> None:
    with contextlib.suppress(InvalidValue):
        assert all(PRINCIPAL.fullmatch(name) for name in trust.principals(json.dumps(document)))


@given(st.text())
def test_any_text_is_refused_or_read(text: str) -> None:
    with contextlib.suppress(InvalidValue):
        trust.principals(text)


def test_a_name_is_trusted_as_it_is_written() -> None:
    def policy(name: str) -> str:
        """A trust policy that names one principal of AWS."""
        statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": name}}
        return json.dumps({"Statement": statement})

    user, role = caller("123456789012", "ada"), caller("123456789012", "ada", "visit")
    other = caller("210987654321", "ada")
    for whole in ("123456789012", "arn:aws:iam::123456789012:root"):
        for account in ("123456789012", "210987654321"):
            assert trust.trusts(policy(whole), account, user)
            assert trust.trusts(policy(whole), account, role)
            assert not trust.trusts(policy(whole), account, other)
    for account in ("123456789012", "210987654321"):
        assert trust.trusts(policy("arn:aws:iam::123456789012:user/ada"), account, user)
        assert not trust.trusts(policy("arn:aws:iam::123456789012:user/ada"), account, role)
        assert trust.trusts(policy("arn:aws:iam::123456789012:role/ada"), account, role)
        assert not trust.trusts(policy("arn:aws:iam::123456789012:role/ada"), account, user)


@pytest.mark.parametrize("role", ["reader", None])
def test_readers_are_trusted_by_name_within_their_account_alone(role: Role | None) -> None:
    reader = msgspec.structs.replace(caller("123456789012", "ada"), role=role)
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "123456789012"}}
    by_account = json.dumps({"Statement": statement})
    by_name = by_account.replace("123456789012", "arn:aws:iam::123456789012:user/ada")
    assert not trust.trusts(by_account, "123456789012", reader)
    assert trust.trusts(by_name, "123456789012", reader)
    assert not trust.trusts(by_name, "210987654321", reader)
