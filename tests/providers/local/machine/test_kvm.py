"""What makes the hardware's virtualisation worth using: a guest that ran, during this boot, and nothing less."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.providers.local.machine import kvm

RAN = 33
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def kept(folder: Path, text: str) -> Path:
    cache = folder / "kvm.json"
    cache.write_text(text)
    return cache


def verdict(*, works: bool, boot: str = BOOT, probe: int = kvm.PROBE) -> str:
    return f'{{"boot":"{boot}","probe":{probe},"works":{str(works).lower()},"why":"a test says so"}}'


def test_a_guest_that_ran_is_proof() -> None:
    assert kvm.judged(RAN, "warning: whatever\n") == (True, "a guest ran")


@given(st.one_of(st.none(), st.integers(-64, 255).filter(lambda code: code != RAN)), st.text())
def test_nothing_else_is(code: int | None, said: str) -> None:
    works, why = kvm.judged(code, said)
    assert not works
    assert why


def test_an_abort_is_told_with_its_last_line() -> None:
    works, why = kvm.judged(-6, "first\nkvm_buf_set_msrs: Assertion failed.\n")
    assert (works, why) == (False, "QEMU ended with -6: kvm_buf_set_msrs: Assertion failed.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (verdict(works=True), "kvm"),
        (verdict(works=False), "tcg"),
        (verdict(works=True, boot="an earlier one"), "tcg"),
        (verdict(works=True, probe=kvm.PROBE - 1), "tcg"),
        ("", "tcg"),
        ("[]", "tcg"),
        ('{"works":true}', "tcg"),
    ],
)
def test_only_a_yes_of_this_boot_counts(tmp_path: Path, text: str, expected: str) -> None:
    assert kvm.accelerator(kept(tmp_path, text)) == expected


def test_without_a_verdict_nothing_is_assumed_and_nothing_is_run(tmp_path: Path) -> None:
    assert kvm.accelerator(tmp_path / "kvm.json") == "tcg"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("works", [True, False])
def test_the_verdict_of_this_boot_is_taken_as_it_is(tmp_path: Path, *, works: bool) -> None:
    found = kvm.settle(kept(tmp_path, verdict(works=works)))
    assert (found.works, found.why) == (works, "a test says so")


def test_a_verdict_of_an_earlier_probe_is_found_out_anew(tmp_path: Path) -> None:
    cache = kept(tmp_path, verdict(works=True, probe=kvm.PROBE - 1).replace("a test says so", "an older guest ran"))
    verdict_now = kvm.settle(cache)
    assert verdict_now.why != "an older guest ran"
    assert kvm.kept(cache) == verdict_now


def test_the_guest_is_one_boot_sector() -> None:
    disk = kvm.boot_disk()
    assert disk[510:512] == b"\x55\xaa"
    assert len(disk) == 1 << 20
    assert not any(disk[512:])
