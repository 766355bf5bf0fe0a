"""Builds the profile and the credentials of each partner account, and reports the problems of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from sidecar.config import checks as rules
from sidecar.config import schema as table
from sidecar.config.findings import Findings
from sidecar.config.settings import ProfileSettings
from sidecar.config.shared_accounts import judge_shared_accounts
from sidecar.config.sources import Sources
from sidecar.config.token_files import refuse_shared_token_files
from sidecar.config.values import Layer, Values
from sidecar.core.hosts import is_loopback
from sidecar.core.model import Credentials, Profile

DEFAULT_NAME = "default"
_OF_ONE_ACCOUNT = (table.CREDENTIALS_DIR, table.API_KEY, table.API_SECRET, table.ACCOUNT)
_OF_ONE_ACCOUNT_IN_THE_ENVIRONMENT = (table.PARTNER, table.BASE_URL, *_OF_ONE_ACCOUNT, table.ROLE)
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
    values.read_all(one for one in table.SETTINGS if one.per_profile)
    profile = Profile(
        name=name,
        partner=values[table.PARTNER],
        base_url=_base_url(name, values, presets, findings),
        role=values[table.ROLE],
        account=values.get(table.ACCOUNT) or "",
        lifetime_s=values[table.TOKEN_LIFETIME_S],
        refresh_at=values[table.REFRESH_AT],
        max_stale_s=values[table.MAX_STALE_S],
        margin_s=values[table.EXPIRY_MARGIN_S],
        budget=values[table.CALL_BUDGET],
        partner_timeout_s=values[table.PARTNER_TIMEOUT_S],
        cooldown_s=values[table.COOLDOWN_S],
        request_timeout_s=values[table.REQUEST_TIMEOUT_S],
        store_timeout_s=values[table.STORE_TIMEOUT_S],
        store_failure=values[table.STORE_FAILURE],
        fleet_size=values[table.FLEET_SIZE],
        poll_s=values[table.POLL_S],
        idle_s=values[table.IDLE_S],
    )
    rules.judge(profile, values, findings)
    directory, credentials = _credentials(name, values, findings)
    return ProfileSettings(
        profile=profile,
        credentials_dir=directory,
        credentials=credentials,
        credentials_origin=values.origin(table.CREDENTIALS_DIR) if directory else values.origin(table.API_KEY),
        sink_file=values.get(table.SINK_FILE),
        sink_file_origin=values.origin(table.SINK_FILE),
    )


def _base_url(name: str, values: Values, presets: Mapping[str, str], findings: Findings) -> str:
    partner, given = values[table.PARTNER], values.get(table.BASE_URL)
    if partner not in presets and values.readable((table.PARTNER,)):
        findings.problem(f"{values.origin(table.PARTNER)} must be {' or '.join(presets)}, not {partner!r}")
    url = given or presets.get(partner, "")
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        if values[table.ALLOW_HTTP]:
            findings.warn(f"profile {name}: the partner is called without TLS, credentials and tokens can be read")
        else:
            findings.problem(
                f"{values.origin(table.BASE_URL)} must be https:// beyond loopback, for credentials travel on it: "
                f"change it, or set {values.origin(table.ALLOW_HTTP)} to true"
            )
    return url


def _credentials(name: str, values: Values, findings: Findings) -> tuple[Path | None, Credentials | None]:
    """Return the one source of credentials: a directory, or the credentials themselves. Report any other number."""
    directory = values.given(table.CREDENTIALS_DIR)
    key, secret = values.given(table.API_KEY), values.given(table.API_SECRET)
    if directory and (key or secret):
        beside = " and ".join(given.origin for given in (key, secret) if given)
        findings.problem(f"{directory.origin} and {beside}: keep one of the two sources of credentials")
    elif not directory and not key and not secret:
        findings.problem(
            f"profile {name} has no credentials: set {values.origin(table.CREDENTIALS_DIR)} to a directory with "
            f"files api-key and api-secret, or for development {values.origin(table.API_KEY)} and "
            f"{values.origin(table.API_SECRET)}"
        )
    elif not directory and not (key and secret):
        present, missing = (key, table.API_SECRET) if key else (secret, table.API_KEY)
        findings.problem(f"{present.origin if present else ''} needs {values.origin(missing)} beside it")
    api_key, api_secret = values.get(table.API_KEY), values.get(table.API_SECRET)
    pair = Credentials(api_key=api_key, api_secret=api_secret) if api_key and api_secret else None
    return values.get(table.CREDENTIALS_DIR), pair


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
