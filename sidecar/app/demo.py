"""`token-sidecar demo`: a simulated partner and a sidecar in one process, to try without a partner account."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from dataclasses import replace

from sidecar.app.clock import SystemClock
from sidecar.app.run import wait_for_signal
from sidecar.app.running import load_settings
from sidecar.app.service import Service
from sidecar.config.schema import Settings
from sidecar.core.errors import NoTokenError
from sidecar.core.model import Credentials, Secret
from sidecar.sandbox import Sandbox, SandboxConfig

TOKEN_LIFETIME_S = 60
"""Short, so that a rotation can be watched."""


async def demo(*, port: int, admin_port: int, gateway_port: int, say: Callable[[str], None]) -> int:
    """Run until Ctrl-C or SIGTERM; returns exit code 0. Port 0 takes any free port."""
    say("Starting a simulated partner (the sandbox) ...")
    key, secret = f"demo-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    credentials = Credentials(
        api_key=Secret(key), api_secret=Secret(secret), signing_key=Secret(secrets.token_urlsafe(24))
    )
    config = SandboxConfig(
        api_key=credentials.api_key,
        api_secret=credentials.api_secret,
        signing_key=credentials.signing_key,
        token_lifetime_s=TOKEN_LIFETIME_S,
    )
    sandbox = Sandbox(config, SystemClock())
    partner_url = await sandbox.start("127.0.0.1", 0)
    say(f"  it listens on {partner_url}; tokens last {TOKEN_LIFETIME_S} s; clients that call too often get 429")
    try:
        say("Starting the sidecar with the store in memory (memory://) ...")
        settings = load_settings(
            {
                "SIDECAR_LISTEN": f"127.0.0.1:{port}",
                "SIDECAR_ADMIN_LISTEN": f"127.0.0.1:{admin_port}",
                "SIDECAR_GATEWAY_LISTEN": f"127.0.0.1:{gateway_port}",
                "SIDECAR_STORE": "memory://",
                "SIDECAR_BASE_URL": partner_url,
                "SIDECAR_API_KEY": key,
                "SIDECAR_API_SECRET": secret,
                "SIDECAR_TOKEN_LIFETIME_S": str(TOKEN_LIFETIME_S),
                # So short a lifetime leaves no time for a long call between the refresh point and the expiry.
                "SIDECAR_PARTNER_TIMEOUT_S": "3",
                "SIDECAR_LOG_FORMAT": "console",
                "SIDECAR_DRAIN_S": "0",
            }
        )
        service = Service(_with_credentials(settings, credentials), log=sys.stderr)
        await service.start()
        try:
            await _guide(service, partner_url, say)
            await wait_for_signal(service, settings.drain_s)
            say("Stopping ...")
        finally:
            await service.stop()
    finally:
        await sandbox.stop()
    say("Stopped.")
    return 0


def _with_credentials(settings: Settings, credentials: Credentials) -> Settings:
    """Put in the credentials with the signing key, for which there is no variable."""
    (profile,) = settings.profiles
    return replace(settings, profiles=(replace(profile, credentials=credentials),))


async def _guide(service: Service, partner_url: str, say: Callable[[str], None]) -> None:
    vending, admin, gateway = service.bound[0], service.admin_bound[0], service.gateways_bound["default"][0]
    try:
        vended = await service.providers["default"].vend()
        say(f"  it has a token from the partner, valid for {vended.expires_in_s} s")
    except NoTokenError as no:
        say(f"  no token yet: {no}")
    say("")
    say("Get the token in another terminal:")
    say(f"  curl -H 'Sidecar-Request: true' http://{vending}/v1/token")
    say("Create a payment through the gateway, which adds token and signature (each partnerReference works once):")
    say(
        "  curl -H 'Sidecar-Request: true' -H 'Content-Type: application/vnd.carry1st.payments.payment+json' "
        """-d '{"amount": 100, "currencyCode": "NGN", "countryCode": "NG", "partnerReference": "order-1"}' """
        f"http://{gateway}/api/pay1st/payments/create"
    )
    say("See the state:")
    say(f"  curl http://{admin}/status.json      curl http://{admin}/metrics")
    say(f"  or in a browser: http://{admin}/status")
    say(f"  curl {partner_url}/_sandbox/stats")
    say("Make the partner fail, then work again:")
    say(f"""  curl -d '{{"fault": "status", "status": 500, "count": 0}}' {partner_url}/_sandbox/faults""")
    say(f"  curl -X POST {partner_url}/_sandbox/reset")
    say("Ctrl-C stops it.")
    say("")
