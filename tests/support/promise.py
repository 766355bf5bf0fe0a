"""What an answer may never be, whatever goes wrong: held against what the partner issued."""

from __future__ import annotations

from sidecar.core.model import MonotonicTime, Secret, token_id_of
from sidecar.sandbox import Sandbox
from tests.support.replica import Answer

COMMIT_S = 2
"""A token's age is stored as it was when the commit was sent; how long that may be under way, at most."""


def broken_promise(answer: Answer, sandbox: Sandbox, asked_at: MonotonicTime, told: frozenset[str]) -> str:
    """Why this answer to a request of `asked_at` must not have been; empty when it may.

    `told`: tokens that this replica had been told are refused. The partner's clock is this process's.
    """
    if answer.status != 200:
        return "" if answer.code and answer.status in (502, 503) else f"{answer.status} {answer.text[:80]}"
    body = answer.body
    token_id, suspect = body["tokenId"], "suspect" in body
    end_at = sandbox.state.accounts["pay1st"].ends_at.get(token_id)
    if token_id_of(Secret(body["accessToken"])) != token_id or end_at is None:
        return "a token the partner never issued"
    left_s = end_at - asked_at
    if left_s <= 0 and (body["lifetime"] == "declared" or not suspect):
        return f"a token that was over for {-left_s:.2f} s, marked {'suspect' if suspect else 'as nothing'}"
    if body["expiresIn"] > max(1, left_s + COMMIT_S):
        return f"a token that claims {body['expiresIn']} s and has {left_s:.2f} s"
    if token_id in told and not suspect:
        return "a token this replica knows to be refused, unmarked"
    return ""
