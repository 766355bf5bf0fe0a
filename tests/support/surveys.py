"""Surveys of a sandbox, on a clock that only sleeps move."""

from __future__ import annotations

from pathlib import Path

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


def write_keys(folder: Path) -> None:
    for name, text in KEYS.items():
        (folder / name).write_text(text)


async def surveyed(
    folder: Path, config: SandboxConfig, options: SurveyOptions | None = None, **settings: str
) -> Survey:
    write_keys(folder)
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
