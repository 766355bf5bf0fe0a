"""The URL of a Redis store, as a value."""

from __future__ import annotations

from sidecar.core.store_url import RedisUrl, parse_store_url


def redis_url(text: str) -> RedisUrl:
    url = parse_store_url(text)
    assert isinstance(url, RedisUrl)
    return url
