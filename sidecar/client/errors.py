"""What a client of the sidecar may have to handle.

ClientError
└── TokenUnavailableError    the sidecar answered, and not with a token
"""

from __future__ import annotations


class ClientError(Exception):
    """Something between the app and its sidecar; no text of it holds a token.

    That no sidecar answers at all is the HTTP library's own error, for example `httpx.ConnectError`.
    """


class TokenUnavailableError(ClientError):
    """There is no token now.

    `code` is one of the sidecar's error codes, empty when what answered was no sidecar; `status` is the answer's.
    `retry_after_s` is how long to wait, in whole seconds; None when waiting does not help or nothing is known.
    """

    def __init__(self, status: int, code: str = "", retry_after_s: int | None = None) -> None:
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        # With the arguments of this class: copies and pickles are made from them.
        super().__init__(status, code, retry_after_s)

    def __str__(self) -> str:
        if not self.code:
            return f"the {self.status} response is not from a sidecar: is this the address of the vending listener?"
        wait = "" if self.retry_after_s is None else f"; try again in {self.retry_after_s} s"
        return f"the sidecar has no token to give: {self.code} ({self.status}){wait}"
