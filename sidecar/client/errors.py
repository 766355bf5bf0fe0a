"""The errors that a client of the sidecar may have to handle.

ClientError
└── TokenUnavailableError    the sidecar responded without a token, or without the signature of a request
"""

from __future__ import annotations

_NOT_SIGNED = ("signing-not-configured", "payload-too-large")


class ClientError(Exception):
    """An error between the app and its sidecar; its text contains no token.

    If no sidecar responds, the HTTP library raises its own error, for example `httpx.ConnectError`.
    """


class TokenUnavailableError(ClientError):
    """There is no token now, or no signature for a request that has to be signed.

    `code` is one of the sidecar's error codes; empty if the response was not from a sidecar. `status` is the HTTP
    status. `retry_after_s` is the time to wait in whole seconds; None when waiting does not help or it is unknown.
    """

    def __init__(self, status: int, code: str = "", retry_after_s: int | None = None) -> None:
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        # With the arguments of this class, because copies and pickles are made from them.
        super().__init__(status, code, retry_after_s)

    def __str__(self) -> str:
        if not self.code:
            return f"the {self.status} response is not from a sidecar: is this the address of the vending listener?"
        wait = "" if self.retry_after_s is None else f"; try again in {self.retry_after_s} s"
        problem = "cannot sign this request" if self.code in _NOT_SIGNED else "has no token to give"
        return f"the sidecar {problem}: {self.code} ({self.status}){wait}"
