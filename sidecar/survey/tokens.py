"""What a survey finds out about tokens: lifetimes, whether new ones end old ones, and what refresh tokens can do."""

from __future__ import annotations

from sidecar.core.errors import PartnerError
from sidecar.core.model import PartnerToken, token_id_of
from sidecar.survey.account import Reply, SurveyedAccount
from sidecar.survey.findings import Finding, unknown
from sidecar.survey.probe import Probe

LIFETIME = "a lifetime that the partner declares"
SAME_AFTER_GRANT = "a second grant gives the same token"
SAME_AFTER_REFRESH = "a refresh gives the same token"
OLD_AFTER_GRANT = "the old token works after a grant"
OLD_AFTER_REFRESH = "the old token works after a refresh"
REUSE = "a refresh token can be used twice"
FAMILY = "a refresh token that is used twice ends its other tokens"
GET_SIGNED = "a GET must be signed"
DATES = "answers carry a Date, and how far it is from our clock"
AUTH = "a refresh needs key and secret"
_NO_PROBE = "no request to try a token with: give --probe 'GET PATH'"


async def of_grants(account: SurveyedAccount, probe: Probe | None) -> tuple[list[Finding], PartnerToken]:
    """Make two token calls; return the newest token too. Raises `PartnerError` when one gets no token."""
    first = await account.grant()
    found = [_lifetime(first), _dates(account)]
    if probe is not None:
        found.append(await _get_signed(probe, first))
    baseline = None if probe is None else await probe.get(first.access)
    second = await account.grant()
    same = _same(first, second)
    found.append(_yes_no("same-after-grant", SAME_AFTER_GRANT, same))
    found.append(await _old_works("old-after-grant", OLD_AFTER_GRANT, probe, baseline, first, same=same))
    return found, second


async def of_refreshes(account: SurveyedAccount, probe: Probe | None, old: PartnerToken) -> list[Finding]:
    """Up to four token calls: a refresh without key and secret, with them, and the refresh token once more."""
    questions = (
        ("same-after-refresh", SAME_AFTER_REFRESH),
        ("refresh-auth", AUTH),
        ("old-after-refresh", OLD_AFTER_REFRESH),
        ("refresh-reuse", REUSE),
        ("reuse-ends-family", FAMILY),
    )
    if not account.table.refresh_path or old.refresh is None:
        why = "the partner's table has no refresh" if not account.table.refresh_path else "no refresh token came"
        return [unknown(key, what, why) for key, what in questions]
    baseline = None if probe is None else await probe.get(old.access)
    refreshed, needs_auth = await _refreshed(account, old)
    if refreshed is None:
        return [unknown(key, what, "the partner refused each refresh") for key, what in questions]
    same = _same(old, refreshed)
    found = [
        _yes_no("same-after-refresh", SAME_AFTER_REFRESH, same),
        Finding(
            key="refresh-auth",
            what=AUTH,
            found="yes" if needs_auth else "no",
            sure="measured",
            settings={} if needs_auth == account.table.refresh_auth else {"refresh_auth": needs_auth},
        ),
        await _old_works("old-after-refresh", OLD_AFTER_REFRESH, probe, baseline, old, same=same),
    ]
    if same and refreshed.refresh is not None and refreshed.refresh == old.refresh:
        why = "the refresh gave the same tokens"
        return [*found, unknown("refresh-reuse", REUSE, why), unknown("reuse-ends-family", FAMILY, why)]
    reused = await _works(account, old, with_credentials=needs_auth)
    found.append(_yes_no("refresh-reuse", REUSE, reused))
    if reused:
        found.append(unknown("reuse-ends-family", FAMILY, "it can be used twice"))
    elif probe is None:
        found.append(unknown("reuse-ends-family", FAMILY, _NO_PROBE))
    else:
        found.append(_yes_no("reuse-ends-family", FAMILY, not (await probe.get(refreshed.access)).is_good))
    return found


async def _refreshed(account: SurveyedAccount, old: PartnerToken) -> tuple[PartnerToken | None, bool]:
    """Return what a refresh gives, and whether it needed key and secret. A refused one has not used the token up."""
    if old.refresh is None:
        return None, False
    for with_credentials in (False, True):
        try:
            return await account.refresh(old.refresh, with_credentials=with_credentials), with_credentials
        except PartnerError:
            continue
    return None, False


async def _works(account: SurveyedAccount, old: PartnerToken, *, with_credentials: bool) -> bool:
    if old.refresh is None:
        return False
    try:
        await account.refresh(old.refresh, with_credentials=with_credentials)
    except PartnerError:
        return False
    return True


async def _old_works(
    key: str, what: str, probe: Probe | None, baseline: Reply | None, old: PartnerToken, *, same: bool
) -> Finding:
    if same:
        return unknown(key, what, "it is the same token")
    if probe is None or baseline is None:
        return unknown(key, what, _NO_PROBE)
    if not baseline.is_good:
        return unknown(key, what, f"the request to try a token with was refused before: {baseline}")
    return _yes_no(key, what, (await probe.get(old.access)).is_good)


async def _get_signed(probe: Probe, token: PartnerToken) -> Finding:
    must = await probe.needs_signature(token.access)
    if must is None:
        return unknown("get-signed", GET_SIGNED, "the request to try a token with is refused, signed or not")
    settings = {"gateway_sign": "all"} if must else {}
    return Finding(key="get-signed", what=GET_SIGNED, found="yes" if must else "no", sure="measured", settings=settings)


def _dates(account: SurveyedAccount) -> Finding:
    offset_s = account.partner_clock.offset_s
    if offset_s is None:
        return Finding(key="dates", what=DATES, found="no Date", sure="measured")
    return Finding(key="dates", what=DATES, found=f"yes, {offset_s:+.0f} s", sure="measured")


def _lifetime(token: PartnerToken) -> Finding:
    if token.lifetime_s is None:
        return Finding(key="declared-lifetime", what=LIFETIME, found="none", sure="measured")
    return Finding(key="declared-lifetime", what=LIFETIME, found=f"{token.lifetime_s:.0f} s", sure="measured")


def _same(one: PartnerToken, other: PartnerToken) -> bool:
    return token_id_of(one.access) == token_id_of(other.access)


def _yes_no(key: str, what: str, answer: bool) -> Finding:
    return Finding(key=key, what=what, found="yes" if answer else "no", sure="measured")
