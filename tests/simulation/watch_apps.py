"""Checks what apps get: a token that counts as valid, or an error, and never an error while a valid token is held."""

from __future__ import annotations

from sidecar.core import policy
from sidecar.core.model import Token
from sidecar.core.shared_state import is_leased
from sidecar.vending.api import Report, VendedToken
from tests.simulation.replica_truth import ROUNDING_S, ReplicaTruth, Truth, ViolationError


class AppWatch:
    """Checks each answer as it is given; raises `ViolationError`."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.vended_count = self.suspect_count = self.refused_count = 0

    def vended(self, replica: str, vended: VendedToken, min_ttl_s: float) -> None:
        replica_truth, token = self._truth.replica_truths[replica], vended.token
        issued = self._truth.account.tokens.get(token.access.reveal())
        if issued is None:
            raise ViolationError(f"a token that the partner did not issue: {token.token_id}")
        now = self._truth.now()
        first_at = replica_truth.first_vended_at.setdefault((token.token_id, token.fence), now)
        # A replica that has the token's age only from a store whose clock was set back computes a lower age. So does
        # one whose token was committed with an instant of the clock before the step.
        has_age = not any(min(issued.sent_at, issued.seen_at) < at < first_at for at in self._truth.set_back_at)
        if has_age and issued.declared_s is not None and now >= issued.dies_at:
            raise ViolationError("a token past its declared end")
        if vended.suspect:
            self.suspect_count += 1
            self._nothing_better(replica_truth, "a suspect token")
            return
        self.vended_count += 1
        if has_age and now > issued.sent_at + token.lifetime_s + ROUNDING_S:
            raise ViolationError(f"a token past its {token.lifetime} end, unmarked")
        if replica_truth.vended is not None and token.fence < replica_truth.vended.fence:
            raise ViolationError(f"a token of fence {token.fence} after one of fence {replica_truth.vended.fence}")
        is_mistaken = self._truth.is_mistaken(token.token_id, issued.sent_at) or self._came_back(token)
        if token.token_id in replica_truth.rejected and not is_mistaken:
            raise ViolationError("a token that was reported to this replica, unmarked")
        if self._truth.marked_at.get(token.token_id, replica_truth.seen_at) < replica_truth.seen_at and not is_mistaken:
            raise ViolationError(
                "a token that was reported to the store, unmarked, by a replica that read the store since"
            )
        if vended.expires_in_s < min_ttl_s - 1:
            raise ViolationError(f"a token with {vended.expires_in_s} s left for a request of {min_ttl_s:g} s")
        replica_truth.vended = token

    def _came_back(self, token: Token) -> bool:
        """A replica fetched it by a local call before the store's clock was set back: its fence is above later leases'.

        Reported once more, it is replaced.
        """
        return not is_leased(token.fence) and bool(self._truth.set_back_at)

    def refused(self, replica: str, code: str, min_ttl_s: float) -> None:
        self.refused_count += 1
        if not min_ttl_s:
            self._nothing_better(self._truth.replica_truths[replica], code)

    def reported(self, replica: str, token: Token, report: Report) -> None:
        replica_truth = self._truth.replica_truths[replica]
        if report.known and report.verdict in ("refreshing", "later"):
            replica_truth.rejected.add(token.token_id)

    def _nothing_better(self, replica_truth: ReplicaTruth, instead: str) -> None:
        """A good token that this replica holds is vended through every failure, until there is a newer one."""
        token, account = replica_truth.vended, self._truth.account
        if token is None or token.access.reveal() != account.newest or token.token_id in self._truth.reported_at:
            return
        issued = account.tokens[account.newest]
        if account.may_be_vended_again:
            return  # returned again to one replica, it stays valid, and the others do not have the new lifetime
        timeout_s = self._truth.profile.partner_timeout_s
        alone = any(call.own_share and abs(call.sent_at - issued.sent_at) < timeout_s for call in account.calls)
        if alone or self._truth.forgot_since(issued.sent_at) or self._truth.clock_set_at >= 0:
            # Of two masters, of a store and a replica that was away when its clock was set, or of two replicas on their
            # own, the one behind the older token may have given it the larger fence.
            return
        kept_back_s = policy.margin_s(token.lifetime_s, self._truth.profile)
        ends_at = min(issued.sent_at + token.lifetime_s, issued.dies_at)
        good_s = ends_at - kept_back_s - self._truth.now()
        if good_s > self._truth.age_error_s:
            raise ViolationError(f"{instead}, where its token is good for {good_s:.1f} s more")
