"""The searched sets of concurrent faults, each small enough to search all its schedules.

`WINDOW=0` leaves the budget out, and `MAXSTOP=0` the leases that run out before the first byte: each multiplies the
schedules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Flags: TypeAlias = Mapping[str, int]

QUICK: Flags = {"WINDOW": 0, "MAXSTOP": 0}
LOCAL: Flags = {**QUICK, "LOCAL": 1, "MAXREQUEST": 2, "FAULTS": 3}
"""Two claims in a row are lost, then a call on the replica's own share."""
SAME_TOKEN: Flags = {**QUICK, "REPORTS": 1, "SAME": 1, "MAXREVOKE": 1, "MAXCALLS": 2}

CLEAN: Mapping[str, Flags] = {
    "lost-messages": {"MAX429": 1, "MAXERROR": 1, "MAXREQUEST": 1, "MAXREPLY": 1, "FAULTS": 2, "MAXSTOP": 0},
    "paused-holders": {"MAX429": 1, "MAXREPLY": 1, "FAULTS": 1, "MAXSTOP": 1},
    "late-messages": {"MAXLATE": 1, "MAX429": 1, "MAXREPLY": 1, "FAULTS": 2, "MAXSTOP": 0},
    "crashes": {"MAXCRASH": 1, "MAX429": 1, "MAXREPLY": 1, "FAULTS": 2, "MAXSTOP": 0},
    "lost-data": {"MAXLOSS": 1, "MAX429": 1, "MAXREPLY": 1, "FAULTS": 2, "MAXSTOP": 0},
    "failover": {**QUICK, "MAXFAILOVER": 1, "MAX429": 1, "FAULTS": 2},
    "failover-and-reports": {**QUICK, "MAXFAILOVER": 1, "REPORTS": 1, "MAXREVOKE": 1, "FAULTS": 2, "MAXCALLS": 2},
    "reports-of-revoked-tokens": {
        **QUICK,
        "REPORTS": 1,
        "REVOKE": 1,
        "MAX429": 1,
        "MAXREPLY": 1,
        "FAULTS": 1,
        "GAP": 1,
    },
    "one-token-until-it-ends": {**SAME_TOKEN, "MAXREQUEST": 1, "FAULTS": 2},
    "local-calls": {**LOCAL, "MAX429": 1, "MAXERROR": 1},
    "back-offs-longer-than-cool-downs": {**LOCAL, "MAX429": 1, "MAXERROR": 1, "FAULTS": 4, "BACKOFF": 3},
    "local-calls-and-reports": {**LOCAL, "REPORTS": 1, "MAX429": 1, "MAXCALLS": 2},
    "local-calls-and-one-token": {**LOCAL, **SAME_TOKEN},
    "local-calls-and-failover": {**LOCAL, "MAXFAILOVER": 1, "MAX429": 1, "FAULTS": 4, "MAXCALLS": 2},
    "three-replicas": {**QUICK, "N": 3, "MAX429": 1, "MAXREPLY": 1, "FAULTS": 1, "MAXCALLS": 2},
    "fences-ahead-of-the-clock": {**LOCAL, "SKEW": 6, "MAX429": 1, "MAXCALLS": 2},
    "a-machine-with-its-clock-ahead": {**LOCAL, "WALL": 8, "MAX429": 1, "MAXCALLS": 2},
    "recovery": {**QUICK, "CALM": 1, "MAX429": 1, "MAXREPLY": 1, "FAULTS": 1},
    "recovery-from-a-revoked-token": {**QUICK, "CALM": 1, "REPORTS": 1, "REVOKE": 1, "MAXREVOKE": 1, "FAULTS": 1},
}


@dataclass(frozen=True, slots=True)
class Planted:
    """`bug` is the flag; `breaks` the one checked property, to be violated; `case` distinguishes cases of a bug."""

    bug: str
    breaks: str
    faults: Flags
    case: str = ""

    @property
    def name(self) -> str:
        return (self.bug + self.case).lower().replace("_", "-")


PLANTED = (
    Planted("NO_FENCE", "STORED_OLDER", {"MAXLATE": 1, "FAULTS": 1}),
    Planted("NO_OWNER", "ONE_LEASE", {"MAXLATE": 1, "FAULTS": 1}),
    Planted("CHARGE_AFTER", "BUDGET", {"MAXCRASH": 2, "FAULTS": 2}),
    Planted("NO_CLOCK", "OUTLIVED_LEASE", {"FAULTS": 0}),
    Planted("NO_ADOPTION", "NEEDLESS_CALL", {"FAULTS": 0}),
    Planted("NO_QUARANTINE", "ONE_LEASE", {"MAXLOSS": 1, "FAULTS": 1}),
    Planted("NO_NONCE", "WAITED_FOR_ITSELF", {"MAXREPLY": 1, "FAULTS": 1}),
    # The claim's reply is lost, a local call gets a 429, and the claim is granted again by its nonce.
    Planted(
        "NO_LOOK_BEFORE_SENDING",
        "CALL_IN_COOLDOWN",
        {**LOCAL, "MAX429": 1, "MAXREPLY": 1, "FAULTS": 4},
        "_GRANTED_AGAIN",
    ),
    # A report's read returns the cool-down between the grant and the first byte.
    Planted(
        "NO_LOOK_BEFORE_SENDING",
        "CALL_IN_COOLDOWN",
        {"WINDOW": 0, "REPORTS": 1, "GAP": 1, "MAX429": 1, "FAULTS": 1},
        "_LOOKED",
    ),
    # A read returns a 429 during a local call, whose token or failure must not end or shorten the cool-down.
    Planted("LOCAL_CALL_ENDS_PAUSE", "COOLDOWN_LOST", {**LOCAL, "REPORTS": 1, "MAX429": 1, "MAXCALLS": 2}),
    Planted(
        "NOTE_SHORTENS_PAUSE",
        "COOLDOWN_LOST",
        {**LOCAL, "REPORTS": 1, "MAX429": 1, "MAXERROR": 1, "FAULTS": 4, "MAXCALLS": 2},
    ),
    Planted("PAUSE_SHORTENED", "LEASE_IN_COOLDOWN", {**LOCAL, "MAX429": 1, "MAXERROR": 1, "FAULTS": 4}),
    # The partner returns the valid token, then revokes it. It is reported before the call's commit arrives.
    Planted("CONFIRMED_BY_ANY_CALL", "REPORT_LOST", {**SAME_TOKEN, "FAULTS": 1}),
    Planted("LOCAL_CALL_CONFIRMS", "REPORT_LOST", {**LOCAL, **SAME_TOKEN}),
    Planted("SEEDED_REPORT_KEEPS_FENCE", "REPORT_LOST", {**SAME_TOKEN, "MAXREQUEST": 1, "FAULTS": 2}),
    # A failover loses a lease. Another replica's newer token is reported and adopted, and the lost commit is recorded.
    Planted(
        "HELD_TOKEN_CONFIRMED",
        "REPORT_LOST",
        {
            **QUICK,
            "REPORTS": 1,
            "MAXFAILOVER": 1,
            "MAXREVOKE": 1,
            "MAXREQUEST": 1,
            "FAULTS": 3,
            "MAXCALLS": 2,
            "MAXAHEAD": 0,
        },
    ),
    Planted("LOST_GRANT_ENDS_FACTS", "LEASE_IN_COOLDOWN", {"WINDOW": 0, "MAXFAILOVER": 1, "MAX429": 1, "FAULTS": 2}),
    Planted("OLDER_TOKEN_TAKEN", "HELD_OLDER", {**LOCAL, "REPORTS": 1, "FAULTS": 2}),
    # Fences are ahead of the store's clock.
    Planted("PAUSE_BY_CLOCK", "LEASE_IN_COOLDOWN", {"WINDOW": 0, "SKEW": 6, "MAX429": 1, "FAULTS": 1}),
    Planted("SHARED_FENCES", "ONE_LEASE", {**LOCAL, "SKEW": 6, "FAULTS": 2}),
    Planted("GRANTS_BY_LENGTH", "PERMIT_LOST", {"MAXLATE": 1, "MAXREPLY": 1, "FAULTS": 2, "MAXSTOP": 0, "MAXAHEAD": 2}),
    Planted("SEEDED_TOKEN_ENDS_FACTS", "LEASE_IN_COOLDOWN", {**LOCAL, "MAX429": 1}),
    Planted("SEEDED_429_IS_HISTORY", "CALL_IN_COOLDOWN", {**LOCAL, "MAX429": 1}),
    Planted("SEEDED_429_KEEPS_FENCE", "LEASE_IN_COOLDOWN", {**LOCAL, "MAX429": 1}),
)
