"""The rules of an instance's power, over every combination of what is wanted, what is seen and what a host knows."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model.instance import (
    Assigned,
    Body,
    Instance,
    Power,
    PowerState,
    Seen,
    State,
    Step,
    Wanted,
    converged,
    next_step,
    state,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

STATES: tuple[PowerState, ...] = ("running", "stopped")
NUMBERS = (0, 1, 2, 3)
BOOLS = (False, True)


def bodies() -> Iterator[Body]:
    """Every body that a host may have: one that does not exist does not run."""
    for exists, running, n, reboot, satisfied, ordered in itertools.product(
        BOOLS, BOOLS, NUMBERS, (0, 1), NUMBERS, BOOLS
    ):
        if exists or not running:
            yield Body(exists=exists, running=running, n=n, reboot=reboot, satisfied=satisfied, ordered_stop=ordered)


def after(step: Step, power: Power, reboot: int, body: Body) -> Body:
    """The body after its host has done `step`, the guest having obeyed."""
    if step is Step.STOP:
        return msgspec.structs.replace(body, running=False, ordered_stop=False)
    if step is Step.START or (step is Step.MAKE and power.state == "running" and body.satisfied != power.n):
        return msgspec.structs.replace(body, exists=True, running=True, ordered_stop=False, n=power.n, reboot=reboot)
    if step is Step.MAKE:
        return msgspec.structs.replace(body, exists=True)
    return msgspec.structs.replace(body, n=power.n, reboot=reboot)


@pytest.mark.parametrize("power", [Power(state=s, n=n) for s in STATES for n in (1, 2)])
def test_steps_end_at_the_wanted_power(power: Power) -> None:
    for body, reboot in itertools.product(bodies(), (0, 1)):
        now, steps = body, []
        while (step := next_step(power, reboot, now)) is not Step.NONE:
            steps.append(step)
            now = after(step, power, reboot, now)
            assert len(steps) <= 3, (body, steps)
        ended = body.satisfied == power.n
        if power.state == "stopped":
            assert not now.running
        elif not now.running:
            assert ended
        else:
            assert not now.ordered_stop


@pytest.mark.parametrize("n", [1, 2])
def test_what_a_guest_ended_is_started_by_no_reboot_only_by_a_higher_number(n: int) -> None:
    for body, reboot in itertools.product(bodies(), (0, 1, 5)):
        if body.exists and not body.running:
            ended = msgspec.structs.replace(body, satisfied=n)
            assert next_step(Power(state="running", n=n), reboot, ended) is Step.NONE
            assert next_step(Power(state="running", n=n + 1), reboot, ended) is Step.START


def test_nothing_is_stopped_that_is_to_run_unless_for_a_reboot_or_a_stop_under_way() -> None:
    for body, n, reboot in itertools.product(bodies(), (1, 2), (0, 1)):
        if next_step(Power(state="running", n=n), reboot, body) is Step.STOP:
            assert body.running
            assert body.reboot < reboot or body.ordered_stop


def test_nothing_is_started_that_is_to_be_stopped() -> None:
    for body, n, reboot in itertools.product(bodies(), (1, 2), (0, 1)):
        assert next_step(Power(state="stopped", n=n), reboot, body) is not Step.START


def test_a_reboot_that_is_done_is_not_done_again() -> None:
    body = Body(exists=True, running=True, n=1, reboot=4)
    assert next_step(Power(), 4, body) is Step.NONE
    assert next_step(Power(), 5, body) is Step.STOP


def instances() -> Iterator[Instance]:
    """Every combination of the fields that the state and settlement depend on."""
    for power_state, n, since, tombstone, gone, host, clear in itertools.product(
        STATES, (1, 2), (1, 2), (None, 5.0), BOOLS, (None, "h"), BOOLS
    ):
        if since > n or (power_state == "stopped" and since != n) or (tombstone and not gone):
            continue  # a number is at most the last one; every stop is news; only what was to go is gone
        for running, seen_n, satisfied, reboot, current in itertools.product(
            BOOLS, (0, 1, 2), (0, 1, 2), (0, 1), BOOLS
        ):
            yield Instance(
                uuid="00000000-0000-4000-8000-000000000001",
                gone=tombstone,
                revision=(1, 7),
                wanted=Wanted(
                    flavor="f",
                    image="i",
                    power=Power(state=power_state, n=n),
                    power_since=since,
                    reboot=1,
                    gone=gone,
                ),
                assigned=Assigned(host=host, clear={"old": (1, 6)} if clear else {}),
                seen=Seen(
                    revision=(1, 7) if current else (1, 3),
                    running=running,
                    n=seen_n,
                    satisfied=satisfied,
                    reboot=reboot,
                ),
            )


# What a user sees: the first line that fits. gone, going, wanted power, runs, has reached that, its guest ended it.
TABLE: list[tuple[bool | None, bool | None, str | None, bool | None, bool | None, bool | None, State]] = [
    (True, None, None, None, None, None, State.TERMINATED),
    (False, True, None, None, None, None, State.SHUTTING_DOWN),
    (False, False, "stopped", False, True, None, State.STOPPED),
    (False, False, "stopped", None, None, None, State.STOPPING),
    (False, False, "running", True, True, None, State.RUNNING),
    (False, False, "running", False, None, True, State.STOPPED),
    (False, False, "running", None, None, None, State.PENDING),
]


def test_the_state_is_that_of_the_table() -> None:
    used = set()
    for instance in instances():
        wanted, seen = instance.wanted, instance.seen
        facts = (
            instance.gone is not None,
            wanted.gone,
            wanted.power.state,
            seen.running,
            seen.n >= wanted.power_since,
            seen.satisfied == wanted.power.n,
        )
        number, line = next(
            (number, line)
            for number, line in enumerate(TABLE)
            if all(want is None or want == fact for want, fact in zip(line[:6], facts, strict=True))
        )
        used.add(number)
        assert state(instance) is line[6], instance
    assert used == set(range(len(TABLE)))


def test_a_converged_instance_has_no_step_left_and_shows_it() -> None:
    seen_states = set()
    for instance in instances():
        if not converged(instance):
            continue
        seen_states.add(state(instance))
        if instance.gone is None:
            assert instance.assigned.host is not None
            assert not instance.assigned.clear
            assert instance.seen.revision == instance.revision
            assert instance.seen.reboot >= instance.wanted.reboot
            assert state(instance) in (State.RUNNING, State.STOPPED)
    assert seen_states == {State.RUNNING, State.STOPPED, State.TERMINATED}


@pytest.mark.parametrize(
    "change",
    [
        {"revision": (1, 8)},
        {"wanted": {"reboot": 2}},
        {"wanted": {"gone": True}},
        {"wanted": {"power": Power(state="stopped", n=2)}},
        {"wanted": {"power": Power(state="running", n=2)}},
        {"assigned": {"host": None}},
        {"assigned": {"clear": {"other": (1, 2)}}},
        {"seen": {"running": False}},
        {"seen": {"revision": (1, 6)}},
    ],
    ids=str,
)
def test_a_row_with_any_single_lag_has_not_converged(change: dict[str, object]) -> None:
    instance = Instance(
        uuid="00000000-0000-4000-8000-000000000001",
        revision=(1, 7),
        wanted=Wanted(flavor="f", image="i", reboot=1),
        assigned=Assigned(host="h"),
        seen=Seen(revision=(1, 7), running=True, n=1, reboot=1),
    )
    assert converged(instance)
    for part, value in change.items():
        new = value if part == "revision" else msgspec.structs.replace(getattr(instance, part), **value)  # type: ignore[arg-type]
        instance = msgspec.structs.replace(instance, **{part: new})
    assert not converged(instance)


def test_a_start_of_what_runs_does_not_make_it_pending() -> None:
    wanted = Wanted(flavor="f", image="i", power=Power(state="running", n=2), power_since=1)
    instance = Instance(uuid="u", wanted=wanted, assigned=Assigned(host="h"), seen=Seen(running=True, n=1))
    assert state(instance) is State.RUNNING
    assert not converged(instance)
