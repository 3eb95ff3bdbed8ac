"""The words of `pileus launch`: rules, user data, tags; each mistake is said before anything is made."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.cli import keys, launch
from pileus.cli.client import Client
from pileus.cli.launch import IngressRule, Wish
from pileus.cli.problem import Problem
from pileus.model import bounds


class Offers(Client):
    """A cloud with two images of one name, a flavor, and two subnets of one name on networks of their own."""

    def __init__(self, **nouns: list[dict[str, Any]]) -> None:
        super().__init__("http://127.0.0.1:1/v1", "t")
        images = [{"id": f"ami-{at}", "uuid": "", "name": "tiny", "state": "available", "created": at} for at in (1, 2)]
        subnets = [
            {"id": f"subnet-{at}", "uuid": "", "name": "s", "wanted": {"network": f"uuid-{at}"}} for at in (1, 2)
        ]
        networks = [{"id": f"net-{at}", "uuid": f"uuid-{at}", "name": f"n{at}"} for at in (1, 2)]
        flavors = [{"name": name, "wanted": {"retired": name == "old"}} for name in ("m1.tiny", "light", "old")]
        self.nouns: dict[str, list[dict[str, Any]]] = {
            "images": images,
            "subnets": subnets,
            "networks": networks,
            "flavors": flavors,
            **nouns,
        }
        self.posts: list[tuple[tuple[str, ...], Any]] = []

    def all(self, nouns: str, **query: str) -> list[dict[str, Any]]:
        """The nouns of one kind."""
        del query
        return self.nouns.get(nouns, [])

    def post(self, *words: str, body: object = None) -> dict[str, Any]:
        """Note the call."""
        self.posts.append((words, body))
        instances = [{"id": "i-1", "name": "web"}]
        return {"id": "new-1", "name": "default", "wanted": {"rules": []}, "private_key": "x", "instances": instances}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of keys."""
    monkeypatch.setattr(keys, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("22", IngressRule("tcp", 22, 22, "0.0.0.0/0")),
        ("8000-8080/udp@10.0.0.0/8", IngressRule("udp", 8000, 8080, "10.0.0.0/8")),
        ("22@127.0.0.0/8", IngressRule("tcp", 22, 22, "127.0.0.0/8")),
        ("icmp", IngressRule("icmp", 0, 0, "0.0.0.0/0")),
    ],
)
def test_a_rule_is_ports_and_where_from(text: str, rule: IngressRule) -> None:
    assert launch.parse_rule(text) == rule
    assert str(rule) == text


@given(text=st.text(alphabet="0123456789-/@.tcpudimx", max_size=14))
def test_a_rule_is_read_or_refused(text: str) -> None:
    try:
        rule = launch.parse_rule(text)
    except Problem:
        return
    assert launch.parse_rule(str(rule)) == rule
    assert 0 <= rule.low <= rule.high < 65536


MISTAKES = [
    (Wish("tiny", rules=["ssh"]), "'ssh' is no rule: write PORT, PORT-PORT, PORT/udp, PORT@CIDR or icmp."),
    (Wish("tiny", rules=["80-22"]), "'80-22' is no rule: ports are from 1 to 65535, the lower one first."),
    (Wish("nope"), "There is no image 'nope'. There are: tiny."),
    (Wish("tiny", flavor="old"), "There is no flavor 'old'. Flavors offered: m1.tiny, light."),
    (Wish("tiny", tags=["a"]), "A tag is written KEY=VALUE."),
    (Wish("tiny", network="x"), "There is no subnet or network 'x'. Subnets: s, s."),
    (Wish("tiny", network="s"), "2 subnets are named 's': subnet-1, subnet-2. Name one by its id."),
    (Wish("tiny", user_data="@/nope"), "The user data in /nope cannot be read: No such file or directory."),
    (Wish("tiny", user_data="x" * 20000), "User data has at most 16384 bytes; this is more."),
]


@pytest.mark.parametrize(("wish", "message"), MISTAKES, ids=[message[:20] for _, message in MISTAKES])
def test_a_mistake_is_said_and_nothing_is_made(wish: Wish, message: str) -> None:
    cloud = Offers()
    with pytest.raises(Problem) as refused:
        launch.launch(cloud, wish)
    assert refused.value.message == message
    assert not cloud.posts


def test_without_images_the_way_to_one_is_said() -> None:
    with pytest.raises(Problem) as refused:
        launch.image(Offers(images=[]), "tiny")
    assert refused.value.message == "There is no image 'tiny'. There is none yet: 'pileus image add' adds one."


def test_a_launch_makes_what_is_missing_first(folder: Path) -> None:
    cloud = Offers()
    launch.launch(cloud, Wish("tiny", name="web", network="n2", user_data="#!/bin/sh", tags=["a=b=c"]))
    rule = {"protocol": "tcp", "port_min": 22, "port_max": 22, "cidr": "127.0.0.0/8"}
    assert [words for words, _ in cloud.posts] == [
        ("keypairs",),
        ("securitygroups",),
        ("securitygroups", "new-1", "rules"),
        ("instances",),
    ]
    assert cloud.posts[2][1] == rule
    assert cloud.posts[3][1] == {
        "image": "ami-2",
        "name": "web",
        "tags": {"a": "b=c"},
        "user_data": base64.b64encode(b"#!/bin/sh").decode(),
        "least": 1,
        "most": 1,
        "subnet": "subnet-2",
        "keypair": "default",
        "groups": ["new-1"],
        "group_names": ["default"],
    }
    assert (folder / "keys/default.new-1").read_text() == "x"


@pytest.mark.parametrize(
    ("texts", "ingress"),
    [
        ([], ["22@127.0.0.0/8"]),
        (["80", "icmp"], ["22@127.0.0.0/8", "80", "icmp"]),
        (["22/udp"], ["22@127.0.0.0/8", "22/udp"]),
        (["20-25@192.0.2.0/24", "80"], ["20-25@192.0.2.0/24", "80"]),
        (["none"], []),
    ],
)
def test_a_launch_admits_ssh_from_this_machine_besides_its_own_rules(texts: list[str], ingress: list[str]) -> None:
    assert [str(rule) for rule in launch.rules(texts)] == ingress


def test_a_group_that_a_crash_left_half_made_gets_its_rules() -> None:
    rules = [launch.parse_rule(text) for text in ("22", "80")]
    present = {**rules[0].body(), "id": "sgr-1", "direction": "ingress"}
    cloud = Offers(securitygroups=[{"id": "sg-1", "name": "launch 22, 80", "wanted": {"rules": [present]}}])
    assert launch.group(cloud, rules) == "sg-1"
    assert cloud.posts == [(("securitygroups", "sg-1", "rules"), rules[1].body())]


def test_the_default_key_pair_is_not_used_without_its_private_key(folder: Path) -> None:
    cloud = Offers(keypairs=[{"id": "key-1", "name": "default"}, {"id": "key-2", "name": "team"}])
    with pytest.raises(Problem) as refused:
        keys.ensure(cloud, "")
    text = "The private key of the key pair 'default' is not on this machine: name another by --key NAME;"
    assert refused.value.message == f"{text} one that is missing is made."
    assert keys.ensure(cloud, "team") == "team", "its private key may be anywhere"
    keys.keep({"id": "key-1", "name": "default", "private_key": "x"})
    assert keys.ensure(cloud, "") == "default"
    assert not cloud.posts


def test_user_data_is_a_file_s_bytes(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"\xff\0")
    assert base64.b64decode(launch.user_data(f"@{tmp_path / 'data'}")) == b"\xff\0"
    assert bounds.USER_DATA.most == 16384
