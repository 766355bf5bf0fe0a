"""Loads the settings: reads them, builds profiles, checks shared settings, and reports every problem at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from sidecar.config import profiles, sources
from sidecar.config.checks import check_proxies, check_store_files, check_trusted_certificates
from sidecar.config.environment import check_ignored
from sidecar.config.otel import traces_wanted
from sidecar.config.parsers import is_local
from sidecar.config.partners import read_partners
from sidecar.config.schema import SETTINGS, Settings
from sidecar.config.settings import Diagnostics, ProfileSettings, Values
from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Address
from sidecar.core.partner_table import PartnerTable
from sidecar.core.store_url import MemoryUrl


def load(
    environ: Mapping[str, str],
    shipped: Mapping[str, PartnerTable],
    problems_with_files: Callable[[Settings], Iterable[str]] = lambda _: (),
) -> Settings:
    """Make settings from the environment and the TOML file that it names.

    `shipped` are the partners that the program knows. Raises `ConfigurationError` with every problem, one per
    line. Each line says what to do and never shows a secret. `problems_with_files` adds the problems of the files that
    the settings name, if the settings can be read.
    """
    diagnostics = Diagnostics()
    written = sources.read(environ, diagnostics)
    if not written.readable:
        # The unread file may set what else seems missing, so reports of further problems would mislead.
        raise ConfigurationError(diagnostics.problems)
    partners = read_partners(written.partners, written.config, shipped, diagnostics)
    built = profiles.build(written, partners, diagnostics)
    check_proxies(built, environ, diagnostics)
    check_ignored(environ, diagnostics)
    values = Values((written.environment, written.file), diagnostics)
    shared = values.read_all(SETTINGS)
    _check_listeners(values, built, diagnostics)
    _check_sealing(values, diagnostics)
    check_store_files(values, diagnostics)
    check_trusted_certificates(environ, diagnostics)
    if not shared[Settings.seal.key]:
        shared[Settings.seal_key_file.key] = None
    settings = Settings(
        values={setting.key: shared[setting.key] for setting in SETTINGS if not setting.per_profile},
        profiles=built,
        traces=traces_wanted(environ, diagnostics),
        warnings=diagnostics.warnings,
    )
    if diagnostics.problems:
        raise ConfigurationError([*diagnostics.problems, *problems_with_files(settings)])
    return settings


def _check_listeners(values: Values, built: Sequence[ProfileSettings], diagnostics: Diagnostics) -> None:
    vending = values[Settings.listen]
    gateways = [(one.gateway.origin, one.gateway.listen) for one in built if one.gateway is not None]
    listeners = [
        (values.origin(Settings.listen), vending),
        (values.origin(Settings.admin_listen), values[Settings.admin_listen]),
        *gateways,
    ]
    for (first, addresses), (second, others) in itertools.combinations(listeners, 2):
        # One setting for several profiles is a problem already.
        for address in addresses if first != second else ():
            if address in others and (address.path or address.port):
                diagnostics.problem(f"{first} and {second} both name {address}: each listener needs one of its own")
    opened = [
        (values.origin(Settings.listen), vending, "get the token"),
        *((*one, "call the partner") for one in gateways),
    ]
    for origin, addresses, harm in opened:
        _check_callers(origin, addresses, harm, values, diagnostics)
    if (
        values[Settings.forward_auth]
        and not values.raw(Settings.caller_token_file)
        and all(not a.path for a in vending)
    ):
        diagnostics.problem(
            f"{values.origin(Settings.forward_auth)} accepts forwarded requests, so proxies must authenticate: set "
            f"{Settings.caller_token_file.name}, or listen on a unix socket ({Settings.listen.name})"
        )


def _check_callers(
    origin: str, addresses: Sequence[Address], harm: str, values: Values, diagnostics: Diagnostics
) -> None:
    """Check who can reach a listener; `harm` is what any client there could do."""
    beyond = [str(address) for address in addresses if not is_local(address)]
    if beyond and values.raw(Settings.caller_token_file) is None:
        diagnostics.problem(
            f"{origin} listens beyond loopback on {', '.join(beyond)}: any client that "
            f"reaches it could {harm}; set {Settings.caller_token_file.name}, or listen on 127.0.0.1"
        )
    over_tcp = [str(address) for address in addresses if not address.path]
    if over_tcp and values.raw(Settings.allowed_uids) and values.raw(Settings.caller_token_file) is None:
        diagnostics.warn(
            f"{values.origin(Settings.allowed_uids)} has no effect on {', '.join(over_tcp)}: the kernel reports the "
            f"user id on unix sockets only; listen on those alone, or set {Settings.caller_token_file.name}"
        )
    abstract = [str(address) for address in addresses if address.path and not address.file]
    if abstract and values.raw(Settings.allowed_uids) is None and values.raw(Settings.caller_token_file) is None:
        diagnostics.warn(
            f"{origin} listens on {', '.join(abstract)}, which has no file mode: every user in "
            f"this network namespace can {harm}; set "
            f"{Settings.allowed_uids.name} or {Settings.caller_token_file.name}"
        )


def _check_sealing(values: Values, diagnostics: Diagnostics) -> None:
    if isinstance(values[Settings.store], MemoryUrl):
        return
    if not values[Settings.seal]:
        diagnostics.warn(f"{values.origin(Settings.seal)} is off: tokens are stored unencrypted")
        if values.raw(Settings.seal_key_file):
            diagnostics.warn(
                f"{values.origin(Settings.seal_key_file)} is not used while {values.origin(Settings.seal)} is off"
            )
    elif values.raw(Settings.seal_key_file) is None:
        diagnostics.problem(
            f"{values.origin(Settings.store)} needs {Settings.seal_key_file.name}, keys that encrypt the tokens in it: "
            f"make one with 'openssl rand -base64 32 > FILE', or set {Settings.seal.name}=off to store tokens "
            "unencrypted"
        )
