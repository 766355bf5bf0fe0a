"""Which server an operation was talking to: where it fails, that is the address to name."""

from __future__ import annotations

from contextvars import Context, ContextVar, copy_context

from sidecar.core.model import Address


class Contacted:
    """What an operation's connections have noted last; of several that are asked at once, the last one.

    An operation that is out of time has raised nothing yet, so its error cannot say.
    """

    def __init__(self, address: Address | None) -> None:
        """`address` is what counts until a connection notes another."""
        self.address = address

    def context(self) -> Context:
        """For the operation's task: what runs in it, and in the tasks it starts, notes here."""
        context = copy_context()
        context.run(_contacted.set, self)
        return context


_contacted: ContextVar[Contacted | None] = ContextVar("contacted", default=None)


def note_contact(address: Address) -> None:
    """The operation that this belongs to, if any, turns to a server now."""
    contacted = _contacted.get()
    if contacted is not None:
        contacted.address = address
