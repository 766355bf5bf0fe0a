"""Signatures and the gateway on the status page."""

from __future__ import annotations

from sidecar.web.admin.status_document import status
from tests.support.fake_provider import NOW, snapshot
from tests.support.status_samples import GATEWAY, shown, words

GATEWAYS = {"default": GATEWAY}


def test_the_document_has_a_gateway_only_for_a_profile_with_one() -> None:
    document = status(
        [snapshot(), snapshot("other")], [], at=NOW, version="1", draining=False,
        signatures={"default": 71, "other": 0}.__getitem__, gateway=GATEWAYS.get,
    )  # fmt: skip
    profiles: dict[str, dict[str, object]] = document["profiles"]  # type: ignore[assignment]
    assert [profiles[name]["signatures"] for name in profiles] == [71, 0]
    assert profiles["default"]["gateway"] == GATEWAY
    assert "gateway" not in profiles["other"]


def test_every_count_is_shown_in_words() -> None:
    text = words(shown(snapshot(), gateway=GATEWAYS.get, signatures=lambda _profile: 71))
    for fact in (
        "Signatures 71 since the start",
        "Gateway 127.0.0.1:8282, unix:/run/pay, 2 calls under way",
        "Gateway requests 61 answered, 3 partner unreachable, 1 outcome unknown, 4 not allowed, 5 other errors",
        "Signed and refused (400) 6 with a token up to 5 min old, 7 with an older token",
    ):
        assert fact in text


def test_counts_of_0_are_left_out() -> None:
    quiet = {
        "listen": ["127.0.0.1:8282"],
        "callsUnderWay": 1,
        "requests": dict.fromkeys(GATEWAY["requests"], 0) | {"notAllowed": 4},
        "signedBadRequests": dict.fromkeys(GATEWAY["signedBadRequests"], 0),
    }
    text = words(shown(snapshot(), gateway={"default": quiet}.get))
    assert "Gateway 127.0.0.1:8282, 1 call under way Gateway requests 4 not allowed Signed" in text
    assert "Signed and refused (400) none" in text


def test_a_profile_without_a_gateway_says_nothing_of_one() -> None:
    text = words(shown(snapshot()))
    assert "Signatures 0 since the start" in text
    assert "Gateway" not in text


def test_the_addresses_are_escaped() -> None:
    hostile = {"default": {**GATEWAY, "listen": ["unix:/<b>"]}}
    assert "unix:/&lt;b&gt;" in shown(snapshot(), gateway=hostile.get)
