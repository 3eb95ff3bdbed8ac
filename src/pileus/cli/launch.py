"""One command from an image to a shell: the key pair, the rules, the launch and the wait."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pileus.cli import keys
from pileus.cli.problem import Problem
from pileus.model import bounds

if TYPE_CHECKING:
    from pileus.cli.client import Client

_RULE = re.compile(r"(?P<low>\d{1,5})(-(?P<high>\d{1,5}))?(/(?P<protocol>tcp|udp))?(@(?P<cidr>[0-9./]+))?|icmp")

ANYWHERE = "0.0.0.0/0"
"""The source of a rule that names none."""

FROM_HERE = "22@127.0.0.0/8"
"""The rule that a launch has besides its own: ssh from this machine."""

NO_RULE = "none"
"""The word for a launch without rules, in the default group alone."""

_GROUP = "launch"
_SSH = 22


class IngressRule(NamedTuple):
    """One rule that admits packets: ports from `low` to `high`, or with `protocol` icmp all of that."""

    protocol: str
    low: int
    high: int
    cidr: str

    def body(self) -> dict[str, Any]:
        """The rule for the REST face."""
        ports = {} if self.protocol == "icmp" else {"port_min": self.low, "port_max": self.high}
        return {"protocol": self.protocol, "cidr": self.cidr, **ports}

    def __str__(self) -> str:
        ports = str(self.low) if self.low == self.high else f"{self.low}-{self.high}"
        words = "icmp" if self.protocol == "icmp" else ports + ("" if self.protocol == "tcp" else f"/{self.protocol}")
        return words if self.cidr == ANYWHERE else f"{words}@{self.cidr}"


def parse_rule(text: str) -> IngressRule:
    """Read PORT[-PORT][/udp][@CIDR] or icmp. Raises Problem."""
    match = _RULE.fullmatch(text)
    if match is None:
        raise Problem(f"'{text}' is no rule: write PORT, PORT-PORT, PORT/udp, PORT@CIDR or icmp.", 2)
    if text == "icmp":
        return IngressRule("icmp", 0, 0, ANYWHERE)
    low = int(match["low"])
    high = int(match["high"] or low)
    if not 0 < low <= high < 65536:
        raise Problem(f"'{text}' is no rule: ports are from 1 to 65535, the lower one first.", 2)
    return IngressRule(match["protocol"] or "tcp", low, high, match["cidr"] or ANYWHERE)


def rules(texts: Sequence[str]) -> list[IngressRule]:
    """The rules of a launch: those of its options, and ssh from this machine unless one admits ssh. Raises Problem."""
    if list(texts) == [NO_RULE]:
        return []
    parsed = [parse_rule(text) for text in texts]
    ssh = any(rule.protocol == "tcp" and rule.low <= _SSH <= rule.high for rule in parsed)
    return parsed if ssh else [parse_rule(FROM_HERE), *parsed]


def user_data(text: str) -> str:
    """The user data of an option, base64: the text itself, or for @FILE its contents (@-: standard input)."""
    if text.startswith("@"):
        path = text[1:]
        try:
            data = sys.stdin.buffer.read(bounds.USER_DATA.most + 1) if path == "-" else Path(path).read_bytes()
        except OSError as error:
            raise Problem(f"The user data in {path} cannot be read: {error.strerror}.") from error
    else:
        data = text.encode()
    if len(data) > bounds.USER_DATA.most:
        raise Problem(f"User data has at most {bounds.USER_DATA.most} bytes; this is more.")
    return base64.b64encode(data).decode()


def tags(pairs: Sequence[str]) -> dict[str, str]:
    """The tags of options KEY=VALUE. Raises Problem."""
    if any("=" not in pair for pair in pairs):
        raise Problem("A tag is written KEY=VALUE.", 2)
    return dict(pair.split("=", 1) for pair in pairs)


def image(client: Client, word: str) -> Mapping[str, Any]:
    """The image with this id or name, of several of one name the newest. Raises Problem that lists those there are."""
    images = [each for each in client.all("images") if each["state"] == "available"]
    match = [each for each in images if word in (each["id"], each["uuid"], each["name"])]
    if not match:
        names = ", ".join(sorted({each["name"] or each["id"] for each in images})[: bounds.LISTED.most])
        offered = f"There are: {names}." if names else "There is none yet: 'pileus image add' adds one."
        raise Problem(f"There is no image '{word}'. {offered}")
    return max(match, key=lambda each: float(each["created"]))


def check_flavor(client: Client, name: str) -> None:
    """Whether a flavor of this name is offered. Raises Problem that lists those that are."""
    offered = [flavor["name"] for flavor in client.all("flavors") if not flavor["wanted"]["retired"]]
    if name not in offered:
        raise Problem(f"There is no flavor '{name}'. Flavors offered: {', '.join(offered)}.")


def subnet(client: Client, word: str) -> str:
    """The id of the subnet that a word means, by id or name: itself, or the first one of a network. Raises Problem."""
    subnets = client.all("subnets")
    match = [each for each in subnets if word in (each["id"], each["uuid"], each["name"])]
    networks = [each["uuid"] for each in client.all("networks") if word in (each["id"], each["uuid"], each["name"])]
    match = match or [each for each in subnets if each["wanted"]["network"] in networks]
    if len(match) > 1 and not networks:
        ids = ", ".join(each["id"] for each in match)
        raise Problem(f"{len(match)} subnets are named '{word}': {ids}. Name one by its id.")
    if not match:
        names = ", ".join(sorted(each["name"] or each["id"] for each in subnets)[: bounds.LISTED.most])
        raise Problem(f"There is no subnet or network '{word}'. Subnets: {names or 'none'}.")
    return str(match[0]["id"])


def group(client: Client, ingress: Sequence[IngressRule]) -> str:
    """The id of the security group of these rules that launches share; the group, or a rule, is made if missing."""
    name = f"{_GROUP} {', '.join(map(str, ingress))}"
    document = next((each for each in client.all("securitygroups") if each["name"] == name), None)
    if document is None:
        document = client.post("securitygroups", body={"name": name, "of_project": True})
    present = document["wanted"]["rules"]
    for rule in ingress:
        body = rule.body()
        if not any(all(each[field] == value for field, value in body.items()) for each in present):
            client.post("securitygroups", document["id"], "rules", body=body)
    return str(document["id"])


class Wish(NamedTuple):
    """The options of `pileus launch`, as they were written."""

    image: str
    name: str = ""
    flavor: str = ""
    key: str = ""
    user_data: str = ""
    network: str = ""
    rules: Sequence[str] = ()
    tags: Sequence[str] = ()
    number: int = 1


def launch(client: Client, wish: Wish) -> list[dict[str, Any]]:
    """Launch what is wished for; the instances' documents. Nothing is made while a word of the wish is wrong.

    Several instances of one name get numbers: web-1, web-2. Raises Problem.
    """
    ingress = rules(wish.rules)
    body: dict[str, Any] = {"image": image(client, wish.image)["id"], "tags": tags(wish.tags)}
    body |= {"name": wish.name, "user_data": user_data(wish.user_data), "least": wish.number, "most": wish.number}
    if wish.flavor:
        check_flavor(client, wish.flavor)
        body["flavor"] = wish.flavor
    if wish.network:
        body["subnet"] = subnet(client, wish.network)
    body["keypair"] = keys.ensure(client, wish.key)
    if ingress:
        body |= {"groups": [group(client, ingress)], "group_names": ["default"]}
    documents: list[dict[str, Any]] = client.post("instances", body=body)["instances"]
    if wish.name and len(documents) > 1:
        return [
            client.patch("instances", each["id"], body={"name": f"{wish.name}-{number}"})
            for number, each in enumerate(documents, 1)
        ]
    return documents
