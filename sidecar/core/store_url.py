"""Parses a store's URL once, into a value that says which store it is and how to reach it.

    memory://                                                       this process's memory
    sqlite:///PATH                                                  one file, for the processes of one machine
    redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]                      one server; rediss:// with TLS
    unix://[USER[:PASSWORD]@]/PATH[?db=N]                           the same through a socket
    redis+sentinel://[…@]HOST[:PORT],…/SERVICE[/DB]                 the hosts are sentinels; rediss+sentinel:// with TLS
    redis+cluster://[…@]HOST[:PORT],…                               the hosts are some nodes; rediss+cluster:// with TLS

The URL is one setting, so all options of a Redis store are in its query, from a closed list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

from sidecar.core.model import Address, Secret


class Topology(StrEnum):
    """What runs at the URL's hosts."""

    SERVER = "redis"
    SENTINEL = "redis+sentinel"
    CLUSTER = "redis+cluster"


SCHEMES: Mapping[str, tuple[Topology, bool]] = {
    "redis": (Topology.SERVER, False),
    "rediss": (Topology.SERVER, True),
    "unix": (Topology.SERVER, False),
    "redis+sentinel": (Topology.SENTINEL, False),
    "rediss+sentinel": (Topology.SENTINEL, True),
    "redis+cluster": (Topology.CLUSTER, False),
    "rediss+cluster": (Topology.CLUSTER, True),
}
"""What each scheme of a Redis store means, and whether with TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUrl:
    """This process's memory. `text` is the whole URL."""

    text: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUrl:
    """The SQLite file at an absolute path."""

    text: Secret
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisUrl:
    """How to reach Redis. `addresses` are the server, the sentinels, or some nodes of the cluster."""

    text: Secret
    topology: Topology
    tls: bool
    addresses: tuple[Address, ...]
    service: str = ""
    """The name under which the sentinels know the master; empty without sentinels."""
    database: int = 0
    username: Secret | None = None
    password: Secret | None = None
    password_file: Path | None = None
    sentinel_username: Secret | None = None
    sentinel_password_file: Path | None = None
    ca_file: Path | None = None
    """The only certificate authorities that are trusted; None: those of the system."""
    certificate_file: Path | None = None
    key_file: Path | None = None


StoreUrl: TypeAlias = MemoryUrl | FileUrl | RedisUrl

REDIS_PORT, SENTINEL_PORT = 6379, 26379
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
OPTIONS: Mapping[str, str] = {
    "password_file": "",
    "db": "unix",
    **dict.fromkeys(_TLS_OPTIONS, "rediss"),
    **dict.fromkeys(("sentinel_username", "sentinel_password_file"), "+sentinel"),
}
"""The options of a query, with the part of a scheme's name that allows each."""
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_][A-Za-z0-9._-]*))(?::([0-9]{1,5}))?")
_HINT = "percent-encode what is special in a user name or password"


def parse_store_url(text: str) -> StoreUrl:
    """Parse the URL. Raises `ValueError` with every problem, `must …; must …`, free of the text's secrets."""
    scheme, mark, rest = text.partition("://")
    if mark and scheme in SCHEMES:
        if not text.isprintable() or " " in text or "#" in text:
            raise ValueError(f"must not contain a '#', white space or control characters: {_HINT}")
        return _RedisReading(scheme, rest).result(Secret(text))
    if text.startswith("memory://"):
        return MemoryUrl(text=Secret(text))
    if text.startswith("sqlite:"):
        return FileUrl(text=Secret(text), path=_file_path(text))
    raise ValueError(f"must start with memory:// or {', '.join(f'{name}://' for name in (*SCHEMES, 'sqlite'))}")


def _file_path(text: str) -> Path:
    path = unquote(text.removeprefix("sqlite://"))
    is_plain = text.startswith("sqlite:///") and "?" not in text and "#" not in text and path.isprintable()
    if not is_plain or not text.isprintable() or path.endswith("/"):
        raise ValueError(
            "must be three slashes and the absolute path of a file, such as "
            "sqlite:///var/lib/token-sidecar/state.db, without host, query or fragment"
        )
    return Path("/" + path.lstrip("/"))  # a fourth slash changes nothing


class _RedisReading:
    """Parses one URL of a Redis store after its scheme, and collects the problems."""

    def __init__(self, scheme: str, rest: str) -> None:
        self._problems: list[str] = []
        self._scheme = scheme
        self._topology, self._tls = SCHEMES[scheme]
        before, _, query = rest.partition("?")
        authority, slash, path = before.partition("/")
        login, at, self._hosts = authority.rpartition("@")
        self._login, self._path = login if at else None, slash + path
        self._options = self._read_options(query)

    def result(self, text: Secret) -> RedisUrl:
        if "@" in self._path:  # what follows a '/' in a password would be taken for a service's name
            self._must(f"not contain an '@' in its path: {_HINT}")
        addresses = self._addresses()
        service, database = self._service_and_database()
        username, password = self._user()
        files = {name: self._file(name) for name in ("password_file", "sentinel_password_file", *_TLS_OPTIONS)}
        if (files["ssl_certfile"] is None) != (files["ssl_keyfile"] is None):
            self._must("have both of the options ssl_certfile and ssl_keyfile, or neither")
        sentinel_username = self._options.get("sentinel_username")
        if sentinel_username and files["sentinel_password_file"] is None:
            self._must("have the option sentinel_password_file beside sentinel_username")
        if self._problems:
            raise ValueError("; ".join(self._problems))
        return RedisUrl(
            text=text,
            topology=self._topology,
            tls=self._tls,
            addresses=addresses,
            service=service,
            database=database,
            username=username,
            password=password,
            password_file=files["password_file"],
            sentinel_username=Secret(sentinel_username) if sentinel_username else None,
            sentinel_password_file=files["sentinel_password_file"],
            ca_file=files["ssl_ca_certs"],
            certificate_file=files["ssl_certfile"],
            key_file=files["ssl_keyfile"],
        )

    def _must(self, what: str) -> None:
        self._problems.append(f"must {what}")

    def _read_options(self, query: str) -> Mapping[str, str]:
        options: dict[str, str] = {}
        for name, text in (item.partition("=")[::2] for item in query.split("&") if item):
            if name not in OPTIONS:
                from difflib import get_close_matches  # only when something is wrong

                close = "".join(f"; did you mean {known}?" for known in get_close_matches(name, OPTIONS, n=1))
                # Not quoted: with a '?' in a password that was not encoded, this is the rest of it.
                self._must(f"have no options but {', '.join(sorted(OPTIONS))}{close}")
            elif OPTIONS[name] not in self._scheme:
                self._must(f"not have the option {name}, which only {OPTIONS[name]} URLs take")
            elif name in options or not text:
                self._must(f"have the option {name} once and with a value")
            else:
                options[name] = unquote(text)
        return options

    def _addresses(self) -> tuple[Address, ...]:
        if self._scheme == "unix":
            path = unquote(self._path)
            if self._hosts or not path.startswith("/") or path.endswith("/"):
                self._must("name an absolute path, such as unix:///run/redis.sock")
            return (Address(path=path),)
        port = SENTINEL_PORT if self._topology is Topology.SENTINEL else REDIS_PORT
        addresses = [_address(part, port) for part in self._hosts.split(",")]
        example = f"{self._scheme}://redis.internal:{port}"
        if self._topology is Topology.SERVER and len(addresses) > 1:
            self._must(f"name one host, such as {example}; several are for +sentinel:// and +cluster://")
        elif None in addresses:
            self._must(f"name a host, such as {example}, and a port from 1 to 65535; IPv6 goes in brackets; {_HINT}")
        elif len(set(addresses)) < len(addresses):
            self._must("not name the same host and port twice")
        return tuple(filter(None, addresses))

    def _service_and_database(self) -> tuple[str, int]:
        if self._topology is Topology.SERVER:
            return "", self._number(self._options.get("db", "") if self._scheme == "unix" else self._path[1:])
        if self._topology is Topology.CLUSTER:
            if self._path not in ("", "/", "/0"):
                self._must("end behind the hosts: a cluster has one database, 0")
            return "", 0
        first, _, second = self._path[1:].partition("/")
        if not first:
            self._must("name the sentinels' service behind the hosts, such as /mymaster or /mymaster/0")
        return unquote(first), self._number(second)

    def _number(self, text: str) -> int:
        if re.fullmatch(r"[0-9]{0,5}", text):
            return int(text or 0)
        self._must("end in a database number or nothing, such as /0")
        return 0

    def _user(self) -> tuple[Secret | None, Secret | None]:
        name, colon, password = (self._login or "").partition(":")
        if colon and "password_file" in self._options:
            self._must("not have a password beside the option password_file")
        if self._login is not None and not colon and "password_file" not in self._options:
            self._must("have a password behind the user's name, or the option password_file")
        return Secret(unquote(name)) if name else None, Secret(unquote(password)) if colon else None

    def _file(self, name: str) -> Path | None:
        if name not in self._options:
            return None
        path = Path(self._options[name])
        if not path.is_absolute():
            self._must(f"give the option {name} an absolute path")
        return path


def _address(text: str, default_port: int) -> Address | None:
    matched = _ADDRESS.fullmatch(text)
    if matched is None:
        return None
    six, name, port = matched[1], matched[2], int(matched[3] or default_port)
    try:
        valid = 1 <= port <= 65535 and (six is None or bool(IPv6Address(six)))
    except ValueError:
        return None
    return Address(six or name, port) if valid else None
