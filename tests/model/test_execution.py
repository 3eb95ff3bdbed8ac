"""Frames of commands: any split of their bytes gives the same frames, and nonsense is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model import bounds, execution
from pileus.model.execution import Command, Frame, FrameKind, FrameReader, Window

FRAMES = st.lists(st.builds(Frame, st.sampled_from(FrameKind), st.binary(max_size=50)), max_size=8)


@given(frames=FRAMES, cuts=st.lists(st.integers(0, 400)))
def test_frames_are_the_same_however_their_bytes_come(frames: list[Frame], cuts: list[int]) -> None:
    data = b"".join(execution.encode(*frame) for frame in frames)
    ends = sorted({*(cut % (len(data) + 1) for cut in cuts), len(data)})
    reader, start, read = FrameReader(), 0, []
    for end in ends:
        read += reader.feed(data[start:end])
        start = end
    assert read == frames


@given(data=st.binary(max_size=60))
def test_a_stranger_s_bytes_are_frames_or_refused(data: bytes) -> None:
    try:
        frames = FrameReader().feed(data)
    except ValueError:
        return
    assert sum(5 + len(frame.data) for frame in frames) <= len(data)


def test_a_frame_that_is_too_long_is_refused_by_its_head() -> None:
    head = execution.encode(FrameKind.INPUT)[:1] + (bounds.EXECUTION_FRAME.most + 1).to_bytes(4, "big")
    with pytest.raises(ValueError, match="at most"):
        FrameReader().feed(head)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@given(words=st.lists(TEXT, min_size=1, max_size=4).filter(lambda words: bool(words[0])), terminal=TEXT)
def test_a_command_comes_as_it_was_sent(words: list[str], terminal: str) -> None:
    command = Command(words=tuple(words), terminal=terminal, rows=3, columns=4)
    (frame,) = FrameReader().feed(execution.encode_command(command))
    assert execution.decode_command(frame.data) == command


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b'{"words": []}', b'{"words": [""]}', b'{"words": ["a\\u0000b"]}', b'{"words": ["a"], "rows": 70000}'],
)
def test_a_command_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"command|terminal"):
        execution.decode_command(data)


def test_a_window_has_four_bytes() -> None:
    (frame,) = FrameReader().feed(execution.encode_window(Window(50, 132)))
    assert execution.decode_window(frame.data) == (50, 132)
    with pytest.raises(ValueError, match="four bytes"):
        execution.decode_window(b"\0")
