"""A survey measures how long a token lives, over several runs if need be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.app.running import load_settings
from sidecar.app.survey import SurveyOptions, survey
from sidecar.sandbox import Sandbox
from tests.support.hand_clock import HandClock
from tests.support.surveys import CONFIG, found, surveyed, write_keys


async def test_it_watches_how_long_a_token_lives(tmp_path: Path) -> None:
    state = tmp_path / "state"
    options = SurveyOptions(watch_state=state, watch_every_s=10)
    done = await surveyed(tmp_path, replace(CONFIG, token_lifetime_s=605), options)
    assert found(done)["lives"] == "600 to 610 s"
    assert not state.exists()


async def test_a_watch_goes_on_where_it_was_left(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("no JSON")
    done = await surveyed(tmp_path, CONFIG, SurveyOptions(watch_state=state))
    assert "is no state of a survey" in done.stopped
    state.write_text(json.dumps({"access": "a", "issuedAt": 1, "acceptedAt": 2, "profileId": "another"}))
    done = await surveyed(tmp_path, CONFIG, SurveyOptions(watch_state=state))
    assert "is of another account" in done.stopped


async def test_a_watch_that_was_interrupted_tries_the_same_token_again(tmp_path: Path) -> None:
    """The second run starts with the state of the first, and needs no new token for it."""
    write_keys(tmp_path)
    clock, state = HandClock(), tmp_path / "state"
    sandbox = Sandbox(replace(CONFIG, token_lifetime_s=605), clock)
    settings = load_settings({"SIDECAR_BASE_URL": await sandbox.start(), "SIDECAR_CREDENTIALS_DIR": str(tmp_path)})
    options = SurveyOptions(watch_state=state, watch_every_s=10)

    class InterruptedRunError(Exception): ...

    class Impatient(HandClock):
        async def sleep(self, delay_s: float) -> None:
            raise InterruptedRunError

    def watching_only(what: str) -> bool:
        return what.startswith(("Get two tokens", "Try one token"))

    try:
        with pytest.raises(InterruptedRunError):
            await survey(settings, settings.profiles[0], options, watching_only, lambda _: None, Impatient())
        assert state.stat().st_mode & 0o777 == 0o600
        before = len(sandbox.state.journal.calls)
        done = await survey(settings, settings.profiles[0], options, watching_only, lambda _: None, clock)
        assert len(sandbox.state.journal.calls) == before + 2, "the two of the first step"
    finally:
        await sandbox.stop()
    assert found(done)["lives"] == "600 to 610 s"
