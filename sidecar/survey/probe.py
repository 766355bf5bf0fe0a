"""A request that reads something with a token, to see whether the partner accepts the token."""

from __future__ import annotations

from sidecar.core.model import Secret
from sidecar.survey.account import Reply, SurveyedAccount


class Probe:
    """`GET path`, signed once it was found that the partner asks for that."""

    def __init__(self, account: SurveyedAccount, path: str) -> None:
        self._account = account
        self._path = path
        self.signs = False

    async def get(self, access: Secret) -> Reply:
        return await self._get(access, signs=self.signs)

    async def needs_signature(self, access: Secret) -> bool | None:
        """Find out whether the request has to be signed. None: it is refused either way."""
        if (await self._get(access, signs=False)).is_good:
            return False
        account = self._account
        if account.table.sign is None or account.credentials.signing_key is None:
            return None
        self.signs = (await self._get(access, signs=True)).is_good
        return True if self.signs else None

    async def _get(self, access: Secret, *, signs: bool) -> Reply:
        headers = self._account.signed(b"") if signs else {}
        return await self._account.request("GET", self._path, access, headers=headers)
