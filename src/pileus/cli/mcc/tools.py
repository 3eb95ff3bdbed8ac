"""The eight tools. Each prints what the original printed; what that one ended with a traceback for is one line."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from pileus.cli.mcc import usage
from pileus.cli.mcc.options import Refused, Usage, parse
from pileus.cli.mcc.plain import plain
from pileus.mcc.client import SERVER, ProtocolError, Server, XmlRpcFault
from pileus.mcc.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Given = dict[str, str]


class _Ended(Exception):
    """The tool ends now, with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def list_images() -> int:
    """`mcc-list-images`."""
    return tool(usage.LIST_IMAGES, (), _list_images)


def list_instance_types() -> int:
    """`mcc-list-instance-types`."""
    return tool(usage.LIST_TYPES, (), _list_instance_types)


def list_keys() -> int:
    """`mcc-list-keys`."""
    return tool(usage.LIST_KEYS, (), _list_keys)


def add_key() -> int:
    """`mcc-add-key`."""
    return tool(usage.ADD_KEY, ("name", "public-key"), _add_key)


def destroy_key() -> int:
    """`mcc-destroy-key`."""
    return tool(usage.DESTROY_KEY, ("name",), _destroy_key)


def run_instances() -> int:
    """`mcc-run-instances`."""
    return tool(usage.RUN, ("image", "instance-type", "public-key"), _run_instances)


def list_instances() -> int:
    """`mcc-list-instances`."""
    return tool(usage.LIST_INSTANCES, (), _list_instances)


def destroy_instance() -> int:
    """`mcc-destroy-instance`."""
    return tool(usage.DESTROY_INSTANCE, ("instance",), _destroy_instance)


def given(about: Usage, needed: Sequence[str]) -> Given:
    """The options on the command line. --help, and what cannot be read, end the program as Ruby's library has it."""
    try:
        found = parse(about, sys.argv[1:])
        if "help" not in found and not set(needed) <= found.keys():
            raise Refused("missing argument: ")
    except Refused as refused:
        raise refusal(about, str(refused)) from refused
    if "help" in found:
        say(str(about), end="")
        raise _Ended(0)
    return found


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


def _server() -> Server:
    if SERVER not in os.environ:
        say(f"{SERVER} environment variable is not defined.")
        raise _Ended(1)
    return Server.named()


def _json(value: Any) -> int:
    say(json.dumps(value, ensure_ascii=False))
    return 0


def _rows(asked: Given, names: list[str], head: str) -> int:
    if "json" in asked:
        return _json(names)
    for name in names:
        say(f"{head}\t{plain(name)}")
    return 0


def _list_images(asked: Given) -> int:
    return _rows(asked, _server().images(), "IMAGE ")


def _list_instance_types(asked: Given) -> int:
    return _rows(asked, _server().instance_types(), "INST_TYPE")


def _list_keys(asked: Given) -> int:
    return _rows(asked, Keys().names(), "KEY")


def _add_key(asked: Given) -> int:
    try:
        Keys().add(asked["name"], asked["public-key"])
    except FileExistsError as error:
        raise ValueError(f"Key {asked['name']} already exists") from error
    return 0


def _destroy_key(asked: Given) -> int:
    try:
        Keys().remove(asked["name"])
    except OSError as error:
        # With Ruby's own name for what it did, which its text has.
        say(f"{error.strerror} @ apply2files - {error.filename}")
    except ValueError as error:
        say(str(error))
    else:
        return 0
    return 1 if "strict" in asked else 0


def _run_instances(asked: Given) -> int:
    server, name = _server(), asked["public-key"]
    try:
        key = Keys().text(name)
    except (FileNotFoundError, ValueError):
        say(f"Could not find key {name}")
        return 1
    made = server.run(asked["image"], asked["instance-type"], key, asked.get("name", ""))
    if "json" in asked:
        return _json(made._asdict())
    say(f"\t\tID\tIP\nINST\t{made.id}\t{made.ip}")
    return 0


def _list_instances(asked: Given) -> int:
    found = _server().instances(asked.get("instance"), all="all" in asked)
    if "json" in asked:
        return _json([each._asdict() for each in found])
    say("\t\tID\tIP\t\tSTATUS\t\tTEMPLATE\t\t\tNAME")
    for each in found:
        # What has no address is narrow: one more tab brings the rest under its heading.
        gap = "\t\t" if each.ip == "-" else "\t"
        names = f"{plain(each.ostemplate)}\t\t{plain(each.name)}"
        say(f"INSTANCE\t{each.id}\t{each.ip}{gap}{each.status}\t\t{names}")
    return 0


def _destroy_instance(asked: Given) -> int:
    try:
        _server().destroy(asked["instance"])
    except XmlRpcFault:
        say(f"Instance ID {asked['instance']} not found")
        return 1 if "strict" in asked else 0
    return 0
