"""Which reported ids are logged: those of tokens that were held here. Any other may be a token itself."""

from __future__ import annotations

from sidecar.core.events import TokenReported
from tests.support.fleet import Fleet
from tests.support.virtual_time import virtual

MADE_UP = "0123456789abcdef0123456789abcdef"


@virtual
async def test_the_id_of_a_token_that_is_or_was_held_here_is_logged() -> None:
    (replica,) = Fleet().start(1)
    token_id = (await replica.broker.vend()).token.token_id
    assert (await replica.broker.report(token_id)).known
    assert await replica.token() == "token-2"
    assert (await replica.broker.report(token_id)).known
    assert [event.token_id for event in replica.sink.of(TokenReported)] == [token_id, token_id]


@virtual
async def test_any_other_id_is_not_logged() -> None:
    """A partner's token may consist of 32 hexadecimal digits too."""
    (replica,) = Fleet().start(1)
    await replica.broker.vend()
    report = await replica.broker.report(MADE_UP)
    assert (report.verdict, report.known) == ("already-replaced", False)
    assert [event.token_id for event in replica.sink.of(TokenReported)] == [""]
