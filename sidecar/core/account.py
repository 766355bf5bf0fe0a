"""The names of accounts. Sidecars with the same account name share token, lease, cool-down and budget."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import string
import unicodedata
from urllib.parse import quote, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PERCENT_ENCODED = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
_IN_PATHS = "/%:@!$&'()*+,;=~"
"""RFC 3986 section 3.3: what a path may contain unencoded, and `%`."""


def account_named(name: str) -> str:
    """The account that an operator named. Never equal to that of any API key."""
    return f"name:{name}"


def account_of_key(api_key: str) -> str:
    """The account of an API key: one-way, the same on every replica.

    A plain digest is enough for a key that is long and random; a key that can be guessed can be guessed from this.
    """
    digest = hashlib.blake2b(api_key.encode(errors="surrogatepass"), digest_size=16, person=b"account")
    return f"key:{digest.hexdigest()}"


def profile_id_of(partner: str, base_url: str, role: str, account: str, variant: str = "") -> str:
    """The name of an account's keys in the store. Equal for two profiles exactly where all of these mean the same."""
    parts = (partner, normal_base_url(base_url), role, account)
    identity = "\n".join((*parts, variant) if variant else parts)
    return f"{partner}-{hashlib.sha256(identity.encode(errors='surrogatepass')).hexdigest()[:16]}"


def normal_base_url(url: str) -> str:
    """Return one spelling for all equivalent base URLs.

    Equal are: the cases of scheme and host, a host with and without its final dot, an international name and its
    `xn--` form, the spellings of an IPv6 address, the default port and none, slashes at the end, and percent-encodings
    of the same octets (RFC 3986 section 6.2). No name is resolved. Text that is no URL is returned unchanged.
    """
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, _normal_host(parts.hostname or ""), parts.port
    except ValueError:
        return url
    if not scheme or not host:
        return url
    if port is not None and port != _DEFAULT_PORTS.get(scheme):
        host = f"{host}:{port}"
    return f"{scheme}://{host}{_normal_path(parts.path)}"


def _normal_host(host: str) -> str:
    if ":" in host:
        return f"[{ipaddress.ip_address(host)}]"
    return ".".join(_normal_label(label) for label in host.removesuffix(".").split("."))


def _normal_label(label: str) -> str:
    if label.isascii():
        return label.lower()
    # Not the `idna` codec of Python: it takes "ß" for "ss", which is another host today (RFC 5894 section 7.2).
    folded = unicodedata.normalize("NFC", label.lower())
    return f"xn--{folded.encode('punycode').decode()}"


def _normal_path(path: str) -> str:
    encoded = quote(path, safe=_IN_PATHS, errors="surrogatepass")
    return _PERCENT_ENCODED.sub(_normal_octet, encoded).rstrip("/")


def _normal_octet(encoded: re.Match[str]) -> str:
    """An octet that needs no encoding is written without one, any other in upper case."""
    character = chr(int(encoded[1], 16))
    return character if character in _UNRESERVED else encoded[0].upper()
