"""Images that are made of what runs, over a cloud as users have it: command line, REST face, and the bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.providers.contract import until

if TYPE_CHECKING:
    from tests.app.stub import Stub


def shown(stub: Stub, ident: str) -> dict[str, Any]:
    image: dict[str, Any] = stub.client.get("images", ident)
    return image


def running(stub: Stub, name: str, image: str) -> dict[str, Any]:
    body = {"image": image, "flavor": "m1.tiny", "name": name}
    instance: dict[str, Any] = stub.client.post("instances", body=body)["instances"][0]
    until(f"{name} runs", lambda: stub.client.get("instances", instance["id"])["state"] == "running")
    return instance


def until_it_is(stub: Stub, noun: str, ident: str, state: str) -> dict[str, Any]:
    until(f"{ident} is {state}", lambda: stub.client.get(noun, ident)["state"] == state)
    document: dict[str, Any] = stub.client.get(noun, ident)
    return document


@pytest.mark.parametrize(("kind", "form"), [("machine", "qcow2"), ("container", "tar")])
def test_an_image_is_made_of_an_instance_and_started_from(stub: Stub, kind: str, form: str) -> None:
    source = running(stub, f"source-{kind}", f"stub-{kind}")
    ident = stub.pileus("image", "create", source["name"], f"made-of-{kind}").stdout.split()[0]
    image = until_it_is(stub, "images", ident, "available")
    assert (image["wanted"]["kind"], image["wanted"]["format"], image["trouble"]) == (kind, form, "")
    assert (stub.state.objects / image["digest"][:2] / image["digest"]).stat().st_size == image["size"] > 0
    until_it_is(stub, "instances", source["id"], "running")

    def let_go() -> bool:
        assigned = shown(stub, ident)["assigned"]
        return assigned["host"] is None and not assigned["clear"]

    until("no host holds it", let_go)
    copy = running(stub, f"copy-{kind}", image["name"])
    assert stub.client.get("instances", copy["id"])["image"] == image["name"]
    assert image["name"] in stub.pileus("image", "list").stdout
    stub.client.delete("images", ident)
    assert shown(stub, ident)["gone"]


def test_a_terminate_waits_for_what_was_asked_before_it(stub: Stub) -> None:
    source = running(stub, "short-lived", "stub-machine")
    body = {"instance": source["id"], "name": "last words", "reboot": False}
    ident = stub.client.post("images", "capture", body=body)["id"]
    stub.client.delete("instances", source["id"])
    until("it is gone", lambda: stub.client.get("instances", source["id"])["gone"])
    until("it is available", lambda: shown(stub, ident)["state"] == "available")
    stub.client.delete("images", ident)
