"""Loads the settings: reads them, builds profiles, checks shared settings, and reports every problem at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sidecar.config import profiles, schema, sources
from sidecar.config.checks import judge_proxies, judge_store_files, judge_trusted_certificates
from sidecar.config.environment import judge_passed_over
from sidecar.config.otel import traces_wanted
from sidecar.config.parsers import is_local
from sidecar.config.settings import Settings
from sidecar.config.sources import Findings, Values
from sidecar.core.errors import ConfigurationError
from sidecar.core.listener_limits import Limits


def load(
    environ: Mapping[str, str],
    presets: Mapping[str, str],
    problems_with_files: Callable[[Settings], Iterable[str]] = lambda _: (),
) -> Settings:
    """Make settings from the environment and the TOML file that it names.

    `presets` maps a preset's name to its production base URL. Raises `ConfigurationError` with every problem, one per
    line. Each line says what to do and never shows a secret. `problems_with_files` adds the problems of the files that
    the settings name, if the settings can be read.
    """
    findings = Findings()
    written = sources.read(environ, findings)
    if not written.readable:
        # The unread file may set what else seems missing, so reports of further problems would mislead.
        raise ConfigurationError(findings.problems)
    built = profiles.build(written, presets, findings)
    judge_proxies(built, environ, findings)
    judge_passed_over(environ, findings)
    values = Values((written.environment, written.file), findings)
    values.read_all(schema.SETTINGS)
    _judge_listeners(values, findings)
    _judge_sealing(values, findings)
    judge_store_files(values, findings)
    judge_trusted_certificates(environ, findings)
    uids = values.get(schema.ALLOWED_UIDS)
    settings = Settings(
        listen=values[schema.LISTEN],
        admin_listen=values[schema.ADMIN_LISTEN],
        store_url=values[schema.STORE],
        store_timeout_s=values[schema.STORE_TIMEOUT_S],
        seal_key_file=values.get(schema.SEAL_KEY_FILE) if values[schema.SEAL] else None,
        seal=values[schema.SEAL],
        require_header=values[schema.REQUIRE_HEADER],
        caller_token_file=values.get(schema.CALLER_TOKEN_FILE),
        forward_auth=values[schema.FORWARD_AUTH],
        allowed_hosts=values.get(schema.ALLOWED_HOSTS) or (),
        allowed_uids=None if uids is None else frozenset(uids),
        limits=Limits(
            max_connections=values[schema.MAX_CONNECTIONS],
            max_header_bytes=values[schema.MAX_HEADER_BYTES],
            max_pipelined=values[schema.MAX_PIPELINED],
            header_timeout_s=values[schema.HEADER_TIMEOUT_S],
            body_timeout_s=values[schema.BODY_TIMEOUT_S],
            write_timeout_s=values[schema.WRITE_TIMEOUT_S],
        ),
        warm=values[schema.WARM],
        log_format=values[schema.LOG_FORMAT],
        log_level=values[schema.LOG_LEVEL],
        audit=values[schema.AUDIT],
        drain_s=values[schema.DRAIN_S],
        traces=traces_wanted(environ, findings),
        profiles=built,
        warnings=findings.warnings,
    )
    if findings.problems:
        raise ConfigurationError([*findings.problems, *problems_with_files(settings)])
    return settings


def _judge_listeners(values: Values, findings: Findings) -> None:
    vending, admin = values[schema.LISTEN], values[schema.ADMIN_LISTEN]
    for address in vending:
        if address in admin and (address.path or address.port):
            findings.problem(
                f"{values.origin(schema.LISTEN)} and {values.origin(schema.ADMIN_LISTEN)} both name {address}: the "
                "admin listener needs one of its own"
            )
    beyond = [str(address) for address in vending if not is_local(address)]
    if beyond and values.given(schema.CALLER_TOKEN_FILE) is None:
        findings.problem(
            f"{values.origin(schema.LISTEN)} listens beyond loopback on {', '.join(beyond)}: any client that "
            f"reaches it could get the token; set {schema.CALLER_TOKEN_FILE.name}, or listen on 127.0.0.1"
        )
    if values[schema.FORWARD_AUTH] and not values.given(schema.CALLER_TOKEN_FILE) and all(not a.path for a in vending):
        findings.problem(
            f"{values.origin(schema.FORWARD_AUTH)} accepts forwarded requests, so proxies must authenticate: set "
            f"{schema.CALLER_TOKEN_FILE.name}, or listen on a unix socket ({schema.LISTEN.name})"
        )
    over_tcp = [str(address) for address in vending if not address.path]
    if over_tcp and values.given(schema.ALLOWED_UIDS) and values.given(schema.CALLER_TOKEN_FILE) is None:
        findings.warn(
            f"{values.origin(schema.ALLOWED_UIDS)} has no effect on {', '.join(over_tcp)}: the kernel reports the "
            f"user id on unix sockets only; listen on those alone, or set {schema.CALLER_TOKEN_FILE.name}"
        )
    abstract = [str(address) for address in vending if address.path and not address.file]
    if abstract and values.given(schema.ALLOWED_UIDS) is None and values.given(schema.CALLER_TOKEN_FILE) is None:
        findings.warn(
            f"{values.origin(schema.LISTEN)} listens on {', '.join(abstract)}, which has no file mode: every user in "
            "this network namespace can get the token; set "
            f"{schema.ALLOWED_UIDS.name} or {schema.CALLER_TOKEN_FILE.name}"
        )


def _judge_sealing(values: Values, findings: Findings) -> None:
    if values[schema.STORE].reveal().startswith("memory:"):
        return
    if not values[schema.SEAL]:
        findings.warn(f"{values.origin(schema.SEAL)} is off: tokens are stored unencrypted")
        if values.given(schema.SEAL_KEY_FILE):
            findings.warn(
                f"{values.origin(schema.SEAL_KEY_FILE)} is not used while {values.origin(schema.SEAL)} is off"
            )
    elif values.given(schema.SEAL_KEY_FILE) is None:
        findings.problem(
            f"{values.origin(schema.STORE)} needs {schema.SEAL_KEY_FILE.name}, keys that encrypt the tokens in it: "
            f"make one with 'openssl rand -base64 32 > FILE', or set {schema.SEAL.name}=off to store tokens unencrypted"
        )
