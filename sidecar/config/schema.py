"""Every setting as data: parsing, the TOML keys, "did you mean" and `serve --help` all read this table."""

from __future__ import annotations

from typing import Any

from sidecar.config import parsers
from sidecar.config.settings import Setting
from sidecar.core.model import StoreFailure

_DAY_S = 86_400
_yes_no = parsers.one_of(true=True, false=False)

CONFIG = Setting(
    "SIDECAR_CONFIG", parsers.path, "", "TOML file with the same settings: names in lower case, without the prefix"
)
LISTEN = Setting(
    "SIDECAR_LISTEN",
    parsers.items(parsers.address),
    "127.0.0.1:8181",
    "vending listeners, comma separated: host:port, :port (all addresses), unix:/path (mode 0660) or unix:@name "
    "(abstract, Linux)",
)
ADMIN_LISTEN = Setting(
    "SIDECAR_ADMIN_LISTEN",
    parsers.items(parsers.address),
    "127.0.0.1:9181",
    "admin listeners for probes, metrics and status, in the same form; they serve no token. In Kubernetes: :9181 "
    "(IPv4, IPv6 and dual stack)",
)
STORE = Setting(
    "SIDECAR_STORE",
    parsers.store_url,
    "memory://",
    "where replicas share the token: redis://, rediss://, unix://, redis+sentinel://, redis+cluster://, sqlite:///path "
    "(one machine) or memory://",
    shown=False,
)
STORE_TIMEOUT_S = Setting(
    "SIDECAR_STORE_TIMEOUT_S", parsers.number(0.01, 10), "0.5", "timeout of one store operation, connect included"
)
STORE_FAILURE = Setting(
    "SIDECAR_STORE_FAILURE",
    parsers.one_of(local=StoreFailure.LOCAL, fail=StoreFailure.FAIL),
    "local",
    "when the store is down and there is no token: local (call the partner within a share of the budget) or fail",
)
FLEET_SIZE = Setting(
    "SIDECAR_FLEET_SIZE",
    parsers.whole(1, 10_000),
    "10",
    "number of replicas that share the budget while the store is down",
)
POLL_S = Setting("SIDECAR_POLL_S", parsers.number(0.05, 60), "2", "how often a replica polls the store")
IDLE_S = Setting(
    "SIDECAR_IDLE_S",
    parsers.number(0, 31 * _DAY_S),
    "0",
    "a profile without requests for this long is not refreshed until the next request",
    per_profile=True,
    default_note="0 (never)",
)
SEAL_KEY_FILE = Setting(
    "SIDECAR_SEAL_KEY_FILE",
    parsers.path,
    "",
    "file with the keys that encrypt tokens in the store, one per line: [id:]base64 of 32 bytes; the first encrypts, "
    "all decrypt",
)
SEAL = Setting(
    "SIDECAR_SEAL", parsers.one_of(on=True, off=False), "on", "off: tokens are stored unencrypted (logs a warning)"
)
PARTNER = Setting("SIDECAR_PARTNER", parsers.word, "pay1st", "preset: pay1st or flow1st", per_profile=True)
BASE_URL = Setting(
    "SIDECAR_BASE_URL",
    parsers.base_url,
    "",
    "URL of the partner; https:// unless the host is loopback or SIDECAR_ALLOW_HTTP=true",
    per_profile=True,
    shown=False,
    default_note="preset's production URL",
)
ALLOW_HTTP = Setting(
    "SIDECAR_ALLOW_HTTP", _yes_no, "false", "true: the partner may be called without TLS (logs a warning)"
)
CREDENTIALS_DIR = Setting(
    "SIDECAR_CREDENTIALS_DIR",
    parsers.path,
    "",
    "directory with the files api-key, api-secret and optionally signing-key, such as a mounted Secret",
    per_profile=True,
)
API_KEY = Setting(
    "SIDECAR_API_KEY",
    parsers.api_key,
    "",
    "API key, for development; an error together with SIDECAR_CREDENTIALS_DIR",
    per_profile=True,
    shown=False,
)
API_SECRET = Setting(
    "SIDECAR_API_SECRET",
    parsers.secret,
    "",
    "API secret, for development; an error together with SIDECAR_CREDENTIALS_DIR",
    per_profile=True,
    shown=False,
)
ACCOUNT = Setting(
    "SIDECAR_ACCOUNT",
    parsers.account,
    "",
    "name of the partner account. Set it to keep sharing token and budget when the API key changes; unset: the API key "
    "identifies the account",
    per_profile=True,
    shown=False,
    empty_counts=True,
)
ROLE = Setting("SIDECAR_ROLE", parsers.word, "API_USER", "role of the requested token", per_profile=True)
TOKEN_LIFETIME_S = Setting(
    "SIDECAR_TOKEN_LIFETIME_S",
    parsers.number(1, 31 * _DAY_S),
    "900",
    "assumed token lifetime when the partner declares none",
    per_profile=True,
)
REFRESH_AT = Setting(
    "SIDECAR_REFRESH_AT",
    parsers.number(0.1, 0.99, "a fraction"),
    "0.8",
    "fraction of the lifetime after which the token is refreshed",
    per_profile=True,
)
MAX_STALE_S = Setting(
    "SIDECAR_MAX_STALE_S",
    parsers.number(0, 31 * _DAY_S),
    "3600",
    "how long after its assumed or learned expiry a token may be served as suspect; 0: never",
    per_profile=True,
)
EXPIRY_MARGIN_S = Setting(
    "SIDECAR_EXPIRY_MARGIN_S",
    parsers.number(0, 3600),
    "15",
    "a token with less time left is never served (short-lived tokens: at most a tenth of the lifetime)",
    per_profile=True,
)
CALL_BUDGET = Setting(
    "SIDECAR_CALL_BUDGET",
    parsers.budget,
    "6/60",
    "partner calls / seconds, for all replicas that share the store",
    per_profile=True,
)
PARTNER_TIMEOUT_S = Setting(
    "SIDECAR_PARTNER_TIMEOUT_S",
    parsers.number(0.1, 120),
    "10",
    "timeout of one partner call, connect included",
    per_profile=True,
)
COOLDOWN_S = Setting(
    "SIDECAR_COOLDOWN_S",
    parsers.number(0, _DAY_S, above=True),
    "30",
    "cool-down after a 429 without a usable Retry-After; doubles with each further 429, up to 900",
    per_profile=True,
)
SINK_FILE = Setting(
    "SIDECAR_SINK_FILE",
    parsers.path,
    "",
    "file that the token is written to, for apps that read one (mode 0640); removed while there is no token or only a "
    "suspect one",
    per_profile=True,
)
REQUEST_TIMEOUT_S = Setting(
    "SIDECAR_REQUEST_TIMEOUT_S",
    parsers.number(0, 300, above=True),
    "5",
    "how long a request waits for a token when there is none",
)
REQUIRE_HEADER = Setting("SIDECAR_REQUIRE_HEADER", _yes_no, "true", "vending requests must carry Sidecar-Request: true")
CALLER_TOKEN_FILE = Setting(
    "SIDECAR_CALLER_TOKEN_FILE",
    parsers.path,
    "",
    "callers must send Authorization: Bearer <a line of this file>; each line is accepted, for rotation without a gap; "
    "16 to 4096 visible ASCII characters per line; required to listen beyond loopback",
)
FORWARD_AUTH = Setting(
    "SIDECAR_FORWARD_AUTH",
    parsers.one_of(off=False, on=True),
    "off",
    "on: /v1/authorize and /oauth/token also accept forwarded requests and any Host, from proxies that present the "
    "caller token (Sidecar-Token: ..., Authorization: Bearer ..., or the OAuth client secret) or use a unix socket",
)
ALLOWED_HOSTS = Setting(
    "SIDECAR_ALLOWED_HOSTS",
    parsers.items(parsers.allowed_host),
    "",
    "additional accepted Host values, comma separated: host (any port) or host:port (that port only)",
    default_note="loopback names",
)
ALLOWED_UIDS = Setting(
    "SIDECAR_ALLOWED_UIDS",
    parsers.items(parsers.whole(0, 2**32 - 2)),
    "",
    "user ids that may connect to unix sockets, comma separated",
)
MAX_CONNECTIONS = Setting(
    "SIDECAR_MAX_CONNECTIONS",
    parsers.whole(1, 100_000),
    "512",
    "maximum connections per listener. At the limit the connection that is stalled or idle longest is closed, else the "
    "longest long-poll, else new connections get 503. At most a quarter may be sending a body",
)
MAX_HEADER_BYTES = Setting(
    "SIDECAR_MAX_HEADER_BYTES",
    parsers.whole(1024, 1 << 20),
    "16384",
    "maximum size of the request line and headers together, empty lines before them included; 431 above it",
)
MAX_PIPELINED = Setting(
    "SIDECAR_MAX_PIPELINED", parsers.whole(1, 1000), "16", "maximum pipelined requests per connection"
)
HEADER_TIMEOUT_S = Setting(
    "SIDECAR_HEADER_TIMEOUT_S", parsers.number(0.1, 600), "10", "time limit for receiving a request's headers"
)
BODY_TIMEOUT_S = Setting(
    "SIDECAR_BODY_TIMEOUT_S", parsers.number(0.1, 600), "5", "time limit for receiving a request's body"
)
WRITE_TIMEOUT_S = Setting(
    "SIDECAR_WRITE_TIMEOUT_S", parsers.number(0.1, 600), "10", "how long a client may leave a response unread"
)
WARM = Setting(
    "SIDECAR_WARM",
    parsers.one_of(on=True, off=False),
    "on",
    "on: repeated requests with the same bytes skip parsing (fast path); off: every request is parsed",
)
LOG_FORMAT = Setting(
    "SIDECAR_LOG_FORMAT", parsers.one_of(json="json", console="console"), "json", "json, or console for people"
)
LOG_LEVEL = Setting(
    "SIDECAR_LOG_LEVEL",
    parsers.one_of(debug="debug", info="info", warning="warning", error="error"),
    "info",
    "lowest level that is logged: debug, info, warning or error",
)
AUDIT = Setting(
    "SIDECAR_AUDIT",
    parsers.one_of(off="off", changes="changes", all="all"),
    "off",
    "logs which caller got which token, and reports: off, changes (the first time a caller gets a token) or all",
)
DRAIN_S = Setting(
    "SIDECAR_DRAIN_S",
    parsers.number(0, 600),
    "5",
    "after SIGTERM: /readyz returns 503 at once, tokens are served for this long, each connection closes after its "
    "response",
)

SETTINGS: tuple[Setting[Any], ...] = tuple(value for value in list(globals().values()) if isinstance(value, Setting))
"""All settings, in the order above, which is also the order in the documentation."""
