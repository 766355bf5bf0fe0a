"""What a survey finds out about signatures, with a write that must fail: its body is an empty object."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.core.model import MonotonicTime, Seconds, Secret
from sidecar.core.partner_table import SignProbe
from sidecar.survey.account import Reply, SurveyedAccount, SurveyStoppedError
from sidecar.survey.findings import Finding, unknown

POST_SIGNED = "a POST must be signed"
TOLERANCE = "how far a timestamp may be from now"
OLD_TOKEN = "an old token can sign"  # noqa: S105 - a question
_BODY = b"{}"
_LONGEST_S = 3600
_SLACK_S: Seconds = 3
"""Between two requests: a machine that is busy must not make a timestamp late."""


async def of_posts(account: SurveyedAccount, probe: SignProbe, access: Secret) -> tuple[Finding, Reply | None]:
    """Three writes. Also return how an invalid body is refused; None if a wrong signature is refused alike."""
    right = await _write(account, probe, access, account.signed(_BODY))
    wrong = await _write(account, probe, access, account.signed(_BODY, wrong=True))
    bare = await _write(account, probe, access, {})
    if right == wrong:
        if bare == right:
            why = f"a right signature, a wrong one and none are all answered {right}"
            return unknown("post-signed", POST_SIGNED, f"{why}: signatures are not checked, or before the body"), None
        return unknown("post-signed", POST_SIGNED, f"a right and a wrong signature are both answered {right}"), None
    must = bare != right
    finding = Finding(key="post-signed", what=POST_SIGNED, found="yes" if must else "no", sure="measured")
    return finding, right


async def of_timestamps(
    account: SurveyedAccount, probe: SignProbe, access: Secret, refusal: Reply
) -> tuple[Finding, Seconds | None]:
    """Find the tolerance by halving: about a dozen writes. The second result is None where there is no bound."""

    async def is_accepted(offset_s: Seconds) -> bool:
        reply = await _write(account, probe, access, account.signed(_BODY, offset_s=offset_s))
        return reply == refusal

    if await is_accepted(-_LONGEST_S):
        found = f"more than {_LONGEST_S} s"
        return Finding(key="timestamp-tolerance", what=TOLERANCE, found=found, sure="measured"), None
    good, bad = 0, _LONGEST_S
    while bad - good > 1:
        middle = (good + bad) // 2
        if await is_accepted(-middle):
            good = middle
        else:
            bad = middle
    return Finding(key="timestamp-tolerance", what=TOLERANCE, found=f"{good} to {bad} s", sure="measured"), good


async def of_old_tokens(
    account: SurveyedAccount,
    probe: SignProbe,
    access: Secret,
    issued_at: MonotonicTime,
    tolerance_s: Seconds,
    refusal: Reply,
) -> Finding:
    """Wait until the token is older than the tolerance, and sign with it."""
    await account.clock.sleep(max(0, issued_at + tolerance_s + _SLACK_S - account.clock.monotonic()))
    reply = await _write(account, probe, access, account.signed(_BODY))
    if reply == refusal:
        return Finding(key="old-token-signs", what=OLD_TOKEN, found="yes", sure="measured")
    if reply.status == 401:
        return unknown("old-token-signs", OLD_TOKEN, "the token was over before it was old enough")
    found = f"no, not one of more than {tolerance_s:g} s"
    settings = {"token_lifetime_s": float(tolerance_s)}
    return Finding(key="old-token-signs", what=OLD_TOKEN, found=found, sure="measured", settings=settings)


async def _write(account: SurveyedAccount, probe: SignProbe, access: Secret, headers: Mapping[str, str]) -> Reply:
    sent = {"Content-Type": probe.content_type, **headers}
    reply = await account.request("POST", probe.path, access, body=_BODY, headers=sent)
    if reply.is_good:
        raise SurveyStoppedError(f"the partner accepted an empty object at {probe.path}: nothing more is written there")
    return reply
