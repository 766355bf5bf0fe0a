"""Combinations of settings that cannot work, each refused with its arithmetic, and those that deserve a warning."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sidecar.config import table
from sidecar.config.findings import Findings
from sidecar.config.table import Setting
from sidecar.config.values import Values
from sidecar.core.model import LEASE_SLACK_S, Profile
from sidecar.core.policy import margin_s, refresh_point_s, usable_s


@dataclass(frozen=True, slots=True)
class Rule:
    """Judges a profile by the settings it uses; `judge` answers with a sentence, or None when all is well."""

    uses: tuple[Setting[Any], ...]
    judge: Callable[[Profile], str | None]


def _lease_within_life(profile: Profile) -> str | None:
    if profile.lease_limit_s < profile.lifetime_s:
        return None
    return (
        f"a lease lasts {profile.lease_limit_s:g} s (partner timeout {profile.partner_timeout_s:g} + 2 x store timeout "
        f"{profile.store_timeout_s:g} + {LEASE_SLACK_S:g}), which is not below the token lifetime of "
        f"{profile.lifetime_s:g} s: lower {table.PARTNER_TIMEOUT_S.name} or raise {table.TOKEN_LIFETIME_S.name}"
    )


def _refresh_before_end(profile: Profile) -> str | None:
    point, usable = profile.lifetime_s * profile.refresh_at, usable_s(profile.lifetime_s, profile)
    if point < usable:
        return None
    return (
        f"the refresh point {profile.lifetime_s:g} s x {profile.refresh_at:g} = {point:g} s is not before the end of "
        f"the usable life {profile.lifetime_s:g} - {margin_s(profile.lifetime_s, profile):g} = {usable:g} s: lower "
        f"{table.REFRESH_AT.name}"
    )


def _call_fits_after_refresh(profile: Profile) -> str | None:
    """The latest replica's refresh point counts: it may be the only replica."""
    usable, latest = usable_s(profile.lifetime_s, profile), refresh_point_s(profile.lifetime_s, profile, 1)
    needed = latest + profile.partner_timeout_s
    if profile.lifetime_s * profile.refresh_at >= usable or needed <= usable:
        return None
    return (
        f"a refresh at {latest:g} s (the latest of the spread after {profile.lifetime_s:g} s x {profile.refresh_at:g}) "
        f"+ partner timeout {profile.partner_timeout_s:g} = {needed:g} s is past the usable life {usable:g} s: lower "
        f"{table.REFRESH_AT.name} or {table.PARTNER_TIMEOUT_S.name}, or raise {table.TOKEN_LIFETIME_S.name}"
    )


def _margin_within_life(profile: Profile) -> str | None:
    if profile.margin_s < profile.lifetime_s:
        return None
    return (
        f"the expiry margin of {profile.margin_s:g} s is not below the token lifetime of {profile.lifetime_s:g} s: "
        f"lower {table.EXPIRY_MARGIN_S.name}"
    )


def _margin_is_capped(profile: Profile) -> str | None:
    used = margin_s(profile.lifetime_s, profile)
    if profile.margin_s <= used:
        return None
    return (
        f"the expiry margin of {profile.margin_s:g} s counts as {used:g} s, a tenth of the token lifetime of "
        f"{profile.lifetime_s:g} s"
    )


def _budget_covers_refreshes(profile: Profile) -> str | None:
    budget, every_s = profile.budget, profile.lifetime_s * profile.refresh_at
    needed = math.ceil(budget.window_s / every_s)
    if budget.calls >= needed:
        return None
    return (
        f"the call budget of {budget.calls} in {budget.window_s:g} s is below what the tokens need: one call each "
        f"{profile.lifetime_s:g} s x {profile.refresh_at:g} = {every_s:g} s makes {needed} in {budget.window_s:g} s; "
        "there will be times without a token"
    )


_LIFE = (table.TOKEN_LIFETIME_S, table.EXPIRY_MARGIN_S)
REFUSED = (
    Rule((*_LIFE[:1], table.PARTNER_TIMEOUT_S, table.STORE_TIMEOUT_S), _lease_within_life),
    Rule((*_LIFE, table.REFRESH_AT), _refresh_before_end),
    Rule((*_LIFE, table.REFRESH_AT, table.PARTNER_TIMEOUT_S), _call_fits_after_refresh),
)
MARGIN_REFUSED = Rule(_LIFE, _margin_within_life)
MARGIN_WARNED = Rule(_LIFE, _margin_is_capped)
WARNED = (Rule((*_LIFE[:1], table.CALL_BUDGET, table.REFRESH_AT), _budget_covers_refreshes),)


def judge(profile: Profile, values: Values, findings: Findings) -> None:
    """Hold one profile against every rule; a combination with a value that could not be read is passed over."""
    # The default margin shrinks with short-lived tokens by design; only one that somebody wrote can be a mistake.
    margin_given = values.given(table.EXPIRY_MARGIN_S) is not None
    refused = (*REFUSED, MARGIN_REFUSED) if margin_given else REFUSED
    said = [line for rule in refused if values.readable(rule.uses) and (line := rule.judge(profile))]
    for line in said:
        findings.problem(f"profile {profile.name}: {line}")
    for rule in (*WARNED, MARGIN_WARNED) if margin_given else WARNED:
        if values.readable(rule.uses) and not said and (line := rule.judge(profile)):
            findings.warn(f"profile {profile.name}: {line}")
