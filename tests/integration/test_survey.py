"""A survey finds the modes that a sandbox was started with, within the budget, and says what it cannot know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.app.running import load_settings
from sidecar.app.survey import Survey, SurveyOptions, survey
from sidecar.core.model import Budget, Secret
from sidecar.sandbox import Sandbox, SandboxConfig
from tests.support.hand_clock import HandClock

KEYS = {"api-key": "survey-key", "api-secret": "survey-secret", "signing-key": "survey-signing-key"}
CONFIG = SandboxConfig(
    api_key=Secret(KEYS["api-key"]),
    api_secret=Secret(KEYS["api-secret"]),
    signing_key=Secret(KEYS["signing-key"]),
    limit=Budget(1000, 60),
    token_lifetime_s=3000,
)
USUAL = {
    "declared-lifetime": "none",
    "dates": "yes, +0 s",
    "get-signed": "no",
    "same-after-grant": "no",
    "old-after-grant": "yes",
    "same-after-refresh": "no",
    "refresh-auth": "no",
    "old-after-refresh": "yes",
    "refresh-reuse": "no",
    "reuse-ends-family": "no",
    "post-signed": "yes",
    "timestamp-tolerance": "300",
    "old-token-signs": "yes",
}
"""What is found of a sandbox without options."""
SAME_TOKEN = "not found out: it is the same token"
SAME_TOKENS = "not found out: the refresh gave the same tokens"
MODES: Mapping[str, tuple[dict[str, Any], dict[str, str]]] = {
    "usual": ({}, {}),
    "revoke previous": ({"revoke_previous": True}, {"old-after-grant": "no", "old-after-refresh": "no"}),
    "revoke on grant": ({"revoke_on_grant": True}, {"old-after-grant": "no"}),
    "revoke on refresh": ({"revoke_on_refresh": True}, {"old-after-refresh": "no"}),
    "end family": ({"refresh_reuse": "end-family"}, {"reuse-ends-family": "yes"}),
    "accept reuse": (
        {"refresh_reuse": "accept"},
        {"refresh-reuse": "yes", "reuse-ends-family": "not found out: it can be used twice"},
    ),
    "same token": (
        {"same_token": True},
        {
            "same-after-grant": "yes", "old-after-grant": SAME_TOKEN, "same-after-refresh": "yes",
            "old-after-refresh": SAME_TOKEN, "refresh-reuse": SAME_TOKENS, "reuse-ends-family": SAME_TOKENS,
        },
    ),
    "declared": ({"declares_lifetime": True}, {"declared-lifetime": "3000 s"}),
    "no Date": ({"sends_date": False}, {"dates": "no Date"}),
    "ahead": ({"clock_offset_s": 700}, {"dates": "yes, +700 s"}),
    "behind": ({"clock_offset_s": -700}, {"dates": "yes, -700 s"}),
    "all signed": ({"signed_requests": "all"}, {"get-signed": "yes"}),
    "tolerance": ({"timestamp_tolerance_s": 17}, {"timestamp-tolerance": "17"}),
    "timestamp of the token": ({"timestamp_of": "token"}, {"old-token-signs": "no, not one of more than 300 s"}),
}  # fmt: skip


async def surveyed(
    folder: Path, config: SandboxConfig, options: SurveyOptions | None = None, **settings: str
) -> Survey:
    for name, text in KEYS.items():
        (folder / name).write_text(text)
    clock = HandClock()
    sandbox = Sandbox(config, clock)
    url = await sandbox.start()
    try:
        loaded = load_settings(
            {"SIDECAR_BASE_URL": url, "SIDECAR_CREDENTIALS_DIR": str(folder)}
            | {f"SIDECAR_{name}": text for name, text in settings.items()}
        )
        options = options or SurveyOptions()
        done = await survey(loaded, loaded.profiles[0], options, lambda _: True, lambda _: None, clock)
    finally:
        await sandbox.stop()
    assert not any(request["status"] == 201 for request in sandbox.state.journal.shown()["requests"])  # type: ignore[attr-defined]
    return done


def found(done: Survey) -> dict[str, str]:
    return {one.key: one.found for one in done.findings}


@pytest.mark.parametrize("mode", MODES)
async def test_it_finds_the_mode_that_the_partner_is_in(mode: str, tmp_path: Path) -> None:
    options, differences = MODES[mode]
    done = await surveyed(tmp_path, replace(CONFIG, **options))
    expected = USUAL | differences
    tolerance_s = int(expected.pop("timestamp-tolerance"))
    measured = found(done)
    # To the second: `Date` has whole ones.
    low, high = measured.pop("timestamp-tolerance").removesuffix(" s").split(" to ")
    assert abs(int(low) - tolerance_s) <= 1
    assert int(high) == int(low) + 1
    if mode == "timestamp of the token":
        measured["old-token-signs"] = measured["old-token-signs"].replace("299", "300")
    assert (measured, done.stopped) == (expected, "")


async def test_the_settings_follow_from_what_was_found(tmp_path: Path) -> None:
    config = replace(CONFIG, signed_requests="all", timestamp_of="token", timestamp_tolerance_s=40)
    done = await surveyed(tmp_path, config)
    settings = {name: value for one in done.findings for name, value in one.settings.items()}
    assert settings["gateway_sign"] == "all"
    assert 39 <= float(settings["token_lifetime_s"]) <= 40


async def test_signatures_that_are_not_checked_are_said_to_be_unknown(tmp_path: Path) -> None:
    done = await surveyed(tmp_path, replace(CONFIG, signed_requests="none"))
    assert "signatures are not checked" in found(done)["post-signed"]
    assert {one.sure for one in done.findings if "sign" in one.key and one.key != "get-signed"} == {"unknown"}


async def test_it_waits_for_the_budget(tmp_path: Path) -> None:
    """The partner's limit is the budget: one call more in a window would be a 429."""
    done = await surveyed(tmp_path, replace(CONFIG, limit=Budget(2, 60)), CALL_BUDGET="2/60")
    assert (done.stopped, found(done)["old-after-refresh"]) == ("", "yes")


async def test_a_429_ends_it_and_what_was_found_stays(tmp_path: Path) -> None:
    done = await surveyed(tmp_path, replace(CONFIG, limit=Budget(2, 600)), CALL_BUDGET="1000/60")
    assert "the partner answered 429, and no call is made for 600 s" in done.stopped
    assert found(done)["old-after-grant"] == "yes"


async def test_an_account_that_gets_no_token_is_said(tmp_path: Path) -> None:
    done = await surveyed(tmp_path, replace(CONFIG, api_secret=Secret("another")))
    assert (done.findings, done.stopped) == ([], "the partner gave no token: rejected (401 SANDBOX-UNAUTHORIZED)")


async def test_a_step_that_is_not_wanted_is_left_out(tmp_path: Path) -> None:
    for name, text in KEYS.items():
        (tmp_path / name).write_text(text)
    settings = load_settings({"SIDECAR_BASE_URL": "http://127.0.0.1:9", "SIDECAR_CREDENTIALS_DIR": str(tmp_path)})
    asked: list[str] = []

    def no(what: str) -> bool:
        asked.append(what)
        return False

    done = await survey(settings, settings.profiles[0], SurveyOptions(), no, lambda _: None, HandClock())
    assert (done.findings, done.stopped, len(asked)) == ([], "", 1)


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
    for name, text in KEYS.items():
        (tmp_path / name).write_text(text)
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


ACME = """
partner = "acme"
credentials_dir = "{folder}"
call_budget = "1000/60"

[partners.acme]
token_path = "/v2/session"
client_auth = "header"
key_header = "X-Key"
secret_header = "X-Secret"
access_field = "data.token"
refresh_path = "/v2/renew"
refresh_field = "data.renewal"
token_header = "X-Session"
token_scheme = ""
probe_path = "/v2/me"
sign_probe = {{ path = "/v2/orders", content_type = "application/json" }}
sign = {{ parts = ["body", "timestamp"], timestamp_header = "X-T", signature_header = "X-S", encoding = "base64" }}
"""


async def test_a_partner_that_is_a_table_is_surveyed_as_well(tmp_path: Path) -> None:
    """Its table says that a refresh takes key and secret, and its sandbox is as strict as that."""
    for name, text in KEYS.items():
        (tmp_path / name).write_text(text)
    config = tmp_path / "sidecar.toml"
    config.write_text(ACME.format(folder=tmp_path))
    table = load_settings({"SIDECAR_CONFIG": str(config), "SIDECAR_BASE_URL": "http://127.0.0.1:9"}).profiles[0].table
    clock = HandClock()
    sandbox = Sandbox(replace(CONFIG, partners=(table,), timestamp_tolerance_s=60, revoke_on_grant=True), clock)
    url = await sandbox.start()
    try:
        settings = load_settings({"SIDECAR_CONFIG": str(config), "SIDECAR_BASE_URL": url})
        done = await survey(settings, settings.profiles[0], SurveyOptions(), lambda _: True, lambda _: None, clock)
    finally:
        await sandbox.stop()
    measured = found(done)
    assert measured.pop("timestamp-tolerance") in ("59 to 60 s", "60 to 61 s")
    expected = USUAL | {"refresh-auth": "yes", "old-after-grant": "no"}
    del expected["timestamp-tolerance"]
    assert (measured, done.stopped) == (expected, "")
