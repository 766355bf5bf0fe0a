"""What kept a Redis server from being used, and what to do about it, in words for whoever set it up.

Decided by the exception's class and the first word of the server's error alone. Texts of servers are never shown: they
may hold what was sent.
"""

from __future__ import annotations

import socket
import ssl

from redis.exceptions import AuthenticationError, InvalidResponse, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sidecar.core.redis_url import RedisUrl, Topology
from sidecar.file_limit import WORDS as FILE_LIMIT
from sidecar.file_limit import is_file_limit
from sidecar.stores.redis.client import root_of
from sidecar.stores.redis.connection import CertificateRefusedError
from sidecar.stores.redis.password_file import PasswordFileError

CLUSTER_NODE = "it is a node of a cluster: name it by redis+cluster://"
REPLICA = "it is a read-only replica: name its master, or the sentinels by redis+sentinel://"

_SILENT = "no answer within SIDECAR_STORE_TIMEOUT_S: a firewall, a network policy, or a server that hangs"
_SILENT_TLS = f"{_SILENT}; or no TLS is spoken there: a port without TLS is redis://"
_BY_CODE = {
    "ASK": CLUSTER_NODE,
    "BUSY": "a script of somebody else keeps it busy: end that by SCRIPT KILL",
    "CLUSTERDOWN": "the cluster does not serve now: a part of its slots has no master, see CLUSTER INFO",
    "CROSSSLOT": CLUSTER_NODE,
    "DENIED": "it is in protected mode, and takes clients of its own machine only: give it a password, or a user",
    "LOADING": "it is loading its data: wait for the end of that",
    "MASTERDOWN": "it is a replica that has lost its master: name the master",
    "MISCONF": "it refuses writes because it could not save to disk: mend its disk, or turn saving off (save '')",
    "MOVED": CLUSTER_NODE,
    "NOAUTH": "it wants a password, and SIDECAR_STORE has none: add USER:PASSWORD@, or the option password_file",
    "NOPERM": "its user may not do that: deploy/README.md has the rights that are needed",
    "NOREPLICAS": "fewer replicas follow it than min-replicas-to-write demands: start them, or lower that",
    "OOM": "its memory is full (maxmemory): raise maxmemory, or remove what others keep there",
    "READONLY": REPLICA,
    "TRYAGAIN": "a part of the cluster's keys is being moved: try again later",
    "WRONGPASS": "user or password is wrong, or the user is off",
}
_BY_CLASS: tuple[tuple[type[BaseException], str], ...] = (
    (CertificateRefusedError, "it wants a certificate of ours, or does not trust it: ssl_certfile and ssl_keyfile"),
    (
        PasswordFileError,
        "the file of the option password_file cannot be read or holds no password",
    ),
    (AuthenticationError, "its default user has no password: leave the password out, or name a user"),
    (
        ssl.SSLCertVerificationError,
        "its certificate is not trusted, or for another name: ssl_ca_certs, othe host",
    ),
    (ssl.SSLError, "no TLS is spoken there, or our certificate and its key do not fit: a port without TLS is redis://"),
    (socket.gaierror, "the name is not known: look at its spelling, and at DNS"),
    (ConnectionRefusedError, "nobody listens there: look at the port, and whether the server runs"),
    (TimeoutError, _SILENT),
    (RedisTimeoutError, _SILENT),
    (InvalidResponse, "what answers there is no Redis server"),
    (ResponseError, "it does not know a command that is needed: it is no Redis server of version 6.2 or later"),
)
_CLOSED = "it closed the connection without an answer: a port with TLS is rediss://"
_CLOSED_TLS = "it closed the connection during the TLS handshake: a port without TLS is redis://"
_FULL = "it has as many clients as it takes: raise maxclients, or look who connects to it"
_NO_SOCKET = "no socket lies at the path: look at unixsocket in the server's settings, and at the mount"
_NOT_ALLOWED = "this user may not use it: look at the rights of the socket (unixsocketperm) and of its folder"


def code_of(error: BaseException) -> str:
    """The first word of what a server refused with, such as NOPERM; empty where no server did."""
    if isinstance(error, RedisError) and error.status_code:
        return error.status_code
    first = str(error).partition(" ")[0] if isinstance(error, ResponseError) else ""
    return first if first.isascii() and first.isalpha() and first.isupper() else ""


def words_for(error: BaseException, url: RedisUrl) -> str:
    """What it is and what to do; the class of the error where there is nothing to add to it."""
    root = root_of(error)
    code = code_of(root)
    if url.topology is Topology.CLUSTER and code in ("ASK", "MOVED"):
        code = "TRYAGAIN"
    if words := _BY_CODE.get(code):
        return words
    if url.addresses[0].path and isinstance(root, (FileNotFoundError, PermissionError)):
        return _NO_SOCKET if isinstance(root, FileNotFoundError) else _NOT_ALLOWED
    if url.tls and isinstance(root, (TimeoutError, RedisTimeoutError)):
        return _SILENT_TLS
    for kind, words in _BY_CLASS:
        if isinstance(root, kind):
            return words
    if isinstance(root, (RedisConnectionError, ConnectionError)):
        # A server that is full says so; any other only closes.
        return _FULL if code else _CLOSED_TLS if url.tls else _CLOSED
    return FILE_LIMIT if is_file_limit(root) else f"it cannot be reached ({type(root).__name__})"
