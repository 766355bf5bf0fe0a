"""Which proxy an environment names for a URL, and the problem of an unusable one."""

from __future__ import annotations

import pytest

from sidecar.config.load import load
from sidecar.core.errors import ConfigurationError
from sidecar.core.proxies import Proxy, proxy_of
from tests.unit.config.test_load import CREDENTIALS, PRESETS

BOTH = {"HTTPS_PROXY": "http://tls-proxy", "HTTP_PROXY": "http://plain-proxy"}


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9:8080", "localhost:1", "LocalHost", "api.localhost", "[::1]:8080"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_loopback_never_goes_through_a_proxy(scheme: str, host: str) -> None:
    assert proxy_of(f"{scheme}://{host}/path", BOTH) is None


@pytest.mark.parametrize("host", ["127.0.0.1.example", "localhost.example", "10.0.0.1", "[2001:db8::1]"])
def test_other_hosts_go_through_a_proxy(host: str) -> None:
    assert proxy_of(f"https://{host}", BOTH) == Proxy("HTTPS_PROXY", "http://tls-proxy")
    assert proxy_of(f"http://{host}", BOTH) == Proxy("HTTP_PROXY", "http://plain-proxy")


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("10.0.0.0/8", "https://10.1.2.3"),
        ("192.168.0.0/16, 10.1.2.0/24", "https://10.1.2.3:8443"),
        ("10.1.2.3", "https://10.1.2.3"),
        ("10.1.2.3:443", "https://10.1.2.3"),
        ("2001:db8::/32", "https://[2001:db8::1]"),
        ("[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("inside.example", "https://inside.example"),
        ("inside.example", "https://deep.INSIDE.example"),
        (".inside.example", "https://deep.inside.example"),
        ("*.inside.example", "https://deep.inside.example"),
        ("inside.example:8443", "https://inside.example:8443"),
        ("other.example inside.example", "https://inside.example"),
        ("*", "https://any.example"),
        ("other,*", "https://10.1.2.3"),
    ],
)
def test_no_proxy_excludes_names_addresses_and_blocks_of_addresses(no_proxy: str, url: str) -> None:
    assert proxy_of(url, BOTH | {"NO_PROXY": no_proxy}) is None


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("10.0.0.0/8", "https://11.1.2.3"),
        ("10.0.0.0/8", "https://10.example"),
        ("10.0.0.0/99", "https://10.1.2.3"),
        ("10.1.2.3:8443", "https://10.1.2.3"),
        ("::/0", "https://10.1.2.3"),
        ("side.example", "https://inside.example"),
        ("inside.example:1" + "0" * 5000, "https://inside.example"),
        (" , ,.", "https://inside.example"),
        ("", "https://inside.example"),
    ],
)
def test_no_proxy_excludes_no_other_host(no_proxy: str, url: str) -> None:
    assert proxy_of(url, BOTH | {"NO_PROXY": no_proxy}) == Proxy("HTTPS_PROXY", "http://tls-proxy")


def test_the_lower_case_variable_has_priority_also_where_it_is_empty() -> None:
    assert proxy_of("https://a.example", BOTH | {"https_proxy": "http://low"}) == Proxy("https_proxy", "http://low")
    assert proxy_of("https://a.example", BOTH | {"https_proxy": ""}) is None
    assert proxy_of("https://a.example", BOTH | {"NO_PROXY": "*", "no_proxy": ""}) is not None


def test_a_callers_header_is_no_proxy() -> None:
    assert proxy_of("http://a.example", BOTH | {"REQUEST_METHOD": "GET"}) is None


UNUSABLE = (
    "proxy.example:3128",
    "proxy.example",
    "//proxy.example",
    "socks5://me:canary@proxy.example",
    "http://",
    "http://h:x",
)


@pytest.mark.parametrize("text", UNUSABLE)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_that_cannot_be_used_is_a_configuration_error_that_names_its_variable(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(CREDENTIALS | {name: text}, PRESETS)
    assert caught.value.problems == (
        f"{name} must be http:// and a host, such as http://proxy.example:3128: partner calls go through it",
    )


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_PROXY": "proxy.example:3128"},
        {"HTTPS_PROXY": "proxy.example:3128", "NO_PROXY": "pay1st.example"},
        {"HTTPS_PROXY": "proxy.example:3128", "SIDECAR_BASE_URL": "https://127.0.0.1:8443"},
        {"HTTPS_PROXY": "http://me:pass@proxy.example:3128"},
    ],
)
def test_a_proxy_without_partner_calls_and_a_valid_proxy_are_no_problem(environ: dict[str, str]) -> None:
    assert load(CREDENTIALS | environ, PRESETS).warnings == ()
