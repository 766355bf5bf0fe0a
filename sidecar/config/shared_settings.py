"""Settings outside the tables of several profiles: which of them may hold for all, and which are refused.

In the file, partner, base URL and role above the tables are defaults that a table overrides. In the environment they
would override the tables, and send the credentials of one account to the partner of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.config.partners import OAUTH2, OF_OAUTH2
from sidecar.config.schema import Settings
from sidecar.config.settings import Diagnostics, Layer, Setting
from sidecar.config.sources import Sources
from sidecar.core.partner_table import PartnerTable

_CREDENTIALS: tuple[Setting[Any], ...] = (Settings.credentials_dir, Settings.api_key, Settings.api_secret)
_OF_ONE_ACCOUNT = (*_CREDENTIALS, Settings.account, Settings.gateway_listen)
_OF_ONE_ACCOUNT_IN_THE_ENVIRONMENT = (
    Settings.partner, *OF_OAUTH2, Settings.base_url, *_OF_ONE_ACCOUNT, Settings.role, Settings.gateway_allow,
)  # fmt: skip


def defaults_of_tables(sources: Sources, partners: Mapping[str, PartnerTable], diagnostics: Diagnostics) -> Layer:
    """Return the file's settings above the tables, which hold for each profile without its own.

    Report settings of one account or of one partner that would hold for several, and an environment that overrides a
    single table. What is reported for the file is left out where it would be reported for each profile once more.
    """
    if len(sources.profiles) == 1:
        (layer,) = sources.profiles.values()
        _warn_of_overridden(sources.environment, layer, diagnostics)
    if len(sources.profiles) < 2:
        return sources.file
    _refuse_one_account_for_all(sources, diagnostics)
    refused = [setting.key for setting in OF_OAUTH2 if _is_for_some(setting, sources, diagnostics)]
    if _base_url_is_for_several(sources, partners, diagnostics):
        refused.append(Settings.base_url.key)
    return {key: value for key, value in sources.file.items() if key not in refused}


def environment_beside(sources: Sources, layer: Layer) -> Layer:
    """Return the environment for one profile: beside several tables without what `defaults_of_tables` has refused.

    Credentials stay for a table that has none, which would be reported as missing otherwise.
    """
    if len(sources.profiles) < 2:
        return sources.environment
    kept = () if any(setting.key in layer for setting in _CREDENTIALS) else _CREDENTIALS
    refused = {setting.key for setting in _OF_ONE_ACCOUNT_IN_THE_ENVIRONMENT if setting not in kept}
    return {key: value for key, value in sources.environment.items() if key not in refused}


def _refuse_one_account_for_all(sources: Sources, diagnostics: Diagnostics) -> None:
    """Report settings of one account outside the tables: there, all profiles would be one account with many names."""
    tables = ", ".join(f"[profiles.{name}]" for name in sources.profiles)
    checked = ((sources.environment, _OF_ONE_ACCOUNT_IN_THE_ENVIRONMENT), (sources.file, _OF_ONE_ACCOUNT))
    for layer, settings in checked:
        for setting in settings:
            if setting.key in layer:
                where = f"in each table of {sources.config} instead, {tables}"
                if setting in OF_OAUTH2:
                    where = f"in the tables of {sources.config} with {Settings.partner.key} = {OAUTH2} instead"
                diagnostics.problem(
                    f"{layer[setting.key].origin} would be the same for all {len(sources.profiles)} profiles: set "
                    f"{setting.key} {where}"
                )


def _is_for_some(setting: Setting[Any], sources: Sources, diagnostics: Diagnostics) -> bool:
    """Return whether this setting of OAuth 2.0 stands above tables with and without that partner, and report it."""
    users = _partners_of(setting, sources)
    others = [name for name, partner in users.items() if partner != OAUTH2]
    if not others:
        return False
    diagnostics.problem(
        f"{sources.file[setting.key].origin} is for {Settings.partner.key} = {OAUTH2} only, and would hold for "
        f"{', '.join(others)} too: set it in the tables with that partner instead"
    )
    return True


def _base_url_is_for_several(sources: Sources, partners: Mapping[str, PartnerTable], diagnostics: Diagnostics) -> bool:
    """Return whether one base URL would hold for partners with different ones, and report it.

    It would send the credentials of one partner to another.
    """
    users = _partners_of(Settings.base_url, sources)
    known = {name: partner for name, partner in users.items() if partner in partners or partner == OAUTH2}
    servers = {(partners[name].base_url if name in partners else "") or name for name in known.values()}
    if len(servers) < 2:
        return False
    named = ", ".join(f"{name} ({partner})" for name, partner in known.items())
    diagnostics.problem(
        f"{sources.file[Settings.base_url.key].origin} would be the same for different partners, {named}: set it in "
        "their tables instead"
    )
    return True


def _partners_of(setting: Setting[Any], sources: Sources) -> Mapping[str, str]:
    """Return the partner of each profile for which the file's setting above the tables would hold."""
    if setting.key not in sources.file:
        return {}
    key = Settings.partner.key
    return {
        name: found.text if (found := layer.get(key) or sources.file.get(key)) else Settings.partner.default
        for name, layer in sources.profiles.items()
        if setting.key not in layer
    }


def _warn_of_overridden(environment: Layer, layer: Layer, diagnostics: Diagnostics) -> None:
    """Warn when the environment overrides a single table: the overriding value may belong to another account."""
    for setting in _OF_ONE_ACCOUNT_IN_THE_ENVIRONMENT:
        given, overridden = environment.get(setting.key), layer.get(setting.key)
        if given and overridden and given.text != overridden.text:
            diagnostics.warn(f"{given.origin} wins over {overridden.origin}: keep one of the two")
