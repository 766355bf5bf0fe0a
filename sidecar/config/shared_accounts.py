"""Checks the profiles of one process that use the same account, or the same credentials under several accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sidecar.config import schema
from sidecar.config.findings import Findings
from sidecar.config.setting import Setting
from sidecar.config.settings import ProfileSettings
from sidecar.core.account import normal_base_url
from sidecar.core.model import Profile

_AGREED: tuple[tuple[Setting[Any], Callable[[Profile], object]], ...] = (
    (schema.CALL_BUDGET, lambda profile: profile.budget),
    (schema.TOKEN_LIFETIME_S, lambda profile: profile.lifetime_s),
)
"""These belong to the account: if two profiles differed, the effective value would depend on chance."""


def disagreements(profiles: Iterable[Profile]) -> Iterator[str]:
    """Yield a sentence for each setting in which two profiles of one account differ and must not."""
    first_of: dict[str, Profile] = {}
    for profile in profiles:
        first = first_of.setdefault(profile.profile_id, profile)
        for setting, value in _AGREED:
            if value(first) != value(profile):
                yield (
                    f"profiles {first.name} and {profile.name} are one account, with one token and one budget: give "
                    f"both the same {setting.key}"
                )


def judge_shared_accounts(built: Sequence[ProfileSettings], findings: Findings) -> None:
    """Check what is known before the mounted credentials are read; `disagreements` reports the rest after that."""
    usable = [one for one in built if one.credentials is not None or one.credentials_dir is not None]
    known = [replace(one.profile, account=one.profile.account or _credentials_of(one)) for one in usable]
    for problem in disagreements(known):
        findings.problem(problem)
    first_of: dict[tuple[str, str], Profile] = {}
    for one, profile in zip(usable, known, strict=True):
        first = first_of.setdefault((normal_base_url(profile.base_url), _credentials_of(one)), profile)
        if first.profile_id != profile.profile_id:
            findings.warn(
                f"profiles {first.name} and {profile.name} have the same credentials, but another role, preset or "
                "account: each spends a budget of its own, and may end the other's token"
            )


def _credentials_of(one: ProfileSettings) -> str:
    return f"directory:{one.credentials_dir}" if one.credentials is None else one.credentials.account
