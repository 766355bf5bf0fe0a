"""Error texts for operators: why a Redis server cannot be used, and what to do about it.

Only the exception's class and the first word of the server's error select the text. Texts of servers are never shown:
they may contain sent data.
"""

from __future__ import annotations

import socket
import ssl

from redis.exceptions import AuthenticationError, InvalidResponse, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sidecar.core.store_url import RedisUrl, Topology
from sidecar.file_limit import WORDS as FILE_LIMIT
from sidecar.file_limit import is_file_limit
from sidecar.stores.redis.access import PasswordFileError
from sidecar.stores.redis.client import root_of
from sidecar.stores.redis.connection import CertificateRefusedError

CLUSTER_NODE = "it is a node of a cluster: use redis+cluster://"
REPLICA = "it is a read-only replica: use its master, or redis+sentinel:// with the sentinels"

_SILENT = "no response within SIDECAR_STORE_TIMEOUT_S: a firewall, a network policy, or a server that does not respond"
_SILENT_TLS = f"{_SILENT}; if the port has no TLS, use redis://"
_BY_CODE = {
    "ASK": CLUSTER_NODE,
    "BUSY": "a script of another client blocks it: end the script with SCRIPT KILL",
    "CLUSTERDOWN": "the cluster is down: some slots have no master, see CLUSTER INFO",
    "CROSSSLOT": CLUSTER_NODE,
    "DENIED": "it is in protected mode and accepts only local clients: set a password or a user",
    "LOADING": "it is loading its data: wait until it is done",
    "MASTERDOWN": "it is a replica without a connection to its master: use the master",
    "MISCONF": "it refuses writes because it could not save to disk: fix its disk, or turn saving off (save '')",
    "MOVED": CLUSTER_NODE,
    "NOAUTH": "it requires a password, and SIDECAR_STORE has none: add USER:PASSWORD@, or the option password_file",
    "NOPERM": "its user lacks permissions: deploy/README.md lists the required ones",
    "NOREPLICAS": "it has fewer replicas than min-replicas-to-write: start replicas, or lower that setting",
    "OOM": "its memory is full: raise maxmemory, or remove other data",
    "READONLY": REPLICA,
    "TRYAGAIN": "the cluster is moving keys: try again later",
    "WRONGPASS": "user or password is wrong, or the user is disabled",
}
_BY_CLASS: tuple[tuple[type[BaseException], str], ...] = (
    (
        CertificateRefusedError,
        "it requires a client certificate, or does not trust ours: set ssl_certfile and ssl_keyfile",
    ),
    (
        PasswordFileError,
        "the file of the option password_file cannot be read or has no password",
    ),
    (AuthenticationError, "its default user has no password: remove the password, or add a user"),
    (
        ssl.SSLCertVerificationError,
        "its certificate is not trusted, or is for another name: check ssl_ca_certs and the host",
    ),
    (ssl.SSLError, "the TLS handshake failed: check our certificate and its key; if the port has no TLS, use redis://"),
    (socket.gaierror, "the name is unknown: check its spelling and DNS"),
    (ConnectionRefusedError, "connection refused: check the port, and whether the server runs"),
    (TimeoutError, _SILENT),
    (RedisTimeoutError, _SILENT),
    (InvalidResponse, "the server there is not Redis"),
    (ResponseError, "it lacks a required command: it is not Redis 6.2 or later"),
)
_CLOSED = "it closed the connection without a response: if the port has TLS, use rediss://"
_CLOSED_TLS = "it closed the connection during the TLS handshake: if the port has no TLS, use redis://"
_FULL = "it is at its client limit: raise maxclients, or find out which clients connect"
_NO_SOCKET = "the path has no socket: check unixsocket in the server's settings, and the mount"
_NOT_ALLOWED = "this user may not use it: check the permissions of the socket (unixsocketperm) and of its folder"


def code_of(error: BaseException) -> str:
    """Return the first word of a server's error reply, such as NOPERM; empty for other errors."""
    if isinstance(error, RedisError) and error.status_code:
        return error.status_code
    first = str(error).partition(" ")[0] if isinstance(error, ResponseError) else ""
    return first if first.isascii() and first.isalpha() and first.isupper() else ""


def words_for(error: BaseException, url: RedisUrl) -> str:
    """Return what is wrong and what to do about it; an error without a text is named by its class."""
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
        # A server at its client limit replies with an error. Other servers only close the connection.
        return _FULL if code else _CLOSED_TLS if url.tls else _CLOSED
    return FILE_LIMIT if is_file_limit(root) else f"it cannot be reached ({type(root).__name__})"
