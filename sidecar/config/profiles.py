"""Builds the profile and the credentials of each partner account, and reports the problems of both.

Checks the profiles of one process that use the same account, or the same credentials under several accounts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sidecar.config import checks, schema
from sidecar.config.settings import ProfileSettings, Setting
from sidecar.config.sources import Findings, Layer, Sources, Values
from sidecar.config.token_files import refuse_shared_token_files
from sidecar.core.account import normal_base_url
from sidecar.core.model import Credentials, Profile
from sidecar.core.proxies import is_loopback

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


DEFAULT_NAME = "default"
_OF_ONE_ACCOUNT = (schema.CREDENTIALS_DIR, schema.API_KEY, schema.API_SECRET, schema.ACCOUNT)
_OF_ONE_ACCOUNT_IN_THE_ENVIRONMENT = (schema.PARTNER, schema.BASE_URL, *_OF_ONE_ACCOUNT, schema.ROLE)
"""In the file, preset, base URL and role above the tables are defaults that a table overrides. In the environment they
would override the tables, and send the credentials of one account to the partner of another."""


def build(sources: Sources, presets: Mapping[str, str], findings: Findings) -> tuple[ProfileSettings, ...]:
    """Build the profiles of the file's tables; without tables, one profile from the plain settings."""
    if len(sources.profiles) > 1:
        _refuse_one_account_for_all(sources, findings)
    for layer in sources.profiles.values() if len(sources.profiles) == 1 else ():
        _warn_of_overridden(sources.environment, layer, findings)
    built = tuple(
        _build_one(name, Values((sources.environment, layer, sources.file), findings, place), presets, findings)
        for name, layer, place in _tables(sources)
    )
    judge_shared_accounts(built, findings)
    refuse_shared_token_files(built, findings)
    return built


def _tables(sources: Sources) -> Iterator[tuple[str, Layer, str]]:
    """Yield name, layer and place of each profile."""
    if not sources.profiles:
        yield DEFAULT_NAME, {}, ""
    for name, layer in sources.profiles.items():
        yield name, layer, sources.table(name)


def _build_one(name: str, values: Values, presets: Mapping[str, str], findings: Findings) -> ProfileSettings:
    values.read_all(one for one in schema.SETTINGS if one.per_profile)
    profile = Profile(
        name=name,
        partner=values[schema.PARTNER],
        base_url=_base_url(name, values, presets, findings),
        role=values[schema.ROLE],
        account=values.get(schema.ACCOUNT) or "",
        lifetime_s=values[schema.TOKEN_LIFETIME_S],
        refresh_at=values[schema.REFRESH_AT],
        max_stale_s=values[schema.MAX_STALE_S],
        margin_s=values[schema.EXPIRY_MARGIN_S],
        budget=values[schema.CALL_BUDGET],
        partner_timeout_s=values[schema.PARTNER_TIMEOUT_S],
        cooldown_s=values[schema.COOLDOWN_S],
        request_timeout_s=values[schema.REQUEST_TIMEOUT_S],
        store_timeout_s=values[schema.STORE_TIMEOUT_S],
        store_failure=values[schema.STORE_FAILURE],
        fleet_size=values[schema.FLEET_SIZE],
        poll_s=values[schema.POLL_S],
        idle_s=values[schema.IDLE_S],
    )
    checks.judge(profile, values, findings)
    directory, credentials = _credentials(name, values, findings)
    return ProfileSettings(
        profile=profile,
        credentials_dir=directory,
        credentials=credentials,
        credentials_origin=values.origin(schema.CREDENTIALS_DIR) if directory else values.origin(schema.API_KEY),
        sink_file=values.get(schema.SINK_FILE),
        sink_file_origin=values.origin(schema.SINK_FILE),
    )


def _base_url(name: str, values: Values, presets: Mapping[str, str], findings: Findings) -> str:
    partner, given = values[schema.PARTNER], values.get(schema.BASE_URL)
    if partner not in presets and values.readable((schema.PARTNER,)):
        findings.problem(f"{values.origin(schema.PARTNER)} must be {' or '.join(presets)}, not {partner!r}")
    url = given or presets.get(partner, "")
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        if values[schema.ALLOW_HTTP]:
            findings.warn(f"profile {name}: the partner is called without TLS, credentials and tokens can be read")
        else:
            findings.problem(
                f"{values.origin(schema.BASE_URL)} must be https:// beyond loopback, for credentials travel on it: "
                f"change it, or set {values.origin(schema.ALLOW_HTTP)} to true"
            )
    return url


def _credentials(name: str, values: Values, findings: Findings) -> tuple[Path | None, Credentials | None]:
    """Return the one source of credentials: a directory, or the credentials themselves. Report any other number."""
    directory = values.given(schema.CREDENTIALS_DIR)
    key, secret = values.given(schema.API_KEY), values.given(schema.API_SECRET)
    if directory and (key or secret):
        beside = " and ".join(given.origin for given in (key, secret) if given)
        findings.problem(f"{directory.origin} and {beside}: keep one of the two sources of credentials")
    elif not directory and not key and not secret:
        findings.problem(
            f"profile {name} has no credentials: set {values.origin(schema.CREDENTIALS_DIR)} to a directory with "
            f"files api-key and api-secret, or for development {values.origin(schema.API_KEY)} and "
            f"{values.origin(schema.API_SECRET)}"
        )
    elif not directory and not (key and secret):
        present, missing = (key, schema.API_SECRET) if key else (secret, schema.API_KEY)
        findings.problem(f"{present.origin if present else ''} needs {values.origin(missing)} beside it")
    api_key, api_secret = values.get(schema.API_KEY), values.get(schema.API_SECRET)
    pair = Credentials(api_key=api_key, api_secret=api_secret) if api_key and api_secret else None
    return values.get(schema.CREDENTIALS_DIR), pair


def _refuse_one_account_for_all(sources: Sources, findings: Findings) -> None:
    """Report settings of one account outside the tables: there, all profiles would be one account with many names."""
    tables = ", ".join(f"[profiles.{name}]" for name in sources.profiles)
    judged = ((sources.environment, _OF_ONE_ACCOUNT_IN_THE_ENVIRONMENT), (sources.file, _OF_ONE_ACCOUNT))
    for layer, settings in judged:
        for setting in settings:
            if setting.key in layer:
                findings.problem(
                    f"{layer[setting.key].origin} would be the same for all {len(sources.profiles)} profiles: set "
                    f"{setting.key} in each table of {sources.config} instead, {tables}"
                )


def _warn_of_overridden(environment: Layer, layer: Layer, findings: Findings) -> None:
    """Warn when the environment overrides a single table: the overriding value may belong to another account."""
    for setting in _OF_ONE_ACCOUNT_IN_THE_ENVIRONMENT:
        given, overridden = environment.get(setting.key), layer.get(setting.key)
        if given and overridden and given.text != overridden.text:
            findings.warn(f"{given.origin} wins over {overridden.origin}: keep one of the two")
