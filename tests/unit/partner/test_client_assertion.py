"""Assertions as servers read them: with another library, and with clocks that differ."""

from __future__ import annotations

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from sidecar.core.model import Secret
from sidecar.partner.client_assertion import client_assertion
from tests.support.private_keys import ec_key, pem, public_jwk, rsa_key

NOW = 1_767_225_600.9
AUDIENCE = "https://server.example/oauth2/token"
PEMS = {"RS256": pem(rsa_key()), "ES256": pem(ec_key())}
BY_ALGORITHM = pytest.mark.parametrize("algorithm", PEMS)


def assertion(algorithm: str, now: float = NOW) -> str:
    return client_assertion("client-1", Secret(PEMS[algorithm]), AUDIENCE, "id-1", now)


def read(text: str, algorithm: str, at: float = NOW) -> jwt.Token:
    """Verify it as a server does that allows no difference of the clocks."""
    token = jwt.decode(text, KeySet.import_key_set({"keys": [public_jwk(PEMS[algorithm])]}), algorithms=[algorithm])
    required = {"iss": "client-1", "sub": "client-1", "aud": AUDIENCE}
    claims = {name: {"essential": True, "value": value} for name, value in required.items()}
    jwt.JWTClaimsRegistry(now=int(at), leeway=0, exp={"essential": True}, **claims).validate(token.claims)  # type: ignore[arg-type]  # joserfc's own form
    return token


@BY_ALGORITHM
def test_a_server_with_the_public_key_accepts_it(algorithm: str) -> None:
    token = read(assertion(algorithm), algorithm)
    assert token.header == {"alg": algorithm, "typ": "JWT"}
    assert token.claims["jti"] == "id-1"
    assert token.claims["exp"] - token.claims["iat"] <= 300, "Auth0 accepts no longer ones"
    assert NOW - token.claims["iat"] < 60, "Keycloak accepts no older ones"


@BY_ALGORITHM
def test_a_server_with_another_key_refuses_it(algorithm: str) -> None:
    other = pem(rsa_key()) if algorithm == "RS256" else pem(ec_key())
    with pytest.raises(JoseError):
        jwt.decode(assertion(algorithm), KeySet.import_key_set({"keys": [public_jwk(other)]}), algorithms=[algorithm])


@pytest.mark.parametrize("ahead_s", [-60, -29, 0, 29])
def test_our_clock_may_be_a_minute_behind_or_half_a_minute_ahead(ahead_s: int) -> None:
    read(assertion("ES256", NOW + ahead_s), "ES256")


@pytest.mark.parametrize("ahead_s", [-120, 120])
def test_a_server_refuses_it_when_the_clocks_differ_by_two_minutes(ahead_s: int) -> None:
    with pytest.raises(JoseError):
        read(assertion("ES256", NOW + ahead_s), "ES256")


def test_every_signature_of_es256_has_its_full_length() -> None:
    """Numbers that begin with zero bytes keep them: one of 128 signatures has such a one."""
    for at in range(600):
        read(assertion("ES256", NOW + at), "ES256", NOW + at)


@pytest.mark.parametrize("text", ["no key", pem(rsa_key(1024))])
def test_a_key_that_cannot_sign_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"private key|RSA key") as caught:
        client_assertion("client-1", Secret(text), AUDIENCE, "id-1", NOW)
    assert caught.value.__cause__ is None
    assert text.splitlines()[0] not in str(caught.value)
