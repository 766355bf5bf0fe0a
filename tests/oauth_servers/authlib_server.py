"""Authlib's authorization server in Flask. Tokens are JWTs (RFC 9068) signed with a new key at each start."""

from __future__ import annotations

import json
import os
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator, JWTBearerTokenValidator
from flask import Flask, Response
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

SETTINGS = json.loads(os.environ["OAUTH_SERVER"])
METHODS = {"basic": "client_secret_basic", "body": "client_secret_post", "private_key_jwt": "private_key_jwt"}
KEYS = KeySet([RSAKey.generate_key(2048)])


class Client(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given

    def get_client_id(self) -> str:
        return str(self.given["id"])

    def get_allowed_scope(self, scope: str) -> str:
        return " ".join(word for word in scope.split() if word == "payments")

    def check_client_secret(self, client_secret: str) -> bool:
        return bool(client_secret == self.given["secret"])

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == METHODS[self.given["auth"]]

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"


class Grant(grants.ClientCredentialsGrant):  # type: ignore[misc]  # Authlib has no types
    TOKEN_ENDPOINT_AUTH_METHODS = tuple(METHODS.values())


class Assertion(JWTBearerClientAssertion):  # type: ignore[misc]  # Authlib has no types
    CLIENT_AUTH_METHOD = "private_key_jwt"
    seen: set[str] = set()  # noqa: RUF012 - of the process

    def get_audiences(self) -> list[str]:
        return [f"{SETTINGS['issuer']}/token"]

    def validate_jti(self, claims: dict[str, Any], jti: str) -> bool:
        is_new = jti not in self.seen
        self.seen.add(jti)
        return is_new

    def resolve_client_public_key(self, client: Client) -> KeySet:
        return KeySet.import_key_set({"keys": client.given["jwks"]})


class Generator(JWTBearerTokenGenerator):  # type: ignore[misc]  # Authlib has no types
    def get_jwks(self) -> KeySet:
        return KEYS

    def get_audiences(self, client: Client, user: object, scope: str) -> str:
        return "payments-api"


class Validator(JWTBearerTokenValidator):  # type: ignore[misc]  # Authlib has no types
    def get_jwks(self) -> KeySet:
        return KEYS


def application() -> Flask:
    app = Flask(__name__)
    clients = {given["id"]: Client(given) for given in SETTINGS["clients"]}
    app.config["OAUTH2_SCOPES_SUPPORTED"] = ["payments"]
    server = AuthorizationServer(app, query_client=clients.get, save_token=lambda token, request: None)
    generator = Generator(SETTINGS["issuer"], expires_generator=lambda client, grant_type: SETTINGS["lifetimeS"])
    server.register_token_generator("default", generator)
    # Without leeway: a clock that is ahead by any time is found out.
    server.register_client_auth_method(Assertion.CLIENT_AUTH_METHOD, Assertion(leeway=0))
    server.register_grant(Grant)
    protector = ResourceProtector()
    protector.register_token_validator(Validator(SETTINGS["issuer"], "payments-api"))

    @app.post("/token")
    def token() -> Response:
        response: Response = server.create_token_response()
        return response

    @app.get("/resource")
    @protector("payments")  # type: ignore[untyped-decorator]  # Authlib has no types
    def resource() -> dict[str, bool]:
        return {"accepted": True}

    return app


if __name__ == "__main__":
    listening = make_server("127.0.0.1", SETTINGS["port"], application(), threaded=True)
    print("(listening)", flush=True)  # noqa: T201 - the test waits for it
    listening.serve_forever()
