"""One profile: the verdict for an operator on call, and the section that says what is wrong and what happens next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from sidecar.web.admin.status_page.gateway import gateway_facts
from sidecar.web.admin.status_page.markup import (
    Document,
    Markup,
    count,
    failure,
    file,
    fill,
    joined,
    seconds_to,
    span,
    time_of,
    until,
)
from sidecar.web.responses import PROBLEMS

Grade: TypeAlias = Literal["good", "resting", "attention", "bad"]
"""From the best to the worst; each has a word, a shape and a colour."""
GRADES: tuple[Grade, ...] = ("good", "resting", "attention", "bad")
WORDS: dict[Grade, str] = {"good": "Good", "resting": "Resting", "attention": "Attention", "bad": "No token"}


_WITHOUT_STORE = Markup(
    "The token in memory is still served. This replica calls the partner within its own share of the budget."
)
_UNREADABLE = Markup(
    "This replica lacks a seal key that another replica uses: add it to the seal key file. The partner may have "
    "revoked the token that is served until then."
)
_STALLED = Markup("The previous content stays in use. The file is used again once its file system responds.")
_SUSPECT = Markup("An app reported it as refused, or it is past its assumed end.")


class Trouble(NamedTuple):
    """A problem as the end of a sentence, and its consequences as sentences."""

    what: str
    further: Markup


@dataclass(frozen=True, slots=True)
class Verdict:
    """One profile's grade, sentence and troubles. The sentence has no countdown, so a screen reader reads it once."""

    grade: Grade
    sentence: str
    troubles: tuple[Trouble, ...]


def verdict_of(profile: Document, at: str) -> Verdict:
    troubles = tuple(_troubles(profile, at))
    if profile["reason"] == "token-file":
        return Verdict("bad", "The token file is not written, apps that read it get no token", troubles)
    if profile["resting"]:
        return Verdict("resting", "No recent requests: refresh resumes with the next one", troubles)
    if not profile["ready"]:
        return Verdict("bad", f"Apps get no token{_why_not(profile['reason'] or '')}", troubles)
    if profile["suspect"]:
        return Verdict("attention", "Apps get a suspect token: no other is available now", troubles)
    if troubles:
        return Verdict("attention", f"Apps get a good token, but {troubles[0].what}", troubles)
    return Verdict("good", "Apps get a good token", ())


def _next_step(profile: Document, at: str) -> Markup:
    """Return what happens next, and when."""
    if profile["leaseHolder"]:
        left = count(seconds_to(profile["leaseUntil"], at)) if profile["leaseUntil"] else "a moment"
        return fill("$who calls the partner now, for $left at most", who=profile["leaseHolder"], left=left)
    if profile["resting"]:
        return Markup("none until the next request")
    moment = _next_call_at(profile)
    if moment is None:
        return Markup("partner call now")
    what = "refresh" if moment == profile["nextRefreshAt"] else "partner call"
    return fill("$what $when", what=what, when=until(moment, at))


def _next_call_at(profile: Document) -> str | None:
    """When the partner is called next; None: now or at the next request. A suspect token's refresh point is ignored."""
    moment: str | None = profile["retryAt"] if profile["suspect"] else profile["nextRefreshAt"] or profile["retryAt"]
    return moment


def _why_not(reason: str) -> str:
    if reason == "starting":
        return " yet: the call for the first one is under way"
    title = PROBLEMS[reason][1] if reason in PROBLEMS else "unknown reason"
    return f": {title[0].lower()}{title[1:]}"


def _troubles(profile: Document, at: str) -> Iterator[Trouble]:
    if profile["stalledFiles"]:
        yield Trouble(f"the file system does not respond for {_files(profile['stalledFiles'])}", _STALLED)
    if not profile["credentialsValid"]:
        again = fill(" These are retried $when.", when=until(profile["retryAt"], at)) if profile["retryAt"] else ""
        text = fill("New credentials are tried as soon as they appear.$again", again=again)
        yield Trouble("the credentials are rejected or cannot be read", text)
    if profile["cooldownUntil"]:
        text = fill("No partner calls before $when.", when=until(profile["cooldownUntil"], at))
        yield Trouble("partner calls are rate limited (429)", text)
    elif profile["pause"]:
        when = until(profile["pauseUntil"], at) if profile["pauseUntil"] else "soon"
        text = fill("Result: $why. Next call $when.", why=failure(profile["pause"]), when=when)
        yield Trouble("the last partner call failed", text)
    budget = profile["budget"]
    # A spent budget with a fresh token is normal: no call is needed.
    if budget["remaining"] == 0 and profile["condition"] != "fresh":
        what = f"The fleet limit is {budget['calls']} calls in {span(budget['windowSeconds'])}."
        yield Trouble("the budget of partner calls is spent", fill("$what", what=what))
    if not profile["storeUp"]:
        yield Trouble("the store cannot be reached", _WITHOUT_STORE)
    if profile["storedTokenUnreadable"]:
        yield Trouble("the token in the store cannot be decrypted here", _UNREADABLE)
    if profile["suspect"]:
        yield Trouble("the token is suspect", _SUSPECT)


def _files(names: Sequence[str]) -> str:
    """Return the names as text, as in `the caller tokens and the seal keys`."""
    return " and ".join(f"the {name.replace('-', ' ')}" for name in names)


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
        role=f"as {profile['role']} " if profile["role"] else "",
        url=profile["baseUrl"],
        lifetime=int(profile["lifetimeSeconds"]),
        left=int(left_s),
        left_words=_left_words(profile, left_s),
        bar=_bar(profile, left_s, at),
        caption=_caption(profile, left_s, at),
        next=_next_step(profile, at),
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

    next_at = _next_call_at(profile)
    due_s = left_s - seconds_to(next_at, at) if next_at else 0
    left = fill(_LEFT, width=share(left_s), left=left_s, lifetime=lifetime_s)
    return joined([left, fill(_DUE, due=share(due_s))] if 0 < due_s < lifetime_s else [left])


def _facts(profile: Document, at: str) -> Iterator[tuple[str, Markup | str]]:
    budget = profile["budget"]
    next_at = _next_call_at(profile)
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
    yield "Signing key", "present" if profile["signingKey"] else "none"
    yield "Signatures", f"{profile['signatures']} since the start"
    yield "Partner clock", _clock(profile["partnerClockOffsetSeconds"])
    if "gateway" in profile:
        yield from gateway_facts(profile["gateway"])
    yield "Store", "up" if profile["storeUp"] else "down"
    yield "Last error", _last_error(profile["lastError"], at)


def _clock(offset_s: float | None) -> str:
    if offset_s is None:
        return "not measured yet"
    if abs(offset_s) < 1:
        return "equal to ours"
    return f"{span(abs(offset_s))} {'ahead of' if offset_s > 0 else 'behind'} ours"


def _last_error(error: Document | None, at: str) -> Markup | str:
    if error is None:
        return "none"
    partner = error["partner"] or {}
    said = "".join(f" · {value}" for value in partner.values() if value)
    return fill("$time: $why$said", time=time_of(error["at"], at), why=failure(error["kind"]), said=said)
