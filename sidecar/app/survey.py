"""`token-sidecar survey`: runs the steps of a survey in order, each with the operator's consent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from sidecar.app.clock import SystemClock
from sidecar.app.wiring import credentials_source, open_settings_store, partner_certificates, settings_sealer
from sidecar.config.schema import Settings
from sidecar.config.settings import ProfileSettings
from sidecar.core.errors import PartnerError, StoreError
from sidecar.core.events import Event
from sidecar.core.model import Seconds
from sidecar.core.partner_table import SignProbe
from sidecar.core.ports import Clock
from sidecar.file_operations import FileStalls
from sidecar.partner.transport import open_session
from sidecar.survey import signatures, tokens
from sidecar.survey.account import SurveyedAccount, SurveyStoppedError
from sidecar.survey.findings import Finding, unknown
from sidecar.survey.probe import Probe
from sidecar.survey.watch import watch
from sidecar.telemetry.redaction import Redactor
from sidecar.vending.partner_clock import PartnerClock

_LONGEST_WAIT_S: Seconds = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyOptions:
    """`probe_path` and `sign_probe` None: the partner's table is asked. `watch_state` None: nothing is watched."""

    probe_path: str | None = None
    sign_probe: SignProbe | None = None
    watch_state: Path | None = None
    watch_every_s: Seconds = 30


@dataclass(slots=True)
class Survey:
    """`ask` is called before each step with what it does."""

    options: SurveyOptions
    ask: Callable[[str], bool]
    findings: list[Finding] = field(default_factory=list)
    stopped: str = ""
    """Why the survey ended before its last step; empty when it did not."""

    async def run(self, account: SurveyedAccount) -> None:
        """Run the steps until the last one, or until one cannot go on. What was found before stays."""
        table = account.table
        path = self.options.probe_path or table.probe_path
        probe = Probe(account, path) if path else None
        try:
            await self._steps(account, probe)
        except SurveyStoppedError as error:
            self.stopped = str(error)
        except StoreError as error:
            self.stopped = f"the store is not there ({error.cause}): it holds the budget"
        except PartnerError as error:
            said = "" if error.detail is None else f" ({error.detail.status} {error.detail.error_code})".rstrip()
            self.stopped = f"the partner gave no token: {error.kind}{said}"

    async def _steps(self, account: SurveyedAccount, probe: Probe | None) -> None:
        if not self.ask("Get two tokens. Where a new token ends the old one, apps of this account lose theirs."):
            return
        found, newest = await tokens.of_grants(account, probe)
        self.findings += found
        if account.table.refresh_path and self.ask("Refresh the token: up to four calls."):
            self.findings += await tokens.of_refreshes(account, probe, newest)
        await self._sign(account)
        await self._watch(account, probe)

    async def _sign(self, account: SurveyedAccount) -> None:
        probe = self.options.sign_probe or account.table.sign_probe
        questions = (
            ("post-signed", signatures.POST_SIGNED),
            ("timestamp-tolerance", signatures.TOLERANCE),
            ("old-token-signs", signatures.OLD_TOKEN),
        )
        if account.table.sign is None or account.credentials.signing_key is None or probe is None:
            why = "it needs a signing recipe, a file signing-key, and a write to try it with (--write)"
            self.findings += (unknown(key, what, why) for key, what in questions)
            return
        step = f"Get one more token, and send some twenty writes to {probe.path} that the partner has to refuse."
        if not self.ask(step):
            return
        issued_at = account.clock.monotonic()
        access = (await account.grant()).access
        finding, refusal = await signatures.of_posts(account, probe, access)
        self.findings.append(finding)
        if refusal is None:
            why = "right and wrong signatures cannot be told apart"
            self.findings += (unknown(key, what, why) for key, what in questions[1:])
            return
        finding, tolerance_s = await signatures.of_timestamps(account, probe, access, refusal)
        self.findings.append(finding)
        if tolerance_s is None or tolerance_s > _LONGEST_WAIT_S:
            why = "the tolerance is too large to wait for"
            self.findings.append(unknown(*questions[2], why))
        elif self.ask(f"Wait until the token is older than {tolerance_s:g} s, and sign with it."):
            args = (account, probe, access, issued_at, tolerance_s, refusal)
            self.findings.append(await signatures.of_old_tokens(*args))

    async def _watch(self, account: SurveyedAccount, probe: Probe | None) -> None:
        path = self.options.watch_state
        if path is None:
            return
        if probe is None:
            raise SurveyStoppedError("--watch needs a request to try the token with: give --probe 'GET PATH'")
        if self.ask(f"Try one token each {self.options.watch_every_s:g} s until it is refused."):
            self.findings.append(await watch(account, probe, path, self.options.watch_every_s))


async def survey(
    settings: Settings,
    chosen: ProfileSettings,
    options: SurveyOptions,
    ask: Callable[[str], bool],
    say: Callable[[str], None],
    clock: Clock | None = None,
) -> Survey:
    """Survey the account of a profile. `say` gets lines about waits. `clock` None: the system's.

    Raises `ConfigurationError`, `CredentialsError`.
    """
    clock = clock or SystemClock()
    stalls, sink = FileStalls(), _NoSink()
    credentials = credentials_source(chosen, Redactor(), stalls).read()
    store = open_settings_store(settings, settings_sealer(settings), clock, stalls)
    session = open_session()
    made = Survey(options, ask)
    try:
        profile = replace(chosen.profile, account=chosen.profile.account or credentials.account)
        account = SurveyedAccount(
            profile,
            chosen.table,
            credentials,
            store.shared_state(profile),
            session,
            partner_certificates(sink, stalls),
            PartnerClock(profile.name, clock, sink),
            clock,
            say,
        )
        await made.run(account)
    finally:
        await session.close()
        await store.close()
    return made


class _NoSink:
    """A survey prints what it finds; it logs no events."""

    def emit(self, event: Event) -> None: ...
