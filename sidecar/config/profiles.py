"""One partner account: its profile, its credentials, and what can be wrong with either."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from sidecar.config import rules, table
from sidecar.config.findings import Findings
from sidecar.config.parsers import is_loopback
from sidecar.config.settings import ProfileSettings
from sidecar.config.sources import Sources
from sidecar.config.values import Layer, Values
from sidecar.core.model import Credentials, Profile

DEFAULT_NAME = "default"
_CREDENTIALS = (table.CREDENTIALS_DIR, table.API_KEY, table.API_SECRET)


def build(sources: Sources, presets: Mapping[str, str], findings: Findings) -> tuple[ProfileSettings, ...]:
    """Build every profile: those of the file's tables, else one made of the plain settings."""
    if len(sources.profiles) > 1:
        _refuse_shared_credentials(sources, findings)
    built = tuple(
        _build_one(name, Values((sources.environment, layer, sources.file), findings, place), presets, findings)
        for name, layer, place in _tables(sources)
    )
    _warn_of_one_account_twice(built, findings)
    _refuse_one_file_twice(built, findings)
    return built


def _tables(sources: Sources) -> Iterator[tuple[str, Layer, str]]:
    """Name, layer and place of each profile."""
    if not sources.profiles:
        yield DEFAULT_NAME, {}, ""
    for name, layer in sources.profiles.items():
        yield name, layer, sources.table(name)


def _build_one(name: str, values: Values, presets: Mapping[str, str], findings: Findings) -> ProfileSettings:
    profile = Profile(
        name=name,
        partner=values[table.PARTNER],
        base_url=_base_url(name, values, presets, findings),
        role=values[table.ROLE],
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
    if given and given.startswith("http:") and not is_loopback(urlsplit(given).hostname or ""):
        if values[table.ALLOW_HTTP]:
            findings.warn(f"profile {name}: the partner is called without TLS, credentials and tokens can be read")
        else:
            findings.problem(
                f"{values.origin(table.BASE_URL)} must be https:// beyond loopback, for credentials travel on it: "
                f"change it, or set {values.origin(table.ALLOW_HTTP)} to true"
            )
    return url


def _credentials(name: str, values: Values, findings: Findings) -> tuple[Path | None, Credentials | None]:
    """Exactly one source: a directory, or the pair itself."""
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


def _refuse_shared_credentials(sources: Sources, findings: Findings) -> None:
    """With several profiles credentials belong into their tables: one pair for all is one account under many names."""
    shared = [
        layer[setting.key].origin
        for layer in (sources.environment, sources.file)
        for setting in _CREDENTIALS
        if setting.key in layer
    ]
    for origin in shared:
        findings.problem(f"{origin} would be the same for all {len(sources.profiles)} profiles: set it in each table")


def _warn_of_one_account_twice(built: tuple[ProfileSettings, ...], findings: Findings) -> None:
    for first, one in _alike(built, lambda one: one.credentials_dir and (one.profile.base_url, one.credentials_dir)):
        findings.warn(
            f"profiles {first} and {one.profile.name} are one account at the partner: each spends a budget of its "
            "own, and may end the other's token"
        )


def _refuse_one_file_twice(built: tuple[ProfileSettings, ...], findings: Findings) -> None:
    for first, one in _alike(built, lambda one: one.sink_file):
        findings.problem(
            f"profiles {first} and {one.profile.name} would keep their tokens in one file, {one.sink_file}: "
            f"set another {table.SINK_FILE.key} in each table"
        )


def _alike(
    built: tuple[ProfileSettings, ...], key: Callable[[ProfileSettings], Hashable]
) -> Iterator[tuple[str, ProfileSettings]]:
    """Each profile whose key an earlier one has, with the name of the first that has it; None is no key."""
    seen: dict[Hashable, str] = {}
    for one in built:
        if (of_one := key(one)) is None:
            continue
        first = seen.setdefault(of_one, one.profile.name)
        if first != one.profile.name:
            yield first, one
