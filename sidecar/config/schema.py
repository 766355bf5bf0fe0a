"""Every setting, declared once. Parsing, the TOML keys, "did you mean" and `serve --help` all read this class."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sidecar.config import gateway, oauth2, parsers
from sidecar.config.settings import ProfileSettings, Setting
from sidecar.core.listener_limits import Limits
from sidecar.core.model import Secret, StoreFailure
from sidecar.core.store_url import parse_store_url

_DAY_S = 86_400
_yes_no = parsers.one_of(true=True, false=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a sidecar: `Settings.drain_s` is the declaration, `settings.drain_s` the parsed value."""

    values: dict[str, Any]
    """The values by key, without those that differ by profile."""
    profiles: tuple[ProfileSettings, ...]
    """Never empty; in the file's order."""
    traces: bool
    """Whether OpenTelemetry's variables ask for spans."""
    warnings: tuple[str, ...]
    """One sentence each, without secrets, for the log at the start."""

    config = Setting[Path | None](
        parsers.path, "", "TOML file with the same settings: names in lower case, without the prefix"
    )
    listen = Setting(
        parsers.items(parsers.address),
        "127.0.0.1:8181",
        "vending listeners, comma separated: host:port, :port (all addresses), unix:/path (mode 0660) or unix:@name "
        "(abstract, Linux)",
    )
    admin_listen = Setting(
        parsers.items(parsers.address),
        "127.0.0.1:9181",
        "admin listeners for probes, metrics and status, in the same form; they serve no token. In Kubernetes: :9181 "
        "(IPv4, IPv6 and dual stack)",
    )
    store = Setting(
        parse_store_url,
        "memory://",
        "where replicas share the token: redis://, rediss://, unix://, redis+sentinel://, redis+cluster://, "
        "sqlite:///path (one machine) or memory://",
        shown=False,
    )
    store_timeout_s = Setting(parsers.number(0.01, 10), "0.5", "timeout of one store operation, connect included")
    store_failure = Setting(
        parsers.one_of(local=StoreFailure.LOCAL, fail=StoreFailure.FAIL),
        "local",
        "when the store is down and there is no token: local (call the partner within a share of the budget) or fail",
    )
    fleet_size = Setting(
        parsers.whole(1, 10_000), "10", "number of replicas that share the budget while the store is down"
    )
    poll_s = Setting(parsers.number(0.05, 60), "2", "how often a replica polls the store")
    idle_s = Setting(
        parsers.number(0, 31 * _DAY_S),
        "0",
        "a profile without requests for this long is not refreshed until the next request",
        per_profile=True,
        default_note="0 (never)",
    )
    seal_key_file = Setting[Path | None](
        parsers.path,
        "",
        "file with the keys that encrypt tokens in the store, one per line: [id:]base64 of 32 bytes; "
        "the first encrypts, all decrypt",
    )
    seal = Setting(parsers.one_of(on=True, off=False), "on", "off: tokens are stored unencrypted (logs a warning)")
    partner = oauth2.PARTNER
    token_path = oauth2.TOKEN_PATH
    client_auth = oauth2.CLIENT_AUTH
    scope = oauth2.SCOPE
    audience = oauth2.AUDIENCE
    assertion_audience = oauth2.ASSERTION_AUDIENCE
    base_url = Setting[str | None](
        parsers.base_url,
        "",
        "URL of the partner; https:// unless the host is loopback or SIDECAR_ALLOW_HTTP=true",
        per_profile=True,
        shown=False,
        default_note="preset's production URL",
    )
    allow_http = Setting(_yes_no, "false", "true: the partner may be called without TLS (logs a warning)")
    credentials_dir = Setting[Path | None](
        parsers.path,
        "",
        "directory with the files api-key, api-secret (private-key for private_key_jwt) and optionally signing-key, "
        "such as a mounted Secret",
        per_profile=True,
    )
    api_key = Setting[Secret | None](
        parsers.secret,
        "",
        "API key, for development; an error together with SIDECAR_CREDENTIALS_DIR",
        per_profile=True,
        shown=False,
    )
    api_secret = Setting[Secret | None](
        parsers.secret,
        "",
        "API secret, for development; an error together with SIDECAR_CREDENTIALS_DIR",
        per_profile=True,
        shown=False,
    )
    account = Setting[str | None](
        parsers.account,
        "",
        "name of the partner account. Set it to keep sharing token and budget when the API key changes; unset: "
        "the API key identifies the account",
        per_profile=True,
        shown=False,
        empty_counts=True,
    )
    role = Setting(parsers.word, "API_USER", "role of the requested token", per_profile=True)
    token_lifetime_s = Setting(
        parsers.number(1, 31 * _DAY_S), "900", "assumed token lifetime when the partner declares none", per_profile=True
    )
    refresh_at = Setting(
        parsers.number(0.1, 0.99, "a fraction"),
        "0.8",
        "fraction of the lifetime after which the token is refreshed",
        per_profile=True,
    )
    max_stale_s = Setting(
        parsers.number(0, 31 * _DAY_S),
        "3600",
        "how long after its assumed or learned expiry a token may be served as suspect; 0: never",
        per_profile=True,
    )
    expiry_margin_s = Setting(
        parsers.number(0, 3600),
        "15",
        "a token with less time left is never served (short-lived tokens: at most a tenth of the lifetime)",
        per_profile=True,
    )
    call_budget = Setting(
        parsers.budget, "6/60", "partner calls / seconds, for all replicas that share the store", per_profile=True
    )
    partner_timeout_s = Setting(
        parsers.number(0.1, 120), "10", "timeout of one partner call, connect included", per_profile=True
    )
    cooldown_s = Setting(
        parsers.number(0, _DAY_S, above=True),
        "30",
        "cool-down after a 429 without a usable Retry-After; doubles with each further 429, up to 900",
        per_profile=True,
    )
    sink_file = Setting[Path | None](
        parsers.path,
        "",
        "file that the token is written to, for apps that read one (mode 0640); removed while there is no token or "
        "only a suspect one",
        per_profile=True,
    )
    request_timeout_s = Setting(
        parsers.number(0, 300, above=True), "5", "how long a request waits for a token when there is none"
    )
    require_header = Setting(_yes_no, "true", "vending requests must carry Sidecar-Request: true")
    caller_token_file = Setting[Path | None](
        parsers.path,
        "",
        "callers must send Authorization: Bearer <a line of this file>; each line is accepted, for rotation without "
        "a gap; 16 to 4096 visible ASCII characters per line; required to listen beyond loopback",
    )
    forward_auth = Setting(
        parsers.one_of(off=False, on=True),
        "off",
        "on: /v1/authorize and /oauth/token also accept forwarded requests and any Host, from proxies that present the "
        "caller token (Sidecar-Token: ..., Authorization: Bearer ..., or the OAuth client secret) or use a unix socket",
    )
    sign_max_bytes = Setting(parsers.whole(1, 1 << 26), "1048576", "maximum size of a body for /v1/sign; 413 above it")
    clock = Setting(
        parsers.one_of(partner="partner", local="local"),
        "partner",
        "timestamps of signatures: partner (our clock, corrected by its offset from the partner's Date headers) or "
        "local (not corrected; logs a warning above 120 s)",
    )
    gateway_listen = gateway.LISTEN
    gateway_allow = gateway.ALLOW
    gateway_sign = gateway.SIGN
    gateway_replay = gateway.REPLAY
    gateway_timeout_s = gateway.TIMEOUT_S
    gateway_max_body_bytes = gateway.MAX_BODY_BYTES
    allowed_hosts = Setting[tuple[str, ...] | None](
        parsers.items(parsers.allowed_host),
        "",
        "additional accepted Host values, comma separated: host (any port) or host:port (that port only)",
        default_note="loopback names",
    )
    allowed_uids = Setting[frozenset[int] | None](
        parsers.set_of(parsers.whole(0, 2**32 - 2)), "", "user ids that may connect to unix sockets, comma separated"
    )
    max_connections = Setting(
        parsers.whole(1, 100_000),
        "512",
        "maximum connections per listener. At the limit the connection that is stalled or idle longest is closed, "
        "else the longest long-poll, else new connections get 503. At most a quarter may be sending a body",
    )
    max_header_bytes = Setting(
        parsers.whole(1024, 1 << 20),
        "16384",
        "maximum size of the request line and headers together, empty lines before them included; 431 above it",
    )
    max_pipelined = Setting(parsers.whole(1, 1000), "16", "maximum pipelined requests per connection")
    header_timeout_s = Setting(parsers.number(0.1, 600), "10", "time limit for receiving a request's headers")
    body_timeout_s = Setting(parsers.number(0.1, 600), "5", "time limit for receiving a request's body")
    write_timeout_s = Setting(parsers.number(0.1, 600), "10", "how long a client may leave a response unread")
    warm = Setting(
        parsers.one_of(on=True, off=False),
        "on",
        "on: repeated requests with the same bytes skip parsing (fast path); off: every request is parsed",
    )
    log_format = Setting(parsers.one_of(json="json", console="console"), "json", "json, or console for people")
    log_level = Setting(
        parsers.one_of(debug="debug", info="info", warning="warning", error="error"),
        "info",
        "lowest level that is logged: debug, info, warning or error",
    )
    audit = Setting(
        parsers.one_of(off="off", changes="changes", all="all"),
        "off",
        "logs which caller got which token, and reports: off, changes (the first time a caller gets a token) or all",
    )
    drain_s = Setting(
        parsers.number(0, 600),
        "5",
        "after SIGTERM: /readyz returns 503 at once, tokens are served for this long, each connection closes after its "
        "response",
    )

    @property
    def limits(self) -> Limits:
        return Limits(**{limit.name: self.values[limit.name] for limit in fields(Limits)})


SETTINGS: tuple[Setting[Any], ...] = tuple(value for value in vars(Settings).values() if isinstance(value, Setting))
"""All settings, in the order above, which is also the order in the documentation."""
