"""Inspections of uploads take no request thread, end in time, and are shared among projects."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.app.inspection import Inspections
from pileus.model import bounds
from pileus.model.errors import Throttled
from pileus.objects import ObjectStore, inspection
from tests.app.test_archives import LOWER, bundle, upload

if TYPE_CHECKING:
    from tests.app.stub import Stub


def test_a_message_longer_than_a_pipe_is_read_and_cut(stub: Stub, tmp_path: Path) -> None:
    path = bundle(tmp_path / "loud.tar", [LOWER], architecture="x\n" * 500_000)
    refused = upload(stub, path)["error"]
    assert refused["code"] == "InvalidValue"
    assert "processors" in refused["message"]
    assert len(refused["message"]) < bounds.INSPECTION_MESSAGE.most


def test_a_process_that_writes_much_to_both_pipes_is_drained(tmp_path: Path) -> None:
    objects = ObjectStore(tmp_path / "objects")
    script = "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero; echo >&2; echo last >&2"
    with objects.incoming() as target, Path("/dev/null").open("rb") as upload_file:
        assert inspection.inspect(["sh", "-c", script], upload_file.fileno(), target, 60) == (0, "last")
        assert target.size == 300_000


def test_what_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    objects = ObjectStore(tmp_path / "objects")
    # The child holds both pipes: reading them ends when it does.
    with objects.incoming() as target, Path("/dev/null").open("rb") as upload_file:
        status, _ = inspection.inspect(["sh", "-c", "sleep 1000 & sleep 1000"], upload_file.fileno(), target, 0.1)
    assert status < 0


def test_the_time_of_an_inspection_follows_the_size_of_the_upload_and_ends() -> None:
    assert inspection.seconds_for(0) == bounds.INSPECTION_SECONDS.most
    assert inspection.seconds_for(400 << 20) == bounds.INSPECTION_SECONDS.most + 100
    assert inspection.seconds_for(1 << 40) == bounds.INSPECTION_SECONDS_IN_ALL.most


def test_a_project_that_fills_its_share_keeps_no_other_from_inspecting() -> None:
    end, running = threading.Event(), threading.Semaphore(0)

    def blocked() -> None:
        running.release()
        assert end.wait(30)

    async def scenario() -> None:
        inspections = Inspections()
        try:
            share = [
                asyncio.create_task(inspections.run("greedy", blocked)) for _ in range(bounds.WAITING_INSPECTIONS.most)
            ]
            for _ in range(bounds.PROJECT_INSPECTIONS.most):
                assert await asyncio.to_thread(running.acquire, timeout=30)
            with pytest.raises(Throttled):
                await inspections.run("greedy", blocked)
            assert await inspections.run("modest", lambda: "modest") == "modest"
            assert not running.acquire(blocking=False)
            end.set()
            await asyncio.gather(*share)
            # The share is free again.
            await inspections.run("greedy", blocked)
        finally:
            end.set()
            inspections.close()

    asyncio.run(scenario())
