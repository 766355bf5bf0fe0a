"""Every setting as data: parsing, the TOML keys, "did you mean" and `serve --help` all read this table."""

from __future__ import annotations

from typing import Any

from sidecar.config import addresses, parsers
from sidecar.config.setting import Setting
from sidecar.core.model import StoreFailure

_DAY_S = 86_400
_yes_no = parsers.one_of(true=True, false=False)

CONFIG = Setting("SIDECAR_CONFIG", parsers.path, "", "TOML file with the same names, lower case, without the prefix")
LISTEN = Setting(
    "SIDECAR_LISTEN",
    parsers.items(addresses.address),
    "127.0.0.1:8181",
    "vending listeners, comma separated: host:port, :port (all addresses), unix:/path (mode 0660) or unix:@name "
    "(abstract, Linux)",
)
ADMIN_LISTEN = Setting(
    "SIDECAR_ADMIN_LISTEN",
    parsers.items(addresses.address),
    "127.0.0.1:9181",
    "probes, metrics, status, in the same form; carries no token. :9181 in Kubernetes, on IPv4, IPv6 and both",
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
    "SIDECAR_STORE_TIMEOUT_S", parsers.number(0.01, 10), "0.5", "one store operation, connect included"
)
STORE_FAILURE = Setting(
    "SIDECAR_STORE_FAILURE",
    parsers.one_of(local=StoreFailure.LOCAL, fail=StoreFailure.FAIL),
    "local",
    "store down and no token: local (a share of the budget) or fail",
)
FLEET_SIZE = Setting(
    "SIDECAR_FLEET_SIZE", parsers.whole(1, 10_000), "10", "replicas that share the budget while the store is down"
)
POLL_S = Setting("SIDECAR_POLL_S", parsers.number(0.05, 60), "2", "how often a replica looks at the store")
IDLE_S = Setting(
    "SIDECAR_IDLE_S",
    parsers.number(0, 31 * _DAY_S),
    "0",
    "a profile nobody asked for this long is not refreshed until the next request",
    per_profile=True,
    default_note="0 (never)",
)
SEAL_KEY_FILE = Setting(
    "SIDECAR_SEAL_KEY_FILE",
    parsers.path,
    "",
    "keys that seal tokens in the store, one a line: [id:]base64 of 32 bytes; the first seals, all open",
)
SEAL = Setting(
    "SIDECAR_SEAL", parsers.one_of(on=True, off=False), "on", "off: tokens lie open in the store, said in a warning"
)
PARTNER = Setting("SIDECAR_PARTNER", parsers.word, "pay1st", "preset: pay1st or flow1st", per_profile=True)
BASE_URL = Setting(
    "SIDECAR_BASE_URL",
    parsers.base_url,
    "",
    "where the partner is; https:// unless loopback or SIDECAR_ALLOW_HTTP=true",
    per_profile=True,
    shown=False,
    default_note="preset's production URL",
)
ALLOW_HTTP = Setting(
    "SIDECAR_ALLOW_HTTP", _yes_no, "false", "true: the partner may be called without TLS, said in a warning"
)
CREDENTIALS_DIR = Setting(
    "SIDECAR_CREDENTIALS_DIR",
    parsers.path,
    "",
    "directory with files api-key, api-secret (and signing-key): a mounted Secret",
    per_profile=True,
)
API_KEY = Setting(
    "SIDECAR_API_KEY",
    parsers.api_key,
    "",
    "for development; an error beside the directory",
    per_profile=True,
    shown=False,
)
API_SECRET = Setting("SIDECAR_API_SECRET", parsers.secret, "", "the same", per_profile=True, shown=False)
ACCOUNT = Setting(
    "SIDECAR_ACCOUNT",
    parsers.account,
    "",
    "names the partner account, to go on sharing its token and budget when the API key changes; else the key is the "
    "account",
    per_profile=True,
    shown=False,
    empty_counts=True,
)
ROLE = Setting("SIDECAR_ROLE", parsers.word, "API_USER", "role asked for", per_profile=True)
TOKEN_LIFETIME_S = Setting(
    "SIDECAR_TOKEN_LIFETIME_S",
    parsers.number(1, 31 * _DAY_S),
    "900",
    "assumed lifetime when the partner declares none",
    per_profile=True,
)
REFRESH_AT = Setting(
    "SIDECAR_REFRESH_AT",
    parsers.number(0.1, 0.99, "a fraction"),
    "0.8",
    "fraction of the lifetime after which it is refreshed ahead",
    per_profile=True,
)
MAX_STALE_S = Setting(
    "SIDECAR_MAX_STALE_S",
    parsers.number(0, 31 * _DAY_S),
    "3600",
    "how long past an assumed or learned end a token may be vended as suspect; 0: never",
    per_profile=True,
)
EXPIRY_MARGIN_S = Setting(
    "SIDECAR_EXPIRY_MARGIN_S",
    parsers.number(0, 3600),
    "15",
    "a token with less left is never vended (short-lived tokens: at most a tenth of the lifetime)",
    per_profile=True,
)
CALL_BUDGET = Setting(
    "SIDECAR_CALL_BUDGET",
    parsers.budget,
    "6/60",
    "partner calls per seconds, for the whole fleet that shares the store",
    per_profile=True,
)
PARTNER_TIMEOUT_S = Setting(
    "SIDECAR_PARTNER_TIMEOUT_S",
    parsers.number(0.1, 120),
    "10",
    "one partner call, connect included",
    per_profile=True,
)
COOLDOWN_S = Setting(
    "SIDECAR_COOLDOWN_S",
    parsers.number(0, _DAY_S, above=True),
    "30",
    "cool-down after a 429 without a usable Retry-After; doubles, at most 900",
    per_profile=True,
)
SINK_FILE = Setting(
    "SIDECAR_SINK_FILE",
    parsers.path,
    "",
    "where the token lies for apps that read a file (mode 0640); no file while none, or a suspect one, is all there is",
    per_profile=True,
)
REQUEST_TIMEOUT_S = Setting(
    "SIDECAR_REQUEST_TIMEOUT_S",
    parsers.number(0, 300, above=True),
    "5",
    "longest a caller waits for a token when there is none",
)
REQUIRE_HEADER = Setting("SIDECAR_REQUIRE_HEADER", _yes_no, "true", "vending requests must carry Sidecar-Request: true")
CALLER_TOKEN_FILE = Setting(
    "SIDECAR_CALLER_TOKEN_FILE",
    parsers.path,
    "",
    "callers must send Authorization: Bearer <a line of this file>; each line is accepted, so that it can be rotated "
    "without a gap; 16 to 4096 visible ASCII characters a line; required to listen beyond loopback",
)
FORWARD_AUTH = Setting(
    "SIDECAR_FORWARD_AUTH",
    parsers.one_of(off=False, on=True),
    "off",
    "on: /v1/authorize and /oauth/token also take forwarded requests and any Host, from proxies that present the "
    "caller token (Sidecar-Token: ..., Authorization: Bearer ..., or the OAuth client secret) or use a unix socket",
)
ALLOWED_HOSTS = Setting(
    "SIDECAR_ALLOWED_HOSTS",
    parsers.items(parsers.allowed_host),
    "",
    "further Host values that are accepted, comma separated: host (any port) or host:port (that port alone)",
    default_note="loopback names",
)
ALLOWED_UIDS = Setting(
    "SIDECAR_ALLOWED_UIDS",
    parsers.items(parsers.whole(0, 2**32 - 2)),
    "",
    "user ids of the peers allowed on unix sockets, comma separated",
)
MAX_CONNECTIONS = Setting(
    "SIDECAR_MAX_CONNECTIONS",
    parsers.whole(1, 100_000),
    "512",
    "connections of each listener; past it the one that owes bytes or is silent longest makes room, then the longest "
    "long-poll, else the answer is 503; a quarter of them may have a body under way",
)
MAX_HEADER_BYTES = Setting(
    "SIDECAR_MAX_HEADER_BYTES",
    parsers.whole(1024, 1 << 20),
    "16384",
    "a request's line and headers together, however long each line is, and empty lines before them; past it the answer "
    "is 431",
)
MAX_PIPELINED = Setting(
    "SIDECAR_MAX_PIPELINED", parsers.whole(1, 1000), "16", "requests a connection may send ahead of their answers"
)
HEADER_TIMEOUT_S = Setting(
    "SIDECAR_HEADER_TIMEOUT_S", parsers.number(0.1, 600), "10", "longest a request's headers may take to come"
)
BODY_TIMEOUT_S = Setting("SIDECAR_BODY_TIMEOUT_S", parsers.number(0.1, 600), "5", "longest its body may take")
WRITE_TIMEOUT_S = Setting("SIDECAR_WRITE_TIMEOUT_S", parsers.number(0.1, 600), "10", "longest an answer may lie unread")
WARM = Setting(
    "SIDECAR_WARM",
    parsers.one_of(on=True, off=False),
    "on",
    "the fast path; off: every request is parsed, also one that was answered with the same bytes before",
)
LOG_FORMAT = Setting(
    "SIDECAR_LOG_FORMAT", parsers.one_of(json="json", console="console"), "json", "json, or console for people"
)
LOG_LEVEL = Setting(
    "SIDECAR_LOG_LEVEL",
    parsers.one_of(debug="debug", info="info", warning="warning", error="error"),
    "info",
    "debug, info, warning or error",
)
AUDIT = Setting(
    "SIDECAR_AUDIT",
    parsers.one_of(off="off", changes="changes", all="all"),
    "off",
    "a log line for who got which token, and for reports: off, changes (a caller's first of a token) or all",
)
DRAIN_S = Setting(
    "SIDECAR_DRAIN_S",
    parsers.number(0, 600),
    "5",
    "after SIGTERM: /readyz turns 503 at once, vending goes on for this long, each answer the last of its connection",
)

SETTINGS: tuple[Setting[Any], ...] = tuple(value for value in list(globals().values()) if isinstance(value, Setting))
"""All of them, in the order above: that of the documents."""
