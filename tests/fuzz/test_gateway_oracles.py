"""The gateway's targets find the bugs that they are meant to find. Each test breaks the product."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
from yarl import URL

from sidecar.core import allow_list
from sidecar.core.allow_list import AllowList
from sidecar.gateway import headers
from sidecar.web.server.streamed_response import StreamedResponse
from tests.fuzz import gateway_headers, gateway_paths
from tests.fuzz.findings import FindingError
from tests.fuzz.targets import CORPUS

Patch = pytest.MonkeyPatch


def corpus_file(target: str, name: str) -> bytes:
    return (CORPUS / target / name).read_bytes()


@pytest.mark.parametrize("name", ["trimmed", "encoded", "session", "any-path"])
def test_a_path_of_authentication_that_passes_is_found(monkeypatch: Patch, name: str) -> None:
    monkeypatch.setattr(AllowList, "authenticates", lambda *_: False)
    with pytest.raises(FindingError, match="is read as"):
        gateway_paths.check(corpus_file("gateway_paths", name))


@pytest.mark.parametrize("name", ["dots", "dots-behind-a-space", "encoded-twice", "parameter", "out-of-the-folder"])
def test_a_path_with_several_readings_that_passes_is_found(monkeypatch: Patch, name: str) -> None:
    monkeypatch.setattr(allow_list, "_has_one_reading", lambda _: True)
    with pytest.raises(FindingError, match="is read as"):
        gateway_paths.check(corpus_file("gateway_paths", name))


@pytest.mark.parametrize(
    ("name", "passes", "said"), [("absolute", True, "no rule lists it"), ("create", False, "does not")]
)
def test_a_list_that_is_not_the_rules_is_found(monkeypatch: Patch, name: str, passes: bool, said: str) -> None:
    monkeypatch.setattr(AllowList, "allows", lambda *_: passes)
    with pytest.raises(FindingError, match=said):
        gateway_paths.check(corpus_file("gateway_paths", name))


def test_a_target_that_is_changed_on_its_way_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr(gateway_paths, "URL", lambda url, encoded: URL(url))
    with pytest.raises(FindingError, match="is sent as"):
        gateway_paths.check(corpus_file("gateway_paths", "listed"))


def test_a_rule_that_never_matches_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr(AllowList, "allows", lambda *_: False)
    with pytest.raises(FindingError, match="never matches"):
        gateway_paths.check(corpus_file("gateway_paths", "own-rules"))


@pytest.mark.parametrize("name", ["ours", "guards", "marks", "framing-with-underscores"])
def test_a_header_with_underscores_that_passes_is_found(monkeypatch: Patch, name: str) -> None:
    monkeypatch.setattr(headers, "as_read", str.lower)
    with pytest.raises(FindingError, match="passed in place of"):
        gateway_headers.check(corpus_file("gateway_headers", name))


@pytest.mark.parametrize(
    ("constant", "name"),
    [("_HOP_BY_HOP", "hop-by-hop"), ("_NOT_FORWARDED", "guards"), ("_MARKS", "marks")],
)
def test_a_header_that_no_list_has_is_found(monkeypatch: Patch, constant: str, name: str) -> None:
    monkeypatch.setattr(headers, constant, frozenset())
    with pytest.raises(FindingError, match="passed in place of"):
        gateway_headers.check(corpus_file("gateway_headers", name))


@pytest.mark.parametrize(("constant", "name"), [("_GUARDS", "guards"), ("_OVERRIDES", "overrides")])
def test_a_header_that_begins_like_none_is_found(monkeypatch: Patch, constant: str, name: str) -> None:
    monkeypatch.setattr(headers, constant, ())
    with pytest.raises(FindingError, match="passed in place of"):
        gateway_headers.check(corpus_file("gateway_headers", name))


def test_a_nominated_header_that_passes_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr(headers, "_nominated", lambda _: frozenset[str]())
    with pytest.raises(FindingError, match="passed in place of"):
        gateway_headers.check(corpus_file("gateway_headers", "nominated"))


def test_a_header_that_is_lost_is_found(monkeypatch: Patch) -> None:
    def first(fields: Iterable[tuple[str, str]], _ours: frozenset[str]) -> list[tuple[str, str]]:
        return list(fields)[1:2]

    monkeypatch.setattr(gateway_headers, "for_partner", first)
    with pytest.raises(FindingError, match="passed in place of"):
        gateway_headers.check(corpus_file("gateway_headers", "usual"))


def test_a_name_in_two_spellings_is_found(monkeypatch: Patch) -> None:
    """aiohttp's client would send only the last of both."""
    monkeypatch.setattr(gateway_headers, "spelled_alike", iter)
    with pytest.raises(FindingError, match="two spellings"):
        gateway_headers.check(b"X-Under: 1\nx-under: 2")


def test_a_name_that_is_none_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr(headers, "_TOKEN", re.compile(rb".*", re.DOTALL))
    with pytest.raises(FindingError, match="passed in place of"):
        gateway_headers.check(corpus_file("gateway_headers", "space-before-the-colon"))


def test_a_header_that_becomes_two_is_found(monkeypatch: Patch) -> None:
    written = StreamedResponse._head

    def split(response: StreamedResponse, *given: Any, **named: Any) -> bytes:  # noqa: ANN401 - as the method's
        return written(response, *given, **named).replace(b"a=b", b"a\r\nX: b")

    monkeypatch.setattr(StreamedResponse, "_head", split)
    with pytest.raises(FindingError, match="was written as"):
        gateway_headers.check(corpus_file("gateway_headers", "usual"))
