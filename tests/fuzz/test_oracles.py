"""Every target finds the bugs that it is meant to find: each test breaks the product, and the check fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from aiohttp import web

from sidecar.core.errors import ConfigurationError, FailureKind, PartnerDetail, PartnerError
from sidecar.core.model import PartnerToken, Secret
from sidecar.core.partner_table import PartnerTable
from sidecar.partner.response import read_response
from sidecar.partner.token_request import TokenRequest
from sidecar.stores.sealing import AesSealer, OpenSealer, UnsealError
from sidecar.web import responses
from sidecar.web.api.app import Route, TokenApi
from sidecar.web.api.guards import Guards
from sidecar.web.server.request_handler import WRITTEN_LAST, ConnectionHandler
from tests.fast_path import planted
from tests.fast_path.planted import Plant
from tests.fuzz import fast_path, partner_answer, partner_table, request, retry_after, seal, settings
from tests.fuzz.findings import CANARY, FindingError
from tests.fuzz.targets import CORPUS

Patch = pytest.MonkeyPatch


def corpus_file(target: str, name: str) -> bytes:
    return (CORPUS / target / name).read_bytes()


@pytest.mark.parametrize("name", ["forwarded", "rebound", "stranger"])
def test_a_guard_that_accepts_all_callers_is_found(monkeypatch: Patch, name: str) -> None:
    monkeypatch.setattr(Guards, "check", lambda *_: None)
    with pytest.raises(FindingError, match="a token was vended"):
        request.check(corpus_file("request", name))


def test_a_cacheable_response_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr(responses, "_ALWAYS", "X: 1\r\nY: 2\r\nServer: token-sidecar\r\n")
    with pytest.raises(FindingError, match="may be stored"):
        request.check(corpus_file("request", "token"))


def test_a_secret_in_the_response_to_a_malformed_request_is_found(monkeypatch: Patch) -> None:
    def echo(
        self: ConnectionHandler, request: web.BaseRequest, status: int, exc: BaseException, message: str
    ) -> web.StreamResponse:
        self.connection.write(
            responses.wire_bytes(responses.make_response(400, f"{message} {exc}".encode()), closes=True)
        )
        return WRITTEN_LAST

    monkeypatch.setattr(ConnectionHandler, "handle_error", echo)
    with pytest.raises(FindingError, match="a part of a secret"):
        request.check(corpus_file("request", "control-character"))


def test_an_unexpected_error_during_a_request_is_found(monkeypatch: Patch) -> None:
    async def fail(self: TokenApi, request: web.BaseRequest, route: Route) -> responses.EndpointResult:
        raise ZeroDivisionError

    monkeypatch.setattr(TokenApi, "_respond", fail)
    with pytest.raises(FindingError, match="a bug"):
        request.check(corpus_file("request", "token"))


def test_a_status_beyond_the_contract_is_found(monkeypatch: Patch) -> None:
    async def tease(self: TokenApi, request: web.BaseRequest, route: Route) -> responses.EndpointResult:
        return responses.EndpointResult(code="ok", response=responses.make_response(418))

    monkeypatch.setattr(TokenApi, "_respond", tease)
    with pytest.raises(FindingError, match="418"):
        request.check(corpus_file("request", "token"))


def test_a_secret_in_a_partner_response_is_found(monkeypatch: Patch) -> None:
    def repeat(
        status: int, document: Mapping[str, object], secrets: Sequence[str], _table: PartnerTable
    ) -> PartnerDetail:
        text = str(document.get("errorMessage"))
        return PartnerDetail(status=status, error_code="", error_message=text, session_id="")

    monkeypatch.setattr("sidecar.partner.response.read_detail", repeat)
    with pytest.raises(FindingError, match="a part of a secret"):
        partner_answer.check(corpus_file("partner_answer", "echo"))


def test_a_constant_that_is_not_hidden_is_found(monkeypatch: Patch) -> None:
    partner_table.check(corpus_file("partner_table", "secrets"))
    monkeypatch.setattr("sidecar.core.table_values._hidden", lambda _name, content: content)
    with pytest.raises(FindingError, match="a part of a secret"):
        partner_table.check(corpus_file("partner_table", "secrets"))


def test_the_key_of_a_published_signature_in_a_problem_is_found(monkeypatch: Patch) -> None:
    partner_table.check(corpus_file("partner_table", "signature"))
    said = "sidecar.core.partner_vocabulary.disagreements"
    monkeypatch.setattr(said, lambda given: [f"sign_test has {given['sign_test'].key.reveal()}"])
    with pytest.raises(FindingError, match="a part of a secret"):
        partner_table.check(corpus_file("partner_table", "signature"))


def test_a_header_that_is_sent_twice_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr("sidecar.core.partner_vocabulary.disagreements", lambda _: ())
    with pytest.raises(FindingError, match="a header is sent twice"):
        partner_table.check(corpus_file("partner_table", "twice"))


def test_a_token_of_another_type_is_found(monkeypatch: Patch) -> None:
    partner_table.check(corpus_file("partner_table", "token-type"))
    monkeypatch.setattr("sidecar.partner.response._is_bearer", lambda _: True)
    with pytest.raises(FindingError, match="another type"):
        partner_table.check(corpus_file("partner_table", "token-type"))


def test_a_secret_in_the_repr_of_a_token_request_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr(TokenRequest, "__repr__", lambda self: str(self.headers) + str(self.body))
    with pytest.raises(FindingError, match="a part of a secret"):
        partner_table.check(corpus_file("partner_table", "oauth2"))


def test_a_secret_that_a_partner_with_a_table_repeats_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr("sidecar.partner.masking.Masker.mask", lambda _self, text: text)
    with pytest.raises(FindingError, match="a part of a secret"):
        partner_table.check(corpus_file("partner_table", "oauth2"))


@pytest.mark.parametrize("lifetime_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_lifetime_out_of_bounds_is_found(monkeypatch: Patch, lifetime_s: float) -> None:
    monkeypatch.setattr(
        partner_answer, "read_response", lambda *given: replace(read_response(*given), lifetime_s=lifetime_s)
    )
    with pytest.raises(FindingError, match="a lifetime"):
        partner_answer.check(corpus_file("partner_answer", "token"))


def test_a_token_that_is_not_in_the_response_is_found(monkeypatch: Patch) -> None:
    other = PartnerToken(access=Secret("another-token"), refresh=None, role="API_USER", lifetime_s=None)
    monkeypatch.setattr(partner_answer, "read_response", lambda *_: other)
    with pytest.raises(FindingError, match="not the one"):
        partner_answer.check(corpus_file("partner_answer", "token"))


def test_a_wrong_class_of_failure_is_found(monkeypatch: Patch) -> None:
    def fail(*_: object) -> PartnerToken:
        raise PartnerError(FailureKind.SERVER_ERROR)

    monkeypatch.setattr(partner_answer, "read_response", fail)
    with pytest.raises(FindingError, match="429 became"):
        partner_answer.check(corpus_file("partner_answer", "throttled"))


@pytest.mark.parametrize("wait_s", [0.0, -1.0, 1e309, float("nan"), 86_401.0])
def test_a_wait_out_of_bounds_is_found(monkeypatch: Patch, wait_s: float) -> None:
    monkeypatch.setattr(retry_after, "parse_retry_after", lambda *_: wait_s)
    with pytest.raises(FindingError, match="out of its bounds"):
        retry_after.check(corpus_file("retry_after", "date"))


def test_a_date_that_is_read_wrongly_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr(retry_after, "parse_http_date", lambda *_: 1.0)
    with pytest.raises(FindingError, match="to the standard library"):
        retry_after.check(corpus_file("retry_after", "date"))


def test_a_seal_that_opens_what_was_not_sealed_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr(seal, "SEALER", OpenSealer())
    with pytest.raises(FindingError, match="not sealed here"):
        seal.check(b"oopen:AAAA")


def test_a_changed_document_that_opens_as_another_token_is_found(monkeypatch: Patch) -> None:
    """Without a seal some changes result in another token. With one, the corpus shows that none does."""
    monkeypatch.setattr(seal, "SEALER", OpenSealer())
    with pytest.raises(FindingError, match="another token"):
        change_each_place()


def change_each_place() -> None:
    for place in range(256):
        seal.check(b"m" + bytes([place]) + b"B")


@pytest.mark.parametrize("part", ["sealed", "keys"])
def test_a_key_in_an_error_is_found(monkeypatch: Patch, part: str) -> None:
    def tell(*_: object) -> bytes:
        raise UnsealError(f"not sealed with {seal.KEY}") if part == "sealed" else ConfigurationError([seal.KEY])

    monkeypatch.setattr(AesSealer, "open", tell)
    monkeypatch.setattr(seal, "load_seal_keys", tell)
    with pytest.raises(FindingError, match="a part of a secret"):
        seal.check(corpus_file("seal", part))


@pytest.mark.parametrize("name", ["environment", "file"])
def test_a_secret_in_a_problem_is_found(monkeypatch: Patch, name: str) -> None:
    monkeypatch.setattr(settings, "load", refusing([f"the API secret must not be {CANARY[3:14]}"]))
    with pytest.raises(FindingError, match="a part of a secret"):
        settings.check(corpus_file("settings", name))


def test_a_refusal_without_a_problem_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr(settings, "load", refusing([]))
    with pytest.raises(FindingError, match="without a problem"):
        settings.check(corpus_file("settings", "environment"))


def refusing(problems: list[str]) -> Callable[..., object]:
    def load(*_: object) -> object:
        raise ConfigurationError(problems)

    return load


@pytest.mark.parametrize(
    ("name", "plant"),
    [
        ("another-token", planted.tokens_held_for_ever),
        ("suspect", planted.tokens_held_for_ever),
        ("caller-token-rotated", planted.caller_tokens_ignored),
        ("proxies", planted.caller_tokens_ignored),
        ("proxies-by-transport", planted.peer_key(lambda _: b"")),
        ("users", planted.peer_key(lambda _: b"")),
        ("audited", planted.fast_path_without("audit")),
        ("traces", planted.fast_path_without("spans")),
        ("not-read", planted.key_of_the_request_before_kept),
        ("waiting", planted.always_at_rest_after("_leave_rest")),
        ("client-programs", planted.dropped(rb"user-agent: [ -~]+")),
    ],
)
def test_a_fast_response_that_the_long_way_would_not_give_is_found(monkeypatch: Patch, name: str, plant: Plant) -> None:
    fast_path.check(corpus_file("fast_path", name))
    plant(monkeypatch)
    with pytest.raises(FindingError, match="answered in two ways"):
        fast_path.check(corpus_file("fast_path", name))
