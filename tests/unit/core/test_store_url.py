"""The URL of a store: its valid forms, and its problems."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.core.model import Address, Secret
from sidecar.core.store_url import SCHEMES, FileUrl, MemoryUrl, RedisUrl, Topology, parse_store_url
from tests.support.store_urls import redis_url


def problems(text: str) -> list[str]:
    with pytest.raises(ValueError, match=r"^must ") as caught:
        parse_store_url(text)
    assert "canary" not in str(caught.value)
    return str(caught.value).split("; must ")


def test_one_server_has_a_port_and_a_database_by_default() -> None:
    text = "redis://redis.internal"
    assert parse_store_url(text) == RedisUrl(
        text=Secret(text), topology=Topology.SERVER, tls=False, addresses=(Address("redis.internal", 6379),)
    )


@pytest.mark.parametrize(
    ("text", "address", "database"),
    [
        ("redis://h:1/", Address("h", 1), 0),
        ("rediss://my_redis-1.a.b:6380/15", Address("my_redis-1.a.b", 6380), 15),
        ("redis://[::1]:7/2", Address("::1", 7), 2),
        ("redis://[fd00::2]", Address("fd00::2", 6379), 0),
        ("unix:///run/redis.sock", Address(path="/run/redis.sock"), 0),
        ("unix:///run/a%20b.sock?db=3", Address(path="/run/a b.sock"), 3),
    ],
)
def test_one_server_has_an_address(text: str, address: Address, database: int) -> None:
    url = redis_url(text)
    assert (url.addresses, url.database, url.topology) == ((address,), database, Topology.SERVER)


@pytest.mark.parametrize(
    ("text", "hosts", "service", "database"),
    [
        ("redis+sentinel://a,b:2,[::1]:3/mymaster", (("a", 26379), ("b", 2), ("::1", 3)), "mymaster", 0),
        ("rediss+sentinel://a/my%2Fmaster/4", (("a", 26379),), "my/master", 4),
        ("redis+cluster://a,b:2", (("a", 6379), ("b", 2)), "", 0),
        ("rediss+cluster://[::1]/0", (("::1", 6379),), "", 0),
    ],
)
def test_sentinels_and_nodes_may_have_several_addresses(
    text: str, hosts: tuple[tuple[str, int], ...], service: str, database: int
) -> None:
    url = redis_url(text)
    assert url.addresses == tuple(Address(host, port) for host, port in hosts)
    assert (url.service, url.database) == (service, database)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_scheme_determines_the_kind_of_server_and_tls(scheme: str) -> None:
    rest = {"unix": "/s", "redis+sentinel": "h/m", "rediss+sentinel": "h/m"}.get(scheme, "h")
    url = redis_url(f"{scheme}://{rest}")
    assert (url.topology, url.tls) == SCHEMES[scheme]
    assert url.tls == scheme.startswith("rediss")


@pytest.mark.parametrize("text", ["redis:", "redis", "", "REDIS://h", "http://[canary", "canary"])
def test_an_invalid_url_is_refused_with_the_valid_schemes(text: str) -> None:
    assert problems(text)[0].startswith("must start with memory:// or redis://, rediss://, unix://")


def test_the_memory_store_has_no_address() -> None:
    assert parse_store_url("memory://") == MemoryUrl(text=Secret("memory://"))


@pytest.mark.parametrize("text", ["sqlite:///var/a%20b.db", "sqlite:////var/a%20b.db"])
def test_a_file_is_named_by_its_path(text: str) -> None:
    assert parse_store_url(text) == FileUrl(text=Secret(text), path=Path("/var/a b.db"))


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:", "sqlite:/a", "sqlite://", "sqlite://canary/a", "sqlite://:1/a", "sqlite:///", "sqlite:///a/",
        "sqlite:///a?b", "sqlite:///a#b", "sqlite:///a%00b", "sqlite:///a\nb",
    ],
)  # fmt: skip
def test_an_invalid_path_of_a_file_is_refused(text: str) -> None:
    assert problems(text)[0].startswith("must be three slashes and the absolute path of a file")


@pytest.mark.parametrize(
    ("login", "username", "password"),
    [
        ("", "", None),
        ("app:p%40ss%2F%3A@", "app", "p@ss/:"),
        (":only@", "", "only"),
        ("a%3Ab:c:d@", "a:b", "c:d"),
        ("app:@", "app", ""),
        ("app:a@b@", "app", "a@b"),
    ],
)
def test_user_and_password_are_decoded(login: str, username: str, password: str | None) -> None:
    url = redis_url(f"redis://{login}h")
    assert url.username == (Secret(username) if username else None)
    assert url.password == (None if password is None else Secret(password))
    assert not password or password not in repr(url)


def test_every_option_sets_its_field() -> None:
    url = redis_url(
        "rediss+sentinel://app@h/m/1?password_file=/p&sentinel_username=look&sentinel_password_file=/s%26t"
        "&ssl_ca_certs=/ca&ssl_certfile=/c&ssl_keyfile=/k"
    )
    assert (url.username, url.password, url.password_file) == (Secret("app"), None, Path("/p"))
    assert (url.sentinel_username, url.sentinel_password_file) == (Secret("look"), Path("/s&t"))
    assert (url.ca_file, url.certificate_file, url.key_file) == (Path("/ca"), Path("/c"), Path("/k"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("redis://", "name a host, such as redis://redis.internal:6379"),
        ("redis://:canary@", "name a host"),
        ("redis://canary:pw:x@h:b", "a port from 1 to 65535"),
        ("redis://h:0", "a port from 1 to 65535"),
        ("redis://h:65536", "a port from 1 to 65535"),
        ("redis://::1", "IPv6 goes in brackets"),
        ("redis://[::g]", "IPv6 goes in brackets"),
        ("redis://[1.2]", "IPv6 goes in brackets"),
        ("redis://a,b", "name one host"),
        ("redis+cluster://a,", "name a host, such as redis+cluster://redis.internal:6379"),
        ("redis+cluster://a,a:6379", "not name the same host and port twice"),
        ("redis+cluster://a/1", "a cluster has one database, 0"),
        ("redis+sentinel://a", "name the sentinels' service"),
        ("redis+sentinel://a//1", "name the sentinels' service"),
        ("redis+sentinel://a/m/x", "end in a database number"),
        ("redis://a/x", "end in a database number"),
        ("redis://a/1/2", "end in a database number"),
        ("unix://a/b", "name an absolute path"),
        ("unix:///", "name an absolute path"),
        ("unix:///s?db=x", "end in a database number"),
        ("redis://h/ 1", "must not contain a '#', white space"),
        ("redis://u:canary#x@h", "must not contain a '#', white space"),
        ("redis://u:can/ary@h", "must not contain an '@' in its path"),
        ("redis+sentinel://u:12/canary@h/m", "must not contain an '@' in its path"),
        ("redis://u@h", "have a password behind the user's name"),
        ("redis://u:canary@h?password_file=/p", "not have a password beside the option password_file"),
        ("redis://h?password_file=p", "give the option password_file an absolute path"),
        ("redis://h?password_file=", "have the option password_file once and with a value"),
        ("redis://h?password_file", "have the option password_file once and with a value"),
        ("redis://h?password_file=/a&password_file=/b", "have the option password_file once"),
        ("redis://h?db=1", "not have the option db, which only unix URLs take"),
        ("redis://h?ssl_ca_certs=/c", "not have the option ssl_ca_certs, which only rediss URLs take"),
        ("redis+cluster://h?sentinel_username=a", "which only +sentinel URLs take"),
        ("redis+sentinel://h/m?sentinel_username=a", "have the option sentinel_password_file beside"),
        ("rediss://h?ssl_certfile=/c", "have both of the options ssl_certfile and ssl_keyfile"),
        ("rediss://h?ssl_keyfile=/k", "have both of the options ssl_certfile and ssl_keyfile"),
        ("rediss://h?ssl_ca_cert=/c", "; did you mean ssl_ca_certs?"),
        ("redis://h?socket_timeout=9", "have no options but db, password_file, sentinel_password_file"),
        ("redis://h?ssl_cert_reqs=none", "have no options but db, password_file"),
        ("redis://u:pa?canary@h", "have no options but"),
    ],
)
def test_an_invalid_option_is_refused_with_the_valid_form(text: str, said: str) -> None:
    assert said in "; must ".join(problems(text))


def test_every_problem_is_named_at_once() -> None:
    found = problems("redis+cluster://u:canary@h:0/1?password_file=x&ssl_ca_certs=/c&colour=red")
    assert len(found) == 6
