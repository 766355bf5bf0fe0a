"""Checks combinations of settings: those that cannot work are errors with their arithmetic, others are warnings.

Numbers are shown as `.12g`: without an exponent, and without the digits that binary arithmetic adds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from sidecar.config import schema
from sidecar.config.findings import Findings
from sidecar.config.setting import Setting
from sidecar.config.values import Values
from sidecar.core.model import LEASE_SLACK_S, Profile
from sidecar.core.policy import margin_s, refresh_point_s, usable_s

Origin: TypeAlias = Callable[[Setting[Any]], str]
"""Names a setting as it was written in the configuration."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Checks a profile by the settings it uses; `judge` returns a sentence, or None when there is no problem."""

    uses: tuple[Setting[Any], ...]
    judge: Callable[[Profile, Origin], str | None]


def _lease_within_life(profile: Profile, origin: Origin) -> str | None:
    if profile.lease_limit_s < profile.lifetime_s:
        return None
    return (
        f"a lease lasts {profile.lease_limit_s:.12g} s (partner timeout {profile.partner_timeout_s:.12g} + 2 x store "
        f"timeout {profile.store_timeout_s:.12g} + {LEASE_SLACK_S:.12g}), which is not below the token lifetime of "
        f"{profile.lifetime_s:.12g} s: lower {origin(schema.PARTNER_TIMEOUT_S)} or raise "
        f"{origin(schema.TOKEN_LIFETIME_S)}"
    )


def _refresh_before_end(profile: Profile, origin: Origin) -> str | None:
    point, usable = profile.lifetime_s * profile.refresh_at, usable_s(profile.lifetime_s, profile)
    if point < usable:
        return None
    return (
        f"the refresh point {profile.lifetime_s:.12g} s x {profile.refresh_at:.12g} = {point:.12g} s is not before the "
        f"end of the usable life {profile.lifetime_s:.12g} - {margin_s(profile.lifetime_s, profile):.12g} = "
        f"{usable:.12g} s: lower {origin(schema.REFRESH_AT)}"
    )


def _call_fits_after_refresh(profile: Profile, origin: Origin) -> str | None:
    """The latest replica's refresh point counts: it may be the only replica."""
    usable, latest = usable_s(profile.lifetime_s, profile), refresh_point_s(profile.lifetime_s, profile, 1)
    needed = latest + profile.partner_timeout_s
    if profile.lifetime_s * profile.refresh_at >= usable or needed <= usable:
        return None
    return (
        f"a refresh at {latest:.12g} s (the latest of the spread after {profile.lifetime_s:.12g} s x "
        f"{profile.refresh_at:.12g}) + partner timeout {profile.partner_timeout_s:.12g} = {needed:.12g} s is past the "
        f"usable life {usable:.12g} s: lower {origin(schema.REFRESH_AT)} or {origin(schema.PARTNER_TIMEOUT_S)}, or "
        f"raise {origin(schema.TOKEN_LIFETIME_S)}"
    )


def _margin_within_life(profile: Profile, origin: Origin) -> str | None:
    if profile.margin_s < profile.lifetime_s:
        return None
    return (
        f"the expiry margin of {profile.margin_s:.12g} s is not below the token lifetime of {profile.lifetime_s:.12g} "
        f"s: lower {origin(schema.EXPIRY_MARGIN_S)}"
    )


def _margin_is_capped(profile: Profile, _origin: Origin) -> str | None:
    used = margin_s(profile.lifetime_s, profile)
    if profile.margin_s <= used:
        return None
    return (
        f"the expiry margin of {profile.margin_s:.12g} s counts as {used:.12g} s, a tenth of the token lifetime of "
        f"{profile.lifetime_s:.12g} s"
    )


def _budget_covers_refreshes(profile: Profile, _origin: Origin) -> str | None:
    budget, every_s = profile.budget, profile.lifetime_s * profile.refresh_at
    needed = math.ceil(budget.window_s / every_s)
    if budget.calls >= needed:
        return None
    return (
        f"the call budget of {budget.calls} in {budget.window_s:.12g} s is below what the tokens need: one call each "
        f"{profile.lifetime_s:.12g} s x {profile.refresh_at:.12g} = {every_s:.12g} s makes {needed} in "
        f"{budget.window_s:.12g} s; there will be times without a token"
    )


_LIFE = (schema.TOKEN_LIFETIME_S, schema.EXPIRY_MARGIN_S)
REFUSED = (
    Rule((*_LIFE[:1], schema.PARTNER_TIMEOUT_S, schema.STORE_TIMEOUT_S), _lease_within_life),
    Rule((*_LIFE, schema.REFRESH_AT), _refresh_before_end),
    Rule((*_LIFE, schema.REFRESH_AT, schema.PARTNER_TIMEOUT_S), _call_fits_after_refresh),
)
MARGIN_REFUSED = Rule(_LIFE, _margin_within_life)
MARGIN_WARNED = Rule(_LIFE, _margin_is_capped)
WARNED = (Rule((*_LIFE[:1], schema.CALL_BUDGET, schema.REFRESH_AT), _budget_covers_refreshes),)


def judge(profile: Profile, values: Values, findings: Findings) -> None:
    """Check one profile by every rule, except combinations with a value that could not be read."""
    # The default margin shrinks with short-lived tokens by design; only a configured one can be a mistake.
    margin_given = values.given(schema.EXPIRY_MARGIN_S) is not None
    refused = (*REFUSED, MARGIN_REFUSED) if margin_given else REFUSED
    said = [line for rule in refused if values.readable(rule.uses) and (line := rule.judge(profile, values.origin))]
    for line in said:
        findings.problem(f"profile {profile.name}: {line}")
    for rule in (*WARNED, MARGIN_WARNED) if margin_given else WARNED:
        if values.readable(rule.uses) and not said and (line := rule.judge(profile, values.origin)):
            findings.warn(f"profile {profile.name}: {line}")
