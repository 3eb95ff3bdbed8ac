"""`pileus up` and `down`: starts what does not run, returns when everything answers, ends it again."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import shutil
import signal
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping

from pileus.app import kits, ports, processes, rollback, settings, supervise
from pileus.app.state import ACCOUNT_KEYS, LONGEST, StateDirectory
from pileus.cli.problem import Problem
from pileus.model import addresses, disk
from pileus.model.kit import Kit, ProcessDeclaration
from pileus.posix.files import read_file, read_json, write_file, write_json
from pileus.posix.locks import locked

CLOUD_USER = "pileus"
"""The user of the cloud process, where the provider needs root."""

READY = 60.0
"""Seconds that a cloud may take until it answers."""

STOP = 15.0
"""Seconds that a process may take to end."""

ROOM = 8 << 20
"""Bytes that have to be free where the state directory is."""

_ASKED = "recovering the database from what this cloud's hosts hold"
_BEHIND = "the database is older than what this cloud's hosts hold: recovering it from them"

Say = Callable[[str], None]

NO_OPTIONS: Mapping[str, str] = {}


def silent(_text: str) -> None:
    """Say nothing."""


def up(
    state: StateDirectory,
    provider: str = "",
    port: int | None = None,
    say: Say = silent,
    *,
    options: Mapping[str, str] = NO_OPTIONS,
    recovers: bool = False,
) -> dict[str, str]:
    """Have the cloud of `state` run; its endpoints. Running processes are left alone. Raises Problem.

    `options` are settings of the kit, by name, before those of the environment; the cloud's processes inherit them.
    `recovers` when it was made to recover its store, be that behind or not.
    """
    _check(state)
    for name, meant in settings.misspelt(kits.every()).items():
        say(f"{name} is no setting, and is passed over" + (f": is {meant} meant?" if meant else ""))
    start_options = read_json(state.started) or {}
    kit = kits.load(provider or str(start_options.get("provider") or ""))
    if start_options.get("provider", kit.name) != kit.name and not rollback.begins(state):
        raise Problem(f"{state.root} holds a cloud over '{start_options.get('provider')}'; choose another --state.")
    if kit.needs_root and os.geteuid() != 0:
        raise Problem(f"Running machines needs root: use sudo, or try {_others(kit)}.")
    settings.choose(kit, options)
    state.claim()
    with rollback.on_failure(state, down, say) as start:
        if start_options.get("provider") != kit.name:
            # First of all: by this file `status`, `down` and `purge` know what is here.
            write_json(state.started, {"provider": kit.name}, 0o644)
        state.prepare()
        _check_disk(state)
        return _up(start, kit, port, say, recovers=recovers)


def _up(start: rollback.StartAttempt, kit: Kit, port: int | None, say: Say, *, recovers: bool) -> dict[str, str]:
    """Start what does not run, in a directory that says whose it is, and wait for the cloud; its endpoints."""
    state = start.state
    start_options = read_json(state.started) or {}
    with contextlib.ExitStack() as starting:
        with locked(state.run / "up.lock"):
            start.begin()
            begin(kit, state, say)
            supervisor = processes.owner(state.pidfile("supervisor"))
            _refuse_another_port(state, port, start_options)
            kept_options = _kept(state, kit, start_options)
            before = _start(state)
            listener = None
            if supervisor is None:
                listener = starting.enter_context(_cloud(state, kit, port, start_options, kept_options, say))
            else:
                # It has the listening socket, and starts the cloud at once if that is in a pause.
                with contextlib.suppress(ProcessLookupError):
                    processes.send(supervisor, signal.SIGHUP)
            if kit.own_process:
                start_host(kit, state, say)
            if listener is not None:
                parts = [*supervised_parts(kit, state), _cloud_part(state, kit, listener)]
                starting.enter_context(supervise.starting(state, parts, listener.fileno()))
        supervised = supervisor is not None
        return _await(state, kit, say, before, supervised=supervised, recovers=recovers)


def _kept(state: StateDirectory, kit: Kit, start_options: Mapping[str, object]) -> Mapping[str, str]:
    """The kit's settings that are kept until the next start. Problem where others are in force."""
    with kits.as_problems():
        kept_options = kit.kept(kits.site(kit, state))
    running = any(processes.owner(state.pidfile(name)) for name in ("cloud", "supervisor"))
    names = sorted({*kept_options, *start_options} - {"provider", "port"})
    changed = [name for name in names if kept_options.get(name) != start_options.get(name)]
    if running and changed:
        variables = " and ".join(settings.variable(name) for name in changed)
        raise Problem(f"The cloud runs already, with another {variables}: pileus down first.")
    return kept_options


def begin(kit: Kit, state: StateDirectory, say: Say) -> None:
    """Give the cloud's user its folder, where it is not this one, and start what the kit has on this machine."""
    if kit.needs_root:
        _give_folders(state)
    with kits.as_problems():
        kits.machine(kit, state).begin(say)


def _give_folders(state: StateDirectory) -> None:
    try:
        entry = pwd.getpwnam(CLOUD_USER)
    except KeyError as error:
        raise Problem(f"There is no system user '{CLOUD_USER}': run bin/setup first.") from error
    os.chown(state.cloud, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    # The group may pass to the sockets in it; root alone makes them.
    os.chown(state.channels.parent, 0, entry.pw_gid)
    state.channels.parent.chmod(0o710)


def start_host(kit: Kit, state: StateDirectory, say: Say) -> None:
    """Start the host process unless it runs."""
    if processes.owner(state.pidfile("host")) is not None:
        return
    say("starting the host")
    child = processes.execute(_host_command(kit, state), state.log("host"))
    processes.await_held(state.pidfile("host"), child, state.log("host"))


def _host_command(kit: Kit, state: StateDirectory) -> list[str]:
    # Without root, the cloud process is this user's too.
    group = CLOUD_USER if kit.needs_root else ""
    return processes.pileus("host", "run", "--state", str(state.root), "--provider", kit.name, "--group", group)


def supervised_parts(kit: Kit, state: StateDirectory) -> list[ProcessDeclaration]:
    """Return what is supervised beside the cloud process, in the order of starting."""
    with kits.as_problems():
        declarations = [*kits.machine(kit, state).processes()]
    if kit.own_process:
        command = tuple(_host_command(kit, state))
        pidfile, log = str(state.pidfile("host")), str(state.log("host"))
        declarations.append(ProcessDeclaration("host", command, pidfile, log, at=str(state.channels)))
    return declarations


def _others(kit: Kit) -> str:
    names = [other.name for other in kits.every() if not other.needs_root and other.name != kit.name]
    return " or ".join(f"--provider {name}" for name in names) or "another provider"


def _check(state: StateDirectory) -> None:
    if len(os.fsencode(state.root)) > LONGEST:
        raise Problem(f"The path of the state directory is too long for sockets below it ({LONGEST} bytes at most).")


def _check_disk(state: StateDirectory) -> None:
    """A disk that takes nothing more is said here: what fails on it later cannot even write to its log."""
    try:
        tempfile.TemporaryFile(dir=state.run).close()
    except OSError as error:
        trouble = disk.trouble(error)
        if not trouble:
            raise
        raise Problem(f"{state.root} cannot be written: {disk.WORDS[trouble]}. Mend that, and repeat.") from error
    free = shutil.disk_usage(state.root).free
    if free < ROOM:
        raise Problem(
            f"{state.root} is on a file system that is full ({free >> 20} MiB are free, {ROOM >> 20} are needed): "
            "make room, and repeat."
        )


def _refuse_another_port(state: StateDirectory, port: int | None, start_options: dict[str, object]) -> None:
    runs = any(processes.owner(state.pidfile(name)) for name in ("cloud", "supervisor"))
    if runs and port not in (None, 0, start_options.get("port")):
        raise Problem(f"The cloud runs already, on port {start_options.get('port')}: pileus down first.")


def _cloud(
    state: StateDirectory,
    kit: Kit,
    port: int | None,
    start_options: Mapping[str, object],
    kept_options: Mapping[str, str],
    say: Say,
) -> socket.socket:
    """Start the cloud unless it runs; the socket at which it listens, for a supervisor to keep."""
    running = processes.owner(state.pidfile("cloud"))
    if running is not None:
        listener_fd = processes.inherited(running, "--fd")
        if listener_fd is not None:
            return socket.socket(fileno=listener_fd)
        # Without the right to its socket only a new cloud can share one with a supervisor.
        processes.stop(running, STOP)
    say("starting the cloud")
    listener = _listen(port, start_options.get("port"))
    started = {"provider": kit.name, "port": listener.getsockname()[1], **kept_options}
    write_json(state.started, started, 0o644)
    state.endpoints.unlink(missing_ok=True)
    state.ready.unlink(missing_ok=True)
    argv = _cloud_command(state, kit, listener)
    child = processes.execute(argv, state.log("cloud"), keep=[listener.fileno()])
    processes.await_held(state.pidfile("cloud"), child, state.log("cloud"))
    return listener


def _cloud_command(state: StateDirectory, kit: Kit, listener: socket.socket) -> list[str]:
    arguments = ["cloud", "--state", str(state.root), "--provider", kit.name, "--fd", str(listener.fileno())]
    if kit.needs_root:
        arguments += ["--user", CLOUD_USER]
    return processes.module("pileus.app.entry", *arguments)


def _cloud_part(state: StateDirectory, kit: Kit, listener: socket.socket) -> ProcessDeclaration:
    """Return the cloud process for its supervisor; the socket keeps its number in it."""
    return ProcessDeclaration(
        "cloud",
        tuple(_cloud_command(state, kit, listener)),
        str(state.pidfile("cloud")),
        str(state.log("cloud")),
        listens=True,
        stale=str(state.ready),
        at=str(state.internal),
        question="GET / HTTP/1.0\r\n",
    )


def _listen(port: int | None, before: object) -> socket.socket:
    """On the port that is asked for, else on the one that it had before if that is free, else on a free one."""
    wanted = [port] if port else [*([before] if isinstance(before, int) else []), *ports.choices()]
    chosen = settings.read().listen
    if not addresses.is_socket_address(f"{chosen}:0"):
        raise Problem(f"PILEUS_LISTEN: '{chosen}' is no address: give one such as 0.0.0.0 or [::].")
    address, _ = addresses.split_socket_address(f"{chosen}:0")
    try:
        return ports.listen(address, wanted)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        if error.errno == errno.EADDRNOTAVAIL:
            raise Problem(f"PILEUS_LISTEN: {chosen} cannot be listened at: {why}.") from error
        raise Problem(f"Port {wanted[-1]} cannot be used: {why}; choose another --port.") from error


def _start(state: StateDirectory) -> tuple[int, int] | None:
    """Identify the start that made the cloud ready: its file's inode and time, in ns; None before it is."""
    try:
        status = state.ready.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _await(
    state: StateDirectory, kit: Kit, say: Say, before: tuple[int, int] | None, *, supervised: bool, recovers: bool
) -> dict[str, str]:
    """Wait until the cloud serves; return its endpoints. Ended processes start again where all are `supervised`.

    `before` is the identity of the start that had made the cloud ready; a later start may be over at the first look.
    """
    names = ("cloud", "host") if kit.own_process else ("cloud",)
    end = time.monotonic() + READY
    announced_missing: list[str] | None = None
    while True:
        gone = [name for name in names if processes.owner(state.pidfile(name)) is None]
        # Asked in this order: a cloud that was killed leaves the file until the next one starts.
        endpoints = read_json(state.ready)
        if endpoints is not None and not gone:
            break
        announced_missing = _recovering(state, announced_missing, say, requested=recovers)
        late = time.monotonic() > end
        if gone and (late or not supervised):
            log = state.log(gone[0])
            raise Problem(f"The {gone[0]} ended; {log} ends:\n{processes.tail(log)}")
        if late:
            raise Problem(f"The cloud does not answer after {READY:.0f} s; look into {state.log('cloud').parent}.")
        time.sleep(0.005)
    if _start(state) != before:
        _recovered(state, announced_missing, say, requested=recovers)
    account = read_json(state.account) or {}
    # Taken over key by key: the cloud's user must not choose what root's files hold.
    write_json(state.admin, {key: str(account.get(key, "")) for key in ACCOUNT_KEYS}, 0o600)
    _show_anchor(state)
    shown = {key: str(value) for key, value in endpoints.items()}
    write_json(state.endpoints, shown, 0o644)
    return shown


def _show_anchor(state: StateDirectory) -> None:
    """Give everybody the certificate that clients are to trust; none where the faces speak plain HTTP."""
    pem = read_file(state.anchor, 1 << 16)
    if pem is None:
        state.ca.unlink(missing_ok=True)
        return
    # The cloud's user must not choose what root's files hold: a certificate, or nothing.
    certificate = ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(pem.decode("ascii").strip()))
    write_file(state.ca, certificate.encode(), 0o644)


def _recovering(
    state: StateDirectory, announced_missing: list[str] | None, say: Say, *, requested: bool
) -> list[str] | None:
    """Say what a recovery, `requested` or needed, waits for, whenever that changes."""
    missing = (read_json(state.recovery) or {}).get("missing")
    if not isinstance(missing, list) or missing == announced_missing:
        return announced_missing
    hosts = ", ".join(str(name) for name in missing if name != "recovery")
    waits = f", waiting for: {hosts}" if hosts else ""
    say(f"{_ASKED if requested else _BEHIND}{waits}")
    return missing


def _recovered(state: StateDirectory, announced_missing: list[str] | None, say: Say, *, requested: bool) -> None:
    """Say what a recovery, `requested` or needed, did, and that there was one, unless that was announced.

    It may be over before it is seen.
    """
    recovery = read_json(state.recovery) or {}
    if announced_missing is None and "adopted" in recovery:
        say(_ASKED if requested else _BEHIND)
    for key, words in (("adopted", "rebuilt"), ("advanced", "brought up to date"), ("removed", "known to be gone")):
        if recovery.get(key):
            say(f"recovered: {len(recovery[key])} {words}: {', '.join(map(str, recovery[key][:8]))}")
    if recovery.get("unheard"):
        hosts = ", ".join(map(str, recovery["unheard"]))
        say(f"recovered without {hosts}: what is there is left as it is, and recovered when it reports")
    if recovery.get("left"):
        say(f"{len(recovery['left'])} claims are in conflict: {'; '.join(map(str, recovery['left'][:8]))}")
    if "adopted" in recovery and recovery.get("credentials") != "new":
        say("users, keys, grants and projects are as in that copy of the database: 'pileus doctor' says since when")
    if recovery.get("credentials") == "renewed":
        say("the administrator's token was not known any more: admin.json holds new credentials")
    if recovery.get("credentials") == "new":
        say(
            "the credentials were lost with the database: admin.json holds new ones for the administrator; "
            "make the other users again with 'pileus user create NAME --project PROJECT'"
        )


def recover(state: StateDirectory, say: Say = silent) -> None:
    """Recover the store of the cloud of `state` from its hosts, be it behind them or not; the cloud runs afterwards."""
    _kit(state)
    state.recover.touch()
    pid = processes.owner(state.pidfile("cloud"))
    if pid is not None:
        say("ending the cloud")
        processes.stop(pid, STOP)
    up(state, say=say, recovers=True)


def down(state: StateDirectory, *, instances: bool = False, say: Say = silent) -> None:
    """End the processes of the cloud of `state`; guests go on, unless `instances`. Safe to repeat."""
    kit = _kit(state)
    with locked(state.run / "up.lock"):
        # The supervisor first: it would start the others again.
        for name in ("supervisor", "cloud", "host"):
            pid = processes.owner(state.pidfile(name))
            if pid is not None:
                say(f"ending the {name}")
                processes.stop(pid, STOP)
        # What runs is ended, also where nothing can be written.
        with contextlib.suppress(OSError):
            state.endpoints.unlink(missing_ok=True)
            supervise.forget(state)
        with kits.as_problems():
            kits.machine(kit, state).end(say, instances=instances)


def _kit(state: StateDirectory) -> Kit:
    """The kit of the cloud of `state`, which this user may run. Raises Problem."""
    kit = kits.of(state)
    if kit is None:
        raise Problem(f"There is no cloud in {state.root}.")
    _check_user(kit)
    return kit


def _check_user(kit: Kit) -> None:
    if kit.needs_root and os.geteuid() != 0:
        raise Problem("This cloud runs as root: use sudo.")


def running(state: StateDirectory) -> dict[str, int | None]:
    """The pid of each process and daemon of the cloud, None for one that does not run."""
    kit = kits.of(state)
    if kit is None:
        if state.endpoints.exists():
            text = "is of a cloud of several processes, which are looked after by whoever started them"
            raise Problem(f"{state.root} {text}: ask each for /healthz, and 'pileus host list' for the hosts.")
        raise Problem(f"There is no cloud in {state.root}: pileus up makes one.")
    _check_user(kit)
    names = ["supervisor"]
    names += [] if state.joined.exists() else ["cloud"]
    names += ["host"] if kit.own_process else []
    pids = {name: processes.owner(state.pidfile(name)) for name in names}
    with kits.as_problems():
        return pids | dict(kits.machine(kit, state).running())
