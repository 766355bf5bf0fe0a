"""The surveyed account: token calls within the fleet's budget, and requests that use a token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import aiohttp

from sidecar.core.errors import FailureKind, PartnerError
from sidecar.core.model import Credentials, PartnerToken, Profile, Seconds, Secret
from sidecar.core.partner_table import PartnerTable
from sidecar.core.policy import pause_s
from sidecar.core.ports import Clock, SharedState
from sidecar.core.shared_state import (
    ClaimRequest,
    CoolingDown,
    FailureReport,
    Granted,
    Held,
    Outcome,
    OverBudget,
    Pause,
)
from sidecar.core.signing import signature_headers
from sidecar.partner.client import PartnerClient, read_capped
from sidecar.partner.response import read_detail, read_document
from sidecar.partner.transport import TRANSPORT_ERRORS, PartnerCertificates, proxy_for
from sidecar.vending.partner_clock import PartnerClock


class SurveyStoppedError(Exception):
    """The survey cannot go on now. The text says why, and when to try again."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the partner answers to a request that uses a token: the status, and the code of its error."""

    status: int
    code: str = ""

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    def __str__(self) -> str:
        return f"{self.status} {self.code}".strip()


class SurveyedAccount:
    """One partner account. Each token call takes a permit of the store's budget; none is made in a cool-down."""

    def __init__(
        self,
        profile: Profile,
        table: PartnerTable,
        credentials: Credentials,
        state: SharedState,
        session: aiohttp.ClientSession,
        certificates: PartnerCertificates,
        partner_clock: PartnerClock,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        """`say` is called before each wait for a permit."""
        self.profile = profile
        self.table = table
        self.credentials = credentials
        self.clock = clock
        self.partner_clock = partner_clock
        self._state = state
        self._session = session
        self._certificates = certificates
        self._say = say

    async def grant(self) -> PartnerToken:
        """Return a new token. Raises `PartnerError`, `SurveyStoppedError`."""
        return await self._call(lambda client: client.grant(self.credentials, self.profile.role, _always), self.table)

    async def refresh(self, refresh_token: Secret, *, with_credentials: bool) -> PartnerToken:
        """Use a refresh token, with or without key and secret. Raises `PartnerError`, `SurveyStoppedError`."""
        table = replace(self.table, refresh_auth=with_credentials)
        role = self.profile.role
        return await self._call(lambda client: client.refresh(refresh_token, self.credentials, role, _always), table)

    async def _call(
        self, call: Callable[[PartnerClient], Awaitable[PartnerToken]], table: PartnerTable
    ) -> PartnerToken:
        nonce, fence = await self._permit()
        pause: Pause | None = None
        try:
            return await call(self._client(table))
        except PartnerError as error:
            if error.kind is FailureKind.THROTTLED:
                wait_s = pause_s(error.kind, 1, error.retry_after_s, self.profile, self.clock.jitter())
                pause = Pause(kind=error.kind, left_s=wait_s, consecutive_failures=1, detail=error.detail)
                raise SurveyStoppedError(
                    f"the partner answered 429, and no call is made for {wait_s:g} s: start again after that"
                ) from None
            raise
        finally:
            await self._state.fail(
                FailureReport(nonce=nonce, fence=fence, credentials_id=self.credentials.credentials_id, pause=pause)
            )

    def _client(self, table: PartnerTable) -> PartnerClient:
        profile = self.profile
        return PartnerClient(
            table,
            profile.base_url,
            profile.partner_timeout_s,
            self._session,
            self.clock,
            certificates=self._certificates,
            measure=self.partner_clock.measure,
        )

    async def _permit(self) -> tuple[str, int]:
        """Wait for a permit and the lease; return its nonce and fence.

        Raises `SurveyStoppedError` in a cool-down, and `StoreError`.
        """
        nonce = f"survey/{self.clock.new_id()}"
        while True:
            outcome = await self._claim(nonce)
            match outcome:
                case Granted():
                    return nonce, outcome.fence
                case CoolingDown(pause):
                    raise SurveyStoppedError(
                        f"the account is in a cool-down for {pause.left_s:.0f} s more ({pause.kind}): "
                        "start again after that"
                    )
                case OverBudget(left_s):
                    self._say(f"waiting {left_s:.0f} s: the call budget {_budget(self.profile)} is spent")
                    await self.clock.sleep(left_s)
                case Held(left_s):
                    await self.clock.sleep(min(left_s, 1))
                case _:
                    await self.clock.sleep(1)

    async def _claim(self, nonce: str) -> Outcome:
        """Ask for the lease. No stored token is adopted, since the survey wants calls. Raises `StoreError`."""
        state = await self._state.peek(0)
        ask = ClaimRequest(
            nonce=nonce,
            known=state.fence,
            fence=state.fence,
            epoch=state.epoch,
            caller_requested=False,
            credentials_id=self.credentials.credentials_id,
        )
        return (await self._state.claim(ask)).outcome

    async def request(
        self,
        method: str,
        path: str,
        access: Secret,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request that uses a token. Raises `SurveyStoppedError` when no answer comes."""
        url = self.profile.base_url + path
        header = self.table.header
        try:
            async with (
                asyncio.timeout(self.profile.partner_timeout_s),
                self._session.request(
                    method,
                    url,
                    data=body or None,
                    headers={**(headers or {}), header.name: header.value(access)},
                    skip_auto_headers=("Content-Type",),
                    proxy=proxy_for(url),
                    allow_redirects=False,
                    ssl=await self._certificates.context(),
                ) as response,
            ):
                content = await read_capped(response.content)
        except TRANSPORT_ERRORS as error:
            raise SurveyStoppedError(f"{method} {path} got no answer ({type(error).__name__})") from None
        document = read_document(content)
        secrets = (access.reveal(), self.credentials.api_key.reveal(), self.credentials.api_secret.reveal())
        detail = read_detail(response.status, document if isinstance(document, Mapping) else {}, secrets, self.table)
        return Reply(response.status, detail.error_code)

    def signed(self, body: bytes, *, offset_s: Seconds = 0, wrong: bool = False) -> Mapping[str, str]:
        """Return the headers of a signature as of the partner's time and `offset_s`; with `wrong`, of another body.

        The table has to have a recipe, and the credentials a signing key.
        """
        recipe, key = self.table.sign, self.credentials.signing_key
        if recipe is None or key is None:
            raise SurveyStoppedError("there is no signing recipe or no signing key")
        at = self.partner_clock.time_for_partner(self.clock.wall()) + offset_s
        return signature_headers(recipe, key, body + (b" " if wrong else b""), at)


def _budget(profile: Profile) -> str:
    return f"{profile.budget.calls}/{profile.budget.window_s:g}"


def _always() -> bool:
    return True
