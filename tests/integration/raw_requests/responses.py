"""What a listener sent, read as HTTP responses, and each response described in a few words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.integration.raw_requests.conversation import CLOSES

PROBLEM = "application/problem+json"
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2}) [A-Za-z -]+")
_DATE = re.compile(rb"\r\nDate: [^\r]*")
_CONTENTS = {"verdict": "{verdict}", "alive": "alive", "openapi": "openapi", "events": "status"}
"""A member of a document, and what the document is called by it."""


@dataclass(frozen=True, slots=True)
class Response:
    version: int
    """The minor one."""
    status: int
    fields: Mapping[str, str]
    body: bytes
    raw: bytes

    @property
    def closes(self) -> bool:
        """Whether it says that the connection ends with it."""
        connection = self.fields.get("connection", "")
        return connection == "close" or (self.version == 0 and connection != "keep-alive")


def read_responses(stream: bytes, expected: Sequence[str]) -> tuple[list[Response], bytes]:
    """The whole responses in order, without interim ones, and what is left over.

    A response that is expected to be `empty` has a length and no body: it is one to HEAD, or a 304. Fails where the
    bytes are no response.
    """
    found: list[Response] = []
    while stream:
        head, end, rest = stream.partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        if not end:
            break
        started = _STATUS.fullmatch(line)
        assert started is not None, f"this is no response: {stream[:200]!r}"
        pairs = [one.decode("latin-1").partition(": ") for one in lines]
        fields = {name.lower(): value for name, _, value in pairs}
        assert len(fields) == len(pairs), f"a response has a header twice: {head!r}"
        status = int(started[2])
        wanted = expected[len(found)] if len(found) < len(expected) else ""
        without_body = status in (100, 304) or wanted.split(" ")[1:2] == ["empty"]
        size = 0 if without_body else int(fields["content-length"])
        if len(rest) < size:
            break
        if status != 100:
            found.append(Response(int(started[1]), status, fields, rest[:size], head + end + rest[:size]))
        stream = rest[size:]
    return found, stream


def describe(response: Response, tokens: Mapping[bytes, str], ids: Mapping[str, str]) -> str:
    """Status, content and whether the connection ends, such as `200 token default close`.

    `tokens` and `ids` name the profile of each token and of each token's id. A response that carries a token in any
    other place than the one for it is `leak`.
    """
    content, carried = _content(response, tokens, ids)
    if sum(response.raw.count(token) for token in tokens) != carried:
        content = "leak"
    return f"{response.status} {content}{CLOSES if response.closes else ''}"


def undated(stream: bytes) -> bytes:
    """The bytes without their dates."""
    return _DATE.sub(b"", stream)


def _content(response: Response, tokens: Mapping[bytes, str], ids: Mapping[str, str]) -> tuple[str, int]:
    """What the response is, and how many tokens that has."""
    kind = response.fields.get("content-type", "").partition(";")[0]
    tag = ids.get(response.fields.get("etag", "").strip('"'), "")
    if "accesstoken" in response.fields:
        return f"header {tokens[response.fields['accesstoken'].removeprefix('Bearer ').encode()]}", 1
    if not response.body:
        return f"empty {tag}".rstrip(), 0
    if kind == PROBLEM:
        return str(json.loads(response.body)["code"]), 0
    if response.body in tokens:
        return f"text {tokens[response.body]}", 1
    if kind == "application/json":
        return _document(json.loads(response.body), tokens)
    return kind.rpartition("/")[2], 0


def _document(document: Mapping[str, str], tokens: Mapping[bytes, str]) -> tuple[str, int]:
    if "accessToken" in document:
        profile = tokens[document["accessToken"].encode()]
        return (f"token {profile}" if document["profile"] == profile else "another profile's token"), 1
    if "access_token" in document:
        return f"grant {tokens[document['access_token'].encode()]}", 1
    if "code" in document:
        return document["code"], 0
    for member, name in _CONTENTS.items():
        if member in document:
            return name.format_map(document), 0
    return " ".join(["ready" if document["ready"] else "not-ready", *document["profiles"]]), 0
