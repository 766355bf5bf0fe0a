"""Errors of `sidecar.client` can be copied, and pickled for another process."""

from __future__ import annotations

import copy
import pickle

import pytest

from sidecar.client.errors import TokenUnavailableError

ERRORS = [
    TokenUnavailableError(503, "partner-cooling-down", 12),
    TokenUnavailableError(503, "timeout"),
    TokenUnavailableError(200),
    TokenUnavailableError(404, "signing-not-configured"),
    TokenUnavailableError(413, "payload-too-large"),
    TokenUnavailableError(503, "overloaded", 1),
]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_an_error_keeps_its_text_and_fields_through_copy_and_pickle(error: TokenUnavailableError) -> None:
    error.add_note("beside order 7")
    copies = [copy.copy(error), copy.deepcopy(error)]
    copies += [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for each in copies:
        assert type(each) is TokenUnavailableError
        assert str(each) == str(error)
        assert (each.status, each.code, each.retry_after_s) == (error.status, error.code, error.retry_after_s)
        assert each.__notes__ == ["beside order 7"]


def test_the_text_has_the_error_the_status_and_the_wait() -> None:
    assert [str(error) for error in ERRORS] == [
        "the sidecar has no token to give: partner-cooling-down (503); try again in 12 s",
        "the sidecar has no token to give: timeout (503)",
        "the 200 response is not from a sidecar: is this the address of the vending listener?",
        "the sidecar cannot sign this request: signing-not-configured (404)",
        "the sidecar cannot sign this request: payload-too-large (413)",
        "the sidecar has no token to give: overloaded (503); try again in 1 s",
    ]
