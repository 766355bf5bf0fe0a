"""Measures how long a token lives: it is tried until the partner refuses it, over several runs if need be."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.core.model import Seconds, Secret, UtcTime
from sidecar.secret_file import SecretFileError, read_text
from sidecar.survey.account import SurveyedAccount, SurveyStoppedError
from sidecar.survey.findings import Finding, unknown
from sidecar.survey.probe import Probe

LIVES = "how long a token lives"
_MAX_STATE_BYTES = 64 * 1024
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Watched:
    """The watched token, when it was requested, and when it was accepted last; by this machine's UTC."""

    access: Secret = field(repr=False)
    issued_at: UtcTime
    accepted_at: UtcTime
    profile_id: str


def read_state(path: Path, profile_id: str) -> Watched | None:
    """Return what an earlier run wrote; None without a file. Raises `SurveyStoppedError`."""
    if not path.exists():
        return None
    try:
        found = json.loads(read_text(path, _MAX_STATE_BYTES))
        watched = Watched(Secret(found["access"]), found["issuedAt"], found["acceptedAt"], found["profileId"])
    except (SecretFileError, ValueError, KeyError, TypeError):
        raise SurveyStoppedError(f"{path} is no state of a survey: name another file, or remove it") from None
    if watched.profile_id != profile_id:
        raise SurveyStoppedError(f"{path} is of another account: name another file")
    return watched


def write_state(path: Path, watched: Watched) -> None:
    """Write the file with mode 0600, whole or not at all: it holds the token. Raises `SurveyStoppedError`."""
    document = {
        "access": watched.access.reveal(),
        "issuedAt": watched.issued_at,
        "acceptedAt": watched.accepted_at,
        "profileId": watched.profile_id,
    }
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file)
        new.replace(path)
    except OSError as error:
        raise SurveyStoppedError(f"{path} cannot be written: {error.strerror}") from None


def remove_state(path: Path) -> None:
    path.unlink(missing_ok=True)


async def watch(account: SurveyedAccount, probe: Probe, path: Path, every_s: Seconds) -> Finding:
    """Try the token each `every_s` until it is refused. The state is written after each try."""
    wall, profile_id = account.clock.wall, account.profile.profile_id
    watched = read_state(path, profile_id)
    if watched is None:
        issued_at = wall()
        token = await account.grant()
        watched = Watched(token.access, issued_at, issued_at, profile_id)
        write_state(path, watched)
        if not (await probe.get(token.access)).is_good:
            remove_state(path)
            return unknown("lives", LIVES, "the request to try a token with is refused from the start")
    while (await probe.get(watched.access)).is_good:
        watched = Watched(watched.access, watched.issued_at, wall(), profile_id)
        write_state(path, watched)
        await account.clock.sleep(every_s)
    refused_after_s, accepted_after_s = wall() - watched.issued_at, watched.accepted_at - watched.issued_at
    remove_state(path)
    return Finding(
        key="lives",
        what=LIVES,
        found=f"{accepted_after_s:.0f} to {refused_after_s:.0f} s",
        sure="measured",
        settings={"token_lifetime_s": float(int(max(1, accepted_after_s)))},
    )
