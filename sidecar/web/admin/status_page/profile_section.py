"""One profile as a section of the page."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.web.admin.status_page.markup import Markup, file, fill, joined
from sidecar.web.admin.status_page.verdict import WORDS, Verdict, next_call_at, next_step
from sidecar.web.admin.status_page.words import Document, count, failure, seconds_to, span, time_of, until

_LEFT = '<rect class="left" height="100%" width="$width%" data-left="$left" data-of="$lifetime"/>'
_DUE = '<rect class="due" height="100%" width="3" x="$due%"/>'


def profile_section(name: str, profile: Document, verdict: Verdict, at: str) -> Markup:
    left_s = profile["expiresInSeconds"] or 0
    return fill(
        file("profile.html"),
        name=name,
        grade=verdict.grade,
        word=WORDS[verdict.grade],
        sentence=verdict.sentence,
        partner=profile["partner"],
        role=profile["role"],
        url=profile["baseUrl"],
        lifetime=int(profile["lifetimeSeconds"]),
        left=int(left_s),
        left_words=_left_words(profile, left_s),
        bar=_bar(profile, left_s, at),
        caption=_caption(profile, left_s, at),
        next=next_step(profile, at),
        troubles=joined(
            fill("<li><b>$what.</b> $further</li>", what=what[0].upper() + what[1:], further=further)
            for what, further in verdict.troubles
        ),
        facts=joined(fill("<div><dt>$term</dt><dd>$told</dd></div>", term=t, told=d) for t, d in _facts(profile, at)),
    )


def _left_words(profile: Document, left_s: float) -> str:
    if not profile["tokenId"]:
        return "no token"
    return f"{span(int(left_s))} of {span(profile['lifetimeSeconds'])} left"


def _caption(profile: Document, left_s: float, at: str) -> Markup:
    if not profile["tokenId"]:
        return Markup("no token")
    if left_s <= 0:
        return fill("expired at $time", time=time_of(profile["expiresAt"], at))
    return fill("<b>$count</b> left, until $time", count=count(left_s), time=time_of(profile["expiresAt"], at))


def _bar(profile: Document, left_s: float, at: str) -> Markup:
    """Return a bar of the token's remaining life, with a mark where the refresh is due."""
    lifetime_s = profile["lifetimeSeconds"] or 1

    def share(of_s: float) -> str:
        return f"{100 * min(1, max(0, of_s / lifetime_s)):.2f}"

    next_at = next_call_at(profile)
    due_s = left_s - seconds_to(next_at, at) if next_at else 0
    left = fill(_LEFT, width=share(left_s), left=left_s, lifetime=lifetime_s)
    return joined([left, fill(_DUE, due=share(due_s))] if 0 < due_s < lifetime_s else [left])


def _facts(profile: Document, at: str) -> Iterator[tuple[str, Markup | str]]:
    budget = profile["budget"]
    next_at = next_call_at(profile)
    yield "Next refresh", until(next_at, at) if next_at else "none"
    yield (
        "Cool-down",
        fill("until $when", when=until(profile["cooldownUntil"], at)) if profile["cooldownUntil"] else "none",
    )
    yield "Budget", f"{budget['remaining']} of {budget['calls']} calls left in {span(budget['windowSeconds'])}"
    yield "Lease holder", profile["leaseHolder"] or "none"
    learned_s = profile["learnedLifetimeSeconds"]
    yield "Learned lifetime", span(learned_s) if learned_s else "none"
    yield "Lifetime", f"{span(profile['lifetimeSeconds'])}, {profile['lifetime'] or 'assumed'}"
    yield "Token id", fill("<code>$id</code>", id=profile["tokenId"]) if profile["tokenId"] else "none"
    yield "Issued", time_of(profile["issuedAt"], at) if profile["issuedAt"] else "never"
    yield "Waiting apps", str(profile["waiters"])
    yield "Credentials", "valid" if profile["credentialsValid"] else "rejected or unreadable"
    yield "Store", "up" if profile["storeUp"] else "down"
    yield "Last error", _last_error(profile["lastError"], at)


def _last_error(error: Document | None, at: str) -> Markup | str:
    if error is None:
        return "none"
    partner = error["partner"] or {}
    said = "".join(f" · {value}" for value in partner.values() if value)
    return fill("$time: $why$said", time=time_of(error["at"], at), why=failure(error["kind"]), said=said)
