"""Whether the processor's virtualisation works here: found out by a guest that really runs, once per boot.

That /dev/kvm exists says little: inside some other hypervisors a guest on it hangs, or QEMU aborts.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

import msgspec

from pileus.providers.local.layout import SHARED
from pileus.providers.local.machine.domain import Accelerator

CACHE = SHARED / "kvm.json"
"""The verdict of this boot, for all clouds of this machine."""

PATIENCE = 5.0
"""Seconds that the probe's guest may take; it needs a tenth of one even when it is emulated."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_DEVICE = Path("/dev/kvm")
_EMULATOR = "qemu-system-x86_64"
_EXIT_PORT, _EXIT_VALUE = 0xF4, 0x10
_RAN = _EXIT_VALUE << 1 | 1
"""QEMU's own exit code when the guest writes the value to isa-debug-exit (its hw/misc/debugexit.c)."""

_DISK = 1 << 20
_CODE = bytes(
    (
        *(0xFB, 0xF4),  # sti; hlt: goes on when the timer interrupts, so interrupts work too
        *(0xBA, _EXIT_PORT, 0x00),  # mov dx, port
        *(0xB0, _EXIT_VALUE),  # mov al, value
        0xEE,  # out dx, al
        *(0xFA, 0xF4),  # cli; hlt: for ever
    )
)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The probe's result in the boot with the id `boot`; `why` in words, for people."""

    boot: str
    works: bool
    why: str


def accelerator(cache: Path = CACHE) -> Accelerator:
    """Return the accelerator for guests: `kvm` only when `settle` saw a guest run on it since the machine booted."""
    verdict = _kept(cache, _boot())
    return "kvm" if verdict is not None and verdict.works else "tcg"


def kept(cache: Path = CACHE) -> Verdict | None:
    """The verdict of this boot; None before the first `settle`."""
    return _kept(cache, _boot())


def settle(cache: Path = CACHE) -> Verdict:
    """The verdict of this boot; the first call probes, for at most `PATIENCE` seconds and a little, and keeps it.

    Without QEMU there is nothing to keep. Raises OSError when `cache` cannot be written.
    """
    boot = _boot()
    verdict = _kept(cache, boot)
    if verdict is not None:
        return verdict
    if not _DEVICE.exists():
        verdict = Verdict(boot=boot, works=False, why=f"there is no {_DEVICE}")
    else:
        try:
            works, why = judged(*run_guest("kvm"))
        except FileNotFoundError:
            return Verdict(boot=boot, works=False, why=f"{_EMULATOR} is not installed")
        verdict = Verdict(boot=boot, works=works, why=why)
    _keep(cache, verdict)
    return verdict


def judged(code: int | None, output: str) -> tuple[bool, str]:
    """Return the verdict (works or not, and why) for QEMU's exit code (None: it had to be ended) and its output."""
    if code == _RAN:
        return True, "a guest ran"
    if code is None:
        return False, f"a guest did not answer within {PATIENCE:.0f} s"
    last = (output.strip().splitlines() or ["it said nothing"])[-1]
    return False, f"QEMU ended with {code}: {last}"


def run_guest(on: Accelerator, patience: float = PATIENCE) -> tuple[int | None, str]:
    """Boot a guest of one sector: QEMU's exit code, None after `patience` seconds, and what it said.

    Firmware and boot sector use real and protected mode, a PCI disk and timer interrupts. Raises
    FileNotFoundError when QEMU is not installed.
    """
    # A QEMU that aborts leaves its core, if any, where it was started.
    with tempfile.TemporaryDirectory(prefix="pileus-kvm-") as folder:
        Path(folder, "disk").write_bytes(boot_disk())
        with Path(folder, "said").open("w+") as output_file:
            process = subprocess.Popen(
                [
                    *(_EMULATOR, "-no-user-config", "-nodefaults", "-display", "none"),
                    *("-machine", "q35", "-accel", on, "-m", "32", "-cpu", "host" if on == "kvm" else "max"),
                    *("-device", f"isa-debug-exit,iobase={_EXIT_PORT:#x},iosize=1"),
                    *("-drive", "file=disk,format=raw,if=virtio,readonly=on"),
                ],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output_file,
            )
            try:
                code: int | None = process.wait(patience)
            except subprocess.TimeoutExpired:
                code = None
                process.kill()
                # One that hangs in the kernel cannot even be killed; it is not waited for.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1)
            output_file.seek(0)
            return code, output_file.read(4096)


def boot_disk() -> bytes:
    """A disk whose first sector is a whole guest: it tells QEMU to exit once a timer interrupt has come."""
    return (_CODE.ljust(510, b"\0") + b"\x55\xaa").ljust(_DISK, b"\0")


def _kept(cache: Path, boot: str) -> Verdict | None:
    """The verdict in `cache` if it is of this boot; None for anything else."""
    try:
        verdict = msgspec.json.decode(cache.read_bytes(), type=Verdict)
    except (OSError, msgspec.MsgspecError):
        return None
    return verdict if verdict.boot == boot else None


def _keep(cache: Path, verdict: Verdict) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(prefix=f".{cache.name}-", dir=cache.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(verdict))
    Path(aside).chmod(0o644)
    Path(aside).rename(cache)


def _boot() -> str:
    return _BOOT.read_text().strip()
