"""A survey finds the modes that a sandbox was started with, within the budget, and says what it cannot know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.app.running import load_settings
from sidecar.app.survey import SurveyOptions, survey
from sidecar.core.model import Budget, Secret
from sidecar.sandbox import Sandbox
from tests.support.hand_clock import HandClock
from tests.support.surveys import CONFIG, USUAL, found, surveyed, write_keys

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


async def test_no_call_is_made_in_a_cool_down_of_the_store(tmp_path: Path) -> None:
    """The first run ends with a 429, which the fleet's store remembers."""
    write_keys(tmp_path)
    clock = HandClock()
    sandbox = Sandbox(replace(CONFIG, limit=Budget(1, 600)), clock)
    settings = load_settings(
        {
            "SIDECAR_BASE_URL": await sandbox.start(),
            "SIDECAR_CREDENTIALS_DIR": str(tmp_path),
            "SIDECAR_STORE": f"sqlite://{tmp_path}/state.db",
            "SIDECAR_SEAL": "off",
        }
    )
    try:
        runs = [
            await survey(settings, settings.profiles[0], SurveyOptions(), lambda _: True, lambda _: None, clock)
            for _ in range(2)
        ]
    finally:
        await sandbox.stop()
    assert "the partner answered 429" in runs[0].stopped
    assert "the account is in a cool-down for" in runs[1].stopped
    assert len(sandbox.state.journal.calls) == 2


async def test_without_the_store_that_holds_the_budget_no_call_is_made(tmp_path: Path) -> None:
    done = await surveyed(tmp_path, CONFIG, STORE="redis://127.0.0.1:1", SEAL="off")
    assert (done.findings, "the store is not there" in done.stopped) == ([], True)


async def test_an_account_that_gets_no_token_is_said(tmp_path: Path) -> None:
    done = await surveyed(tmp_path, replace(CONFIG, api_secret=Secret("another")))
    assert (done.findings, done.stopped) == ([], "the partner gave no token: rejected (401 SANDBOX-UNAUTHORIZED)")


async def test_a_step_that_is_not_wanted_is_left_out(tmp_path: Path) -> None:
    write_keys(tmp_path)
    settings = load_settings({"SIDECAR_BASE_URL": "http://127.0.0.1:9", "SIDECAR_CREDENTIALS_DIR": str(tmp_path)})
    asked: list[str] = []

    def no(what: str) -> bool:
        asked.append(what)
        return False

    done = await survey(settings, settings.profiles[0], SurveyOptions(), no, lambda _: None, HandClock())
    assert (done.findings, done.stopped, len(asked)) == ([], "", 1)


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
    write_keys(tmp_path)
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
