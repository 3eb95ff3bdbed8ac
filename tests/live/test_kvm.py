"""The probe's guest really runs where it can, and guests get /dev/kvm only where it did."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pileus.providers.local.engine import chassis
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import daemon, kvm
from tests.live.daemons import purge_engine, purge_libvirtd

pytestmark = pytest.mark.cost(5)


@pytest.fixture
def layout() -> Iterator[Layout]:
    with tempfile.TemporaryDirectory(prefix="pileus-kvm-") as folder:
        layout = Layout(Path(folder) / "s")
        layout.state.mkdir()
        chassis.prepare(layout)
        try:
            yield layout
        finally:
            purge_libvirtd(layout)
            purge_engine(layout)


def test_the_guest_runs_when_it_is_emulated() -> None:
    code, said = kvm.run_guest("tcg", 30)
    assert kvm.judged(code, said) == (True, "a guest ran"), said


def test_one_that_does_not_answer_is_ended() -> None:
    assert kvm.run_guest("tcg", 0)[0] is None


def test_the_verdict_is_what_a_guest_says_and_is_kept(tmp_path: Path) -> None:
    cache = tmp_path / "folder" / "kvm.json"
    verdict = kvm.settle(cache)
    print(f"kvm works: {verdict.works}: {verdict.why}")
    works = Path("/dev/kvm").exists() and kvm.judged(*kvm.run_guest("kvm"))[0]
    assert verdict.works == works
    assert kvm.accelerator(cache) == ("kvm" if works else "tcg")
    written = cache.stat().st_mtime_ns
    assert kvm.settle(cache) == verdict
    assert cache.stat().st_mtime_ns == written
    assert [path.name for path in cache.parent.iterdir()] == ["kvm.json"]


def test_libvirtd_has_the_device_only_when_it_works(layout: Layout) -> None:
    daemon.up(layout)
    assert kvm.CACHE.exists()
    device = Path(f"/proc/{daemon.pid(layout)}/root/dev/kvm")
    assert device.exists() == kvm.settle().works
