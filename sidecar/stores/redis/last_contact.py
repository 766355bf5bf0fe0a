"""The server that an operation contacted last, to be named in its error."""

from __future__ import annotations

from contextvars import Context, ContextVar, copy_context

from sidecar.core.model import Address


class LastContact:
    """Holds the address one operation contacted last; of several servers contacted at once, the last one noted.

    An exception could not carry it: an operation that times out has not raised one yet.
    """

    def __init__(self, address: Address | None) -> None:
        """`address` is the value until a connection notes another."""
        self.address = address

    def context(self) -> Context:
        """Return the context for the operation's task: `note_contact` in it and in tasks it starts is recorded here."""
        context = copy_context()
        context.run(_current.set, self)
        return context


_current: ContextVar[LastContact | None] = ContextVar("last_contact", default=None)


def note_contact(address: Address) -> None:
    """Record the address for the operation that is running, if any."""
    contact = _current.get()
    if contact is not None:
        contact.address = address
