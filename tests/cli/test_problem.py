"""Messages of commands: lines that command no terminal, whatever names they have."""

from __future__ import annotations

import pytest

from pileus.cli.options import show_named
from pileus.cli.problem import Problem, spoken


def test_names_in_a_message_command_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """An administrator reads names that other users chose."""

    def fail() -> None:
        raise Problem("\x1b]0;owned\x07 is stopped.\nThe log ends:\n\x9b2J")

    with pytest.raises(SystemExit) as ended:
        spoken(fail)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "pileus: \ufffd]0;owned\ufffd is stopped.\nThe log ends:\n\ufffd2J\n"
    show_named({"id": "i-1", "name": "\x1b[2J"}, as_json=False)
    assert capsys.readouterr().out == "i-1  \ufffd[2J\n"
