"""Whether the processor's virtualisation works here: found out by a guest that really runs, once per boot.

That /dev/kvm exists says little: inside some other hypervisors a guest on it hangs, or QEMU aborts.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from pathlib import Path

import msgspec

from pileus.posix.files import write_file
from pileus.providers.local.layout import SHARED
from pileus.providers.local.machine.domain import Accelerator

CACHE = SHARED / "kvm.json"
"""The verdict of this boot, for all clouds of this machine."""

PATIENCE = 5.0
"""Seconds that the probe's guest may take; it needs a tenth of one even when it is emulated."""

PROBE = 2
"""The number of the probe's guest: the verdict of an earlier guest counts no more."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_DEVICE = Path("/dev/kvm")
_EMULATOR = "qemu-system-x86_64"
_EXIT_PORT, _EXIT_VALUE = 0xF4, 0x10
_RAN = _EXIT_VALUE << 1 | 1
"""QEMU's own exit code when the guest writes the value to isa-debug-exit (its hw/misc/debugexit.c)."""

_DISK = 1 << 20
_CODE = bytes.fromhex(
    # Real mode, at 0x7C00: goes on when the timer interrupts.
    "fb f4"  # sti; hlt
    # To protected mode, which boot loaders run in.
    "fa 31c0 8ed8"  # cli; xor ax, ax; mov ds, ax
    "660f0116c07c"  # lgdt [gdtr]
    "0f20c0 0c01 0f22c0"  # mov eax, cr0; or al, 1; mov cr0, eax
    "66ea1d7c00000800"  # jmp 0x08:protected
    # protected: flat segments, a stack, one gate of an interrupt table at 0x2000.
    "66b81000 8ed8 8ec0 8ed0 bc00700000"  # mov ax, 0x10; mov ds, es, ss; mov esp, 0x7000
    "c70500210000957c0800 c70504210000008e0000"  # gate 0x20: handler
    "0f011dc67c0000 cd20"  # lidt [idtr]; int 0x20
    # To long mode, which kernels run in: one page of 2 MiB, by tables at 0x3000.
    "c7050030000003400000 c7050040000003500000 c7050050000083000000"
    "0f20e0 0c20 0f22e0"  # cr4: PAE
    "b800300000 0f22d8"  # cr3: the tables
    "b9800000c0 0f32 80cc01 0f30"  # EFER: LME
    "0f20c0 0d00000080 0f22c0"  # cr0: PG
    "ea967c00001800"  # jmp 0x18:long
    "cf"  # handler: iret
    "66baf400 b010 ee"  # long: out 0xF4, 0x10
    "fa f4"  # cli; hlt: for ever
    "90"
    # The segment table: none, 32-bit code, data, 64-bit code; then gdtr and idtr.
    "0000000000000000 ffff0000009acf00 ffff00000092cf00 ffff0000009aaf00"
    "1f00a07c0000 ff0700200000"
)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the probe `probe` in the boot with the id `boot`; `why` in words, for people."""

    boot: str
    probe: int = 1
    works: bool
    why: str


def accelerator(cache: Path = CACHE) -> Accelerator:
    """Return the accelerator for guests: `kvm` only when `settle` saw a guest run on it since the machine booted."""
    verdict = kept(cache)
    return "kvm" if verdict is not None and verdict.works else "tcg"


def kept(cache: Path = CACHE) -> Verdict | None:
    """The verdict of this boot; None before the first `settle`."""
    try:
        verdict = msgspec.json.decode(cache.read_bytes(), type=Verdict)
    except (OSError, msgspec.MsgspecError):
        return None
    return verdict if (verdict.boot, verdict.probe) == (boot_id(), PROBE) else None


def settle(cache: Path = CACHE) -> Verdict:
    """The verdict of this boot; the first call probes, for at most `PATIENCE` seconds and a little, and keeps it.

    Without QEMU there is nothing to keep. Raises OSError when `cache` cannot be written.
    """
    boot, verdict = boot_id(), kept(cache)
    if verdict is not None:
        return verdict
    if not _DEVICE.exists():
        verdict = Verdict(boot=boot, probe=PROBE, works=False, why=f"there is no {_DEVICE}")
    else:
        try:
            works, why = judged(*run_guest("kvm"))
        except FileNotFoundError:
            return Verdict(boot=boot, probe=PROBE, works=False, why=f"{_EMULATOR} is not installed")
        verdict = Verdict(boot=boot, probe=PROBE, works=works, why=why)
    cache.parent.mkdir(parents=True, exist_ok=True)
    # Of this boot, and tried again after the next: it need not survive a power cut.
    write_file(cache, msgspec.json.encode(verdict), 0o644, lasting=False)
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

    Firmware and boot sector use real, protected and long mode, interrupts, a return from one in protected mode (some
    hypervisors of hypervisors fail at that alone), and a PCI disk. Raises FileNotFoundError when QEMU is not installed.
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
    """A disk whose first sector is a whole guest: it tells QEMU to exit once it has come to long mode."""
    return (_CODE.ljust(510, b"\0") + b"\x55\xaa").ljust(_DISK, b"\0")


def boot_id() -> str:
    """The id of the machine's life since it booted last."""
    return _BOOT.read_text().strip()
