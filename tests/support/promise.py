"""The responses that a replica must never give, whatever fails, by what the partner issued."""

from __future__ import annotations

from sidecar.core.model import MonotonicTime, Secret, token_id_of
from sidecar.sandbox import Sandbox
from tests.support.replica import Answer

COMMIT_S = 2
"""How long a commit may take at most: the age of a token is stored as it was when the commit was sent."""


def broken_promise(answer: Answer, sandbox: Sandbox, asked_at: MonotonicTime, reported: frozenset[str]) -> str:
    """Return why this response to a request of `asked_at` is wrong; empty if it is not.

    `reported` are tokens that were reported to this replica as rejected. The partner uses the clock of this process.
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
        return f"a token that ended {-left_s:.2f} s ago, {'marked suspect' if suspect else 'not marked'}"
    if body["expiresIn"] > max(1, left_s + COMMIT_S):
        return f"a token that claims {body['expiresIn']} s and has {left_s:.2f} s"
    if token_id in reported and not suspect:
        return "a token that was reported as rejected, not marked suspect"
    return ""
