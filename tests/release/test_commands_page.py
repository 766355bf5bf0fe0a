"""The page of the commands is the program's help, which is the same on Python 3.11, 3.12 and 3.13."""

from __future__ import annotations

from sidecar.cli.main import _COMMANDS
from tests.release.commands_page import PAGE, commands, page


def test_the_page_is_what_the_program_prints() -> None:
    """`python -m tests.release.commands_page` writes it."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_page_has_every_command() -> None:
    assert commands() == list(_COMMANDS)
