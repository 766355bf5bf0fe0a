"""The seal: only texts that were sealed here open, and no error contains a key or a token.

An input begins with a letter: `k` a key file, `o` a sealed text to open, `d` a stored document, `m` changes to one that
was sealed here, as pairs of a position and a byte.
"""

from __future__ import annotations

import base64

from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Lifetime, Profile, Secret, Token, token_id_of
from sidecar.stores.codec import UNREADABLE, decode_stored_token, encode_stored_token, open_token
from sidecar.stores.sealing import AesSealer, SealKey, UnsealError, load_seal_keys
from tests.fuzz.findings import PLANT, hold, hold_secret
from tests.fuzz.scratch import scratch_folder

WORDS = (
    b"\xfe",
    b"aes:one:",
    b"aes:two:",
    b"open:",
    b'{"fence":7,"id":"',
    b'"issued_ms":',
    b'"sealed":"',
    b"k",
    b"#\n",
)
KEY = base64.b64encode(b"canary key of thirty-two bytes!!").decode()
PROFILE = Profile(base_url="https://partner.test")
SEALER = AesSealer([SealKey("one", Secret(KEY)), SealKey("two", Secret(base64.b64encode(bytes(32)).decode()))])
TOKEN = Token(
    access=Secret("access-token-under-seal"),
    refresh=Secret("refresh-token-under-seal"),
    token_id=token_id_of(Secret("access-token-under-seal")),
    role="API_USER",
    fence=7,
    issued_at=1_767_225_600.0,
    lifetime_s=900,
    lifetime=Lifetime.ASSUMED,
    credentials_id="c0ffee",
)


def check(data: bytes) -> None:
    """Pass the input to the part of the seal that its first byte selects."""
    parts = {b"k": _check_keys, b"o": _check_open, b"d": _check_document, b"m": _check_changed}
    parts.get(data[:1], _check_document)(data[1:])


def _check_keys(content: bytes) -> None:
    path = scratch_folder() / "keys"
    path.write_bytes(content.replace(PLANT, KEY.encode()))
    try:
        keys = load_seal_keys(path)
    except ConfigurationError as error:
        hold(true=bool(error.problems), what="refused without a problem")
        hold_secret(KEY, str(error), repr(error))
        return
    hold(true=bool(keys) and len({key.key_id for key in keys}) == len(keys), what="no key, or one id twice")
    hold_secret(KEY, repr(keys))
    sealer = AesSealer(keys)
    hold(true=sealer.open(sealer.seal(content, "a context"), "a context") == content, what="a round trip changed it")


def _check_open(text: bytes) -> None:
    try:
        SEALER.open(text.replace(PLANT, KEY.encode()).decode("utf-8", "surrogateescape"), "a context")
    except UnsealError as error:
        hold_secret(KEY, str(error), repr(error))
        return
    hold(true=False, what="a text opened that was not sealed here")


def _check_document(document: bytes) -> None:
    try:
        stored = decode_stored_token(document)
    except UNREADABLE:
        return
    try:
        open_token(stored, PROFILE.profile_id, SEALER)
    except UnsealError:
        return
    hold(true=False, what="a document opened that was not sealed here")


def _check_changed(changes: bytes) -> None:
    document = bytearray(encode_stored_token(TOKEN, PROFILE, SEALER))
    for place, byte in zip(changes[::2], changes[1::2], strict=False):
        # Spread over the whole document, whose length exceeds the range of a byte.
        document[place * len(document) // 256] = byte
    try:
        opened = open_token(decode_stored_token(bytes(document)), PROFILE.profile_id, SEALER)
    except (*UNREADABLE, UnsealError) as error:
        hold_secret(TOKEN.access.reveal(), str(error))
        return
    # The id and the instant are outside the seal, and base64 has several forms of one text. The rest is bound.
    same = (opened.access, opened.refresh, opened.role, opened.fence, opened.lifetime_s, opened.credentials_id)
    sealed = (TOKEN.access, TOKEN.refresh, TOKEN.role, TOKEN.fence, TOKEN.lifetime_s, TOKEN.credentials_id)
    hold(true=same == sealed, what="a changed document opened as another token")
