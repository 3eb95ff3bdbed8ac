"""The eight tools. Each prints what the original printed; what that one ended with a traceback for is one line."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from pileus.cli.mcc import usage
from pileus.cli.mcc.options import Refused, Usage, parse
from pileus.cli.mcc.plain import plain
from pileus.mcc.client import SERVER, ProtocolError, Server, XmlRpcFault
from pileus.mcc.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Given = dict[str, str]

STARTING = "mounted"
"""The status of an instance that does not run yet."""

SETTLE = 2.0
"""Seconds that `mcc-list-instances` waits for launches."""

_POLL = 0.05


class _Ended(Exception):
    """The tool ends now, with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _settle(server: Server) -> None:
    """Wait while instances are on their way up, for `SETTLE` seconds at most: a launch is listed once it runs."""
    until = time.monotonic() + SETTLE
    while time.monotonic() < until and any(each.status == STARTING for each in server.instances(all=True)):
        time.sleep(_POLL)  # the protocol has no call that waits


def given(about: Usage, needed: Sequence[str]) -> Given:
    """The options on the command line. --help, and what cannot be read, end the program as Ruby's library has it."""
    try:
        options = parse(about, sys.argv[1:])
        if "help" not in options and not set(needed) <= options.keys():
            raise Refused("missing argument: ")
    except Refused as refused:
        raise refusal(about, str(refused)) from refused
    if "help" in options:
        say(str(about), end="")
        raise _Ended(0)
    return options


def refusal(about: Usage, why: str) -> Exception:
    """Print the reason and the usage, and return the exception that ends the program."""
    say(f"{why}\n\n{about}", end="")
    return _Ended(1)


def say(text: str, end: str = "\n") -> None:
    """Print, whatever the terminal's character set is."""
    sys.stdout.buffer.write(f"{text}{end}".encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def tool(about: Usage, needed: Sequence[str], work: Callable[[Given], int]) -> int:
    """Do the work with what is on the command line; its status, and what is wrong in one line."""
    name = os.path.basename(sys.argv[0])  # noqa: PTH119  (pathlib costs as much as the rest of this)
    try:
        return work(given(about, needed))
    except _Ended as ended:
        return ended.status
    except XmlRpcFault as fault:
        why = fault.text
    except (ProtocolError, ValueError) as error:
        why = str(error)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        why = error.strerror or str(error)
    except KeyboardInterrupt:
        return 130
    print(f"{name}: {why}", file=sys.stderr)
    return 1


def _program(about: Usage, *needed: str) -> Callable[[Callable[[Given], int]], Callable[[], int]]:
    """Make a program of a function of its options, of which it needs some."""
    return lambda work: lambda: tool(about, needed, work)


def _server() -> Server:
    if SERVER not in os.environ:
        say(f"{SERVER} environment variable is not defined.")
        raise _Ended(1)
    return Server.named()


def _json(value: Any) -> int:
    say(json.dumps(value, ensure_ascii=False))
    return 0


def _rows(options: Given, names: list[str], head: str) -> int:
    if "json" in options:
        return _json(names)
    for name in names:
        say(f"{head}\t{plain(name)}")
    return 0


@_program(usage.LIST_IMAGES)
def list_images(options: Given) -> int:
    """`mcc-list-images`."""
    return _rows(options, _server().images(), "IMAGE ")


@_program(usage.LIST_TYPES)
def list_instance_types(options: Given) -> int:
    """`mcc-list-instance-types`."""
    return _rows(options, _server().instance_types(), "INST_TYPE")


@_program(usage.LIST_KEYS)
def list_keys(options: Given) -> int:
    """`mcc-list-keys`."""
    return _rows(options, Keys().names(), "KEY")


@_program(usage.ADD_KEY, "name", "public-key")
def add_key(options: Given) -> int:
    """`mcc-add-key`."""
    try:
        Keys().add(options["name"], options["public-key"])
    except FileExistsError as error:
        raise ValueError(f"Key {options['name']} already exists") from error
    return 0


@_program(usage.DESTROY_KEY, "name")
def destroy_key(options: Given) -> int:
    """`mcc-destroy-key`."""
    try:
        Keys().remove(options["name"])
    except OSError as error:
        # With Ruby's own name for what it did, which its text has.
        say(f"{error.strerror} @ apply2files - {error.filename}")
    except ValueError as error:
        say(str(error))
    else:
        return 0
    return 1 if "strict" in options else 0


@_program(usage.RUN, "image", "instance-type", "public-key")
def run_instances(options: Given) -> int:
    """`mcc-run-instances`."""
    server, name = _server(), options["public-key"]
    try:
        key = Keys().text(name)
    except (FileNotFoundError, ValueError):
        say(f"Could not find key {name}")
        return 1
    instance = server.run(options["image"], options["instance-type"], key, options.get("name", ""))
    if "json" in options:
        return _json(instance._asdict())
    say(f"\t\tID\tIP\nINST\t{instance.id}\t{instance.ip}")
    return 0


@_program(usage.LIST_INSTANCES)
def list_instances(options: Given) -> int:
    """`mcc-list-instances`."""
    server = _server()
    if "instance" not in options and "all" not in options:
        _settle(server)
    instances = server.instances(options.get("instance"), all="all" in options)
    if "json" in options:
        return _json([each._asdict() for each in instances])
    say("\t\tID\tIP\t\tSTATUS\t\tTEMPLATE\t\t\tNAME")
    for each in instances:
        # What has no address is narrow: one more tab brings the rest under its heading.
        gap = "\t\t" if each.ip == "-" else "\t"
        names = f"{plain(each.ostemplate)}\t\t{plain(each.name)}"
        say(f"INSTANCE\t{each.id}\t{each.ip}{gap}{each.status}\t\t{names}")
    return 0


@_program(usage.DESTROY_INSTANCE, "instance")
def destroy_instance(options: Given) -> int:
    """`mcc-destroy-instance`."""
    try:
        _server().destroy(options["instance"])
    except XmlRpcFault:
        say(f"Instance ID {options['instance']} not found")
        return 1 if "strict" in options else 0
    return 0
