"""Checks combinations of settings, and the files and proxies that settings and environment name.

Combinations that cannot work are errors with their arithmetic, others are warnings. Numbers are shown as `.12g`:
without an exponent, and without the digits that binary arithmetic adds.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from sidecar.config.schema import Settings
from sidecar.config.settings import Diagnostics, ProfileSettings, Setting, Values
from sidecar.core.model import LEASE_SLACK_S, Profile
from sidecar.core.policy import margin_s, refresh_point_s, usable_s
from sidecar.core.proxies import proxy_of
from sidecar.core.store_url import RedisUrl
from sidecar.file_operations import FileOperationError, read_in_time
from sidecar.secret_file import SecretFileError, read_certificates, read_secret
from sidecar.trusted_certificates import TrustedCertificates, words_for

Origin: TypeAlias = Callable[[Setting[Any]], str]
"""Names a setting as it was written in the configuration."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Checks a profile by the settings it uses; `problem` returns a sentence; None when there is none."""

    uses: tuple[Setting[Any], ...]
    problem: Callable[[Profile, Origin], str | None]
    of_set_margin: bool = False
    """Whether only a configured margin can be a mistake: the default one shrinks with short-lived tokens by design."""


def _lease_within_life(profile: Profile, origin: Origin) -> str | None:
    if profile.lease_limit_s < profile.lifetime_s:
        return None
    return (
        f"a lease lasts {profile.lease_limit_s:.12g} s (partner timeout {profile.partner_timeout_s:.12g} + 2 x store "
        f"timeout {profile.store_timeout_s:.12g} + {LEASE_SLACK_S:.12g}), which is not below the token lifetime of "
        f"{profile.lifetime_s:.12g} s: lower {origin(Settings.partner_timeout_s)} or raise "
        f"{origin(Settings.token_lifetime_s)}"
    )


def _refresh_before_end(profile: Profile, origin: Origin) -> str | None:
    point, usable = profile.lifetime_s * profile.refresh_at, usable_s(profile.lifetime_s, profile)
    if point < usable:
        return None
    return (
        f"the refresh point {profile.lifetime_s:.12g} s x {profile.refresh_at:.12g} = {point:.12g} s is not before the "
        f"end of the usable life {profile.lifetime_s:.12g} - {margin_s(profile.lifetime_s, profile):.12g} = "
        f"{usable:.12g} s: lower {origin(Settings.refresh_at)}"
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
        f"usable life {usable:.12g} s: lower {origin(Settings.refresh_at)} or {origin(Settings.partner_timeout_s)}, or "
        f"raise {origin(Settings.token_lifetime_s)}"
    )


def _margin_within_life(profile: Profile, origin: Origin) -> str | None:
    if profile.margin_s < profile.lifetime_s:
        return None
    return (
        f"the expiry margin of {profile.margin_s:.12g} s is not below the token lifetime of {profile.lifetime_s:.12g} "
        f"s: lower {origin(Settings.expiry_margin_s)}"
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


_LIFE = (Settings.token_lifetime_s, Settings.expiry_margin_s)
_ERRORS = (
    Rule((Settings.token_lifetime_s, Settings.partner_timeout_s, Settings.store_timeout_s), _lease_within_life),
    Rule((*_LIFE, Settings.refresh_at), _refresh_before_end),
    Rule((*_LIFE, Settings.refresh_at, Settings.partner_timeout_s), _call_fits_after_refresh),
    Rule(_LIFE, _margin_within_life, of_set_margin=True),
)
_WARNINGS = (
    Rule((Settings.token_lifetime_s, Settings.call_budget, Settings.refresh_at), _budget_covers_refreshes),
    Rule(_LIFE, _margin_is_capped, of_set_margin=True),
)


def check_profile(profile: Profile, values: Values, diagnostics: Diagnostics) -> None:
    """Check one profile by every rule, except combinations with a value that could not be read."""
    margin_is_set = values.raw(Settings.expiry_margin_s) is not None

    def broken(rules: Iterable[Rule]) -> list[str]:
        used = (rule for rule in rules if values.readable(rule.uses) and (margin_is_set or not rule.of_set_margin))
        return [f"profile {profile.name}: {line}" for rule in used if (line := rule.problem(profile, values.origin))]

    errors = broken(_ERRORS)
    for line in errors:
        diagnostics.problem(line)
    for line in broken(_WARNINGS) if not errors else ():
        diagnostics.warn(line)


def check_store_files(values: Values, diagnostics: Diagnostics) -> None:
    """Report every file of the store's URL that is missing, empty or invalid.

    Only the start checks them: later, a rotation may cause that for a time.
    """
    url, origin = values[Settings.store], values.origin(Settings.store)
    if not isinstance(url, RedisUrl):
        return
    unreadable = set()
    for option, path, read in _files(url):
        try:
            read_in_time(partial(read, path))
        except (SecretFileError, FileOperationError) as error:
            diagnostics.problem(f"{origin}: {option} {path}: {error}")
            unreadable.add(path)
    for option, paths, load in _loads(url):
        if unreadable.intersection(paths):
            continue
        try:
            read_in_time(load)
        except FileOperationError as error:
            diagnostics.problem(f"{origin}: {option}: {error}")
        except ssl.SSLError as error:
            # OpenSSL's name for the error, and no content of the file.
            diagnostics.problem(f"{origin}: {option} cannot be used ({error.reason or 'no certificate in it'})")
        except OSError:
            diagnostics.problem(f"{origin}: {option} cannot be read")


def _files(url: RedisUrl) -> Iterator[tuple[str, Path, Callable[[Path], object]]]:
    """Yield each option, its file and its reader. OpenSSL itself would block on a FIFO, and read a device endlessly."""
    passwords = {"password_file": url.password_file, "sentinel_password_file": url.sentinel_password_file}
    certificates = {"ssl_ca_certs": url.ca_file, "ssl_certfile": url.certificate_file, "ssl_keyfile": url.key_file}
    yield from ((option, path, read_secret) for option, path in passwords.items() if path is not None)
    yield from ((option, path, read_certificates) for option, path in certificates.items() if path is not None)


def _loads(url: RedisUrl) -> Iterator[tuple[str, tuple[Path | None, ...], Callable[[], object]]]:
    ca, certificate, key = url.ca_file, url.certificate_file, url.key_file
    if ca is not None:
        yield f"ssl_ca_certs {ca}", (ca,), lambda: ssl.create_default_context(cafile=ca)
    if certificate is not None:
        # An empty pass phrase: for an encrypted key OpenSSL would otherwise prompt on the terminal.
        yield (
            f"ssl_certfile {certificate} with ssl_keyfile {key}",
            (certificate, key),
            lambda: ssl.create_default_context().load_cert_chain(certificate, key, password=""),
        )


def check_trusted_certificates(environ: Mapping[str, str], diagnostics: Diagnostics) -> None:
    """Check the files. Only one that hangs stops the start. Others cause a warning: partner calls may fail anyway."""
    trusted = TrustedCertificates(environ)
    if not trusted.are_named:
        return
    try:
        read_in_time(trusted.load)
    except FileOperationError as error:
        diagnostics.problem(f"{trusted.place}: {error}")
    except OSError as error:
        diagnostics.warn(f"{trusted.place}: {words_for(error)}; no certificate there is trusted")


def check_proxies(profiles: Iterable[ProfileSettings], environ: Mapping[str, str], diagnostics: Diagnostics) -> None:
    """Report each proxy that calls cannot use, as without a scheme. Its value is not quoted: it may hold a password."""
    found = (proxy_of(one.profile.base_url, environ) for one in profiles)
    for variable in sorted({proxy.variable for proxy in found if proxy is not None and not proxy.is_usable}):
        diagnostics.problem(
            f"{variable} must be http:// and a host, such as http://proxy.example:3128: partner calls go through it"
        )
