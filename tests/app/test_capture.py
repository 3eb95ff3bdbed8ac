"""Images that are made of what runs, over a cloud as users have it: command line, REST face, and the bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.providers.contract import until

if TYPE_CHECKING:
    from tests.app.stub import Stub


def shown(stub: Stub, ident: str) -> dict[str, Any]:
    found: dict[str, Any] = stub.client.get("images", ident)
    return found


def running(stub: Stub, name: str, image: str) -> dict[str, Any]:
    asked = {"image": image, "flavor": "m1.tiny", "name": name}
    made: dict[str, Any] = stub.client.post("instances", body=asked)["instances"][0]
    until(f"{name} runs", lambda: stub.client.get("instances", made["id"])["state"] == "running")
    return made


def test_an_image_is_made_of_an_instance_and_started_from(stub: Stub) -> None:
    for kind, form in (("machine", "qcow2"), ("container", "tar")):
        source = running(stub, f"source-{kind}", f"stub-{kind}")
        ident = stub.pileus("image", "create", source["name"], f"made-of-{kind}").stdout.split()[0]
        until("it is available", lambda ident=ident: shown(stub, ident)["state"] == "available")
        image = shown(stub, ident)
        assert (image["wanted"]["kind"], image["wanted"]["format"], image["trouble"]) == (kind, form, "")
        assert (stub.state.objects / image["digest"][:2] / image["digest"]).stat().st_size == image["size"] > 0
        until(
            "its source runs again",
            lambda ident=source["id"]: stub.client.get("instances", ident)["state"] == "running",
        )
        until("no host holds it", lambda ident=ident: not shown(stub, ident)["assigned"]["clear"])
        assert shown(stub, ident)["assigned"]["host"] is None
        copy = running(stub, f"copy-{kind}", image["name"])
        assert copy["image"] == image["name"]
        assert "made-of" in stub.pileus("image", "list").stdout
        stub.client.delete("images", ident)
        assert shown(stub, ident)["gone"]


def test_a_terminate_waits_for_what_was_asked_before_it(stub: Stub) -> None:
    source = running(stub, "short-lived", "stub-machine")
    asked = {"instance": source["id"], "name": "last words", "reboot": False}
    ident = stub.client.post("images", "capture", body=asked)["id"]
    stub.client.delete("instances", source["id"])
    until("it is gone", lambda: stub.client.get("instances", source["id"])["gone"])
    until("it is available", lambda: shown(stub, ident)["state"] == "available")
    stub.client.delete("images", ident)
