"""Builds the profile and the credentials of each partner account, and checks what profiles share.

Two profiles of one process may use the same account, the same credentials under several accounts, or one token file.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sidecar.config.checks import check_profile
from sidecar.config.partners import base_url_of, partner_of, variant_of
from sidecar.config.schema import SETTINGS, Settings
from sidecar.config.settings import Diagnostics, GatewaySettings, Layer, ProfileSettings, Setting, Values
from sidecar.config.shared_settings import defaults_of_tables, environment_beside
from sidecar.config.sources import Sources
from sidecar.core.account import normal_base_url
from sidecar.core.model import Credentials, Profile
from sidecar.core.partner_table import PartnerTable
from sidecar.file_operations import FileOperationError, read_in_time

DEFAULT_NAME = "default"


def build(
    sources: Sources, partners: Mapping[str, PartnerTable], diagnostics: Diagnostics
) -> tuple[ProfileSettings, ...]:
    """Build the profiles of the file's tables; without tables, one profile from the plain settings."""
    defaults = defaults_of_tables(sources, partners, diagnostics)
    built = tuple(
        _build_one(
            name,
            Values((environment_beside(sources, layer), layer, defaults), diagnostics, place),
            partners,
            diagnostics,
        )
        for name, layer, place in _tables(sources)
    )
    for one, (_, layer, _) in zip(built, _tables(sources), strict=True):
        _warn_of_unused_role(one.table, (environment_beside(sources, layer), layer), diagnostics)
    _check_shared_accounts(built, diagnostics)
    _check_shared_token_files(built, diagnostics)
    return built


def _tables(sources: Sources) -> Iterator[tuple[str, Layer, str]]:
    """Yield name, layer and place of each profile."""
    if not sources.profiles:
        yield DEFAULT_NAME, {}, ""
    for name, layer in sources.profiles.items():
        yield name, layer, sources.place_of(name)


def _build_one(
    name: str, values: Values, partners: Mapping[str, PartnerTable], diagnostics: Diagnostics
) -> ProfileSettings:
    values.read_all(one for one in SETTINGS if one.per_profile)
    table = partner_of(values, partners, diagnostics)
    profile = Profile(
        name=name,
        partner=values[Settings.partner],
        base_url=base_url_of(name, values, table, diagnostics),
        variant=variant_of(values),
        role=values[Settings.role] if table.role_field else "",
        account=values[Settings.account] or "",
        lifetime_s=values[Settings.token_lifetime_s],
        refresh_at=values[Settings.refresh_at],
        max_stale_s=values[Settings.max_stale_s],
        margin_s=values[Settings.expiry_margin_s],
        budget=values[Settings.call_budget],
        partner_timeout_s=values[Settings.partner_timeout_s],
        cooldown_s=values[Settings.cooldown_s],
        request_timeout_s=values[Settings.request_timeout_s],
        store_timeout_s=values[Settings.store_timeout_s],
        store_failure=values[Settings.store_failure],
        fleet_size=values[Settings.fleet_size],
        poll_s=values[Settings.poll_s],
        idle_s=values[Settings.idle_s],
    )
    check_profile(profile, values, diagnostics)
    directory, credentials = _credentials(name, values, diagnostics)
    if table.client_auth == "private_key_jwt" and credentials is not None:
        diagnostics.problem(
            f"profile {name} authenticates with a private key: set {values.origin(Settings.credentials_dir)} to a "
            "directory with files api-key and private-key"
        )
    if credentials is not None and ":" in credentials.api_key.reveal() and not table.key_may_have_colon and table.name:
        diagnostics.problem(f"{values.origin(Settings.api_key)} must not contain a colon: HTTP Basic cannot carry it")
    return ProfileSettings(
        profile=profile,
        table=table,
        credentials_dir=directory,
        credentials=credentials,
        credentials_origin=values.origin(Settings.credentials_dir) if directory else values.origin(Settings.api_key),
        sink_file=values[Settings.sink_file],
        sink_file_origin=values.origin(Settings.sink_file),
        gateway=_gateway(values),
    )


def _warn_of_unused_role(table: PartnerTable, layers: Iterable[Layer], diagnostics: Diagnostics) -> None:
    """Warn of a role for a partner without one. Above the tables it may be for other profiles."""
    for layer in layers:
        given = layer.get(Settings.role.key)
        if given is not None and table.name and not table.role_field:
            diagnostics.warn(f"{given.origin} has no use: a request for a token of partner {table.name} has no role")


def _gateway(values: Values) -> GatewaySettings | None:
    listen = values[Settings.gateway_listen]
    if listen is None:
        return None
    return GatewaySettings(
        listen=listen,
        origin=values.origin(Settings.gateway_listen),
        allow=values[Settings.gateway_allow],
        sign=values[Settings.gateway_sign],
        replay=values[Settings.gateway_replay],
        timeout_s=values[Settings.gateway_timeout_s],
        max_body_bytes=values[Settings.gateway_max_body_bytes],
    )


def _credentials(name: str, values: Values, diagnostics: Diagnostics) -> tuple[Path | None, Credentials | None]:
    """Return the one source of credentials: a directory, or the credentials themselves. Report any other number."""
    directory = values.raw(Settings.credentials_dir)
    key, secret = values.raw(Settings.api_key), values.raw(Settings.api_secret)
    if directory and (key or secret):
        beside = " and ".join(given.origin for given in (key, secret) if given)
        diagnostics.problem(f"{directory.origin} and {beside}: keep one of the two sources of credentials")
    elif not directory and not key and not secret:
        diagnostics.problem(
            f"profile {name} has no credentials: set {values.origin(Settings.credentials_dir)} to a directory with "
            f"files api-key and api-secret, or for development {values.origin(Settings.api_key)} and "
            f"{values.origin(Settings.api_secret)}"
        )
    elif not directory and not (key and secret):
        present, missing = (key, Settings.api_secret) if key else (secret, Settings.api_key)
        diagnostics.problem(f"{present.origin if present else ''} needs {values.origin(missing)} beside it")
    api_key, api_secret = values[Settings.api_key], values[Settings.api_secret]
    credentials = Credentials(api_key=api_key, api_secret=api_secret) if api_key and api_secret else None
    return values[Settings.credentials_dir], credentials


_AGREED: tuple[tuple[Setting[Any], Callable[[Profile], object]], ...] = (
    (Settings.call_budget, lambda profile: profile.budget),
    (Settings.token_lifetime_s, lambda profile: profile.lifetime_s),
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


def _check_shared_accounts(built: Sequence[ProfileSettings], diagnostics: Diagnostics) -> None:
    """Check what is known before the mounted credentials are read; `disagreements` reports the rest after that."""
    usable = [one for one in built if one.credentials is not None or one.credentials_dir is not None]
    known = [replace(one.profile, account=one.profile.account or _credentials_of(one)) for one in usable]
    for problem in disagreements(known):
        diagnostics.problem(problem)
    first_of: dict[tuple[str, str], Profile] = {}
    servers: dict[str, tuple[Profile, str]] = {}
    for one, profile in zip(usable, known, strict=True):
        server = normal_base_url(profile.base_url)
        other, others = servers.setdefault(_credentials_of(one), (profile, server))
        if other.partner != profile.partner and others != server:
            diagnostics.warn(
                f"profiles {other.name} and {profile.name} have the same credentials, and their partners are "
                f"{other.partner} and {profile.partner}: each of them gets the key and the secret of the other"
            )
        first = first_of.setdefault((normal_base_url(profile.base_url), _credentials_of(one)), profile)
        if first.profile_id != profile.profile_id:
            diagnostics.warn(
                f"profiles {first.name} and {profile.name} have the same credentials, but another role, preset or "
                "account: each spends a budget of its own, and may end the other's token"
            )


def _credentials_of(one: ProfileSettings) -> str:
    return f"directory:{one.credentials_dir}" if one.credentials is None else one.credentials.account


def _check_shared_token_files(built: Iterable[ProfileSettings], diagnostics: Diagnostics) -> None:
    """Report each two profiles whose token files are the same file, with the settings of both."""
    named = [(one, path, _identities_in_time(path)) for one in built if (path := one.sink_file) is not None]
    for (first, path, found), (second, other, others) in itertools.combinations(named, 2):
        if found & others:
            names = f"{first.profile.name} and {second.profile.name}"
            where = f"{path}"
            if path != other:
                where += f" ({first.sink_file_origin}), which is {other} ({second.sink_file_origin})"
            diagnostics.problem(
                f"profiles {names} would keep their tokens in one file, {where}: "
                f"set another {Settings.sink_file.key} in each table"
            )


def _identities_in_time(path: Path) -> set[tuple[object, ...]]:
    try:
        return read_in_time(lambda: set(_identities(path)))
    except FileOperationError:
        # The file system hangs. The start reports it when it checks the path.
        return {(os.path.normpath(path.parent), path.name)}


def _identities(path: Path) -> Iterator[tuple[object, ...]]:
    """Yield a path's identities. Two paths with a common identity lead to the same file.

    The folder's device and inode are the same through links and mounts. Those of the file are the same under names that
    differ in case, on a file system that ignores case.
    """
    yield (os.path.realpath(path.parent), path.name)
    try:
        folder = path.parent.stat()
        yield ("folder", folder.st_dev, folder.st_ino, path.name)
        file = path.lstat()
        yield ("file", file.st_dev, file.st_ino)
    except OSError:
        return
