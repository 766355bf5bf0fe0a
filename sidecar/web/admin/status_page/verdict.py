"""The verdict for an operator on call: can apps get a token, what is wrong, what happens next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from sidecar.web.admin.status_page.markup import Document, Markup, count, failure, fill, seconds_to, span, until
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


def verdict_of_all(document: Document, verdicts: dict[str, Verdict]) -> tuple[Grade, str]:
    """Return the worst grade, and a sentence about all profiles."""
    if document["draining"]:
        return "attention", "The sidecar is shutting down. Tokens are still served"
    worst = max((verdict.grade for verdict in verdicts.values()), key=GRADES.index)
    names = ", ".join(name for name, verdict in verdicts.items() if verdict.grade == worst)
    if len(verdicts) == 1:
        return worst, next(iter(verdicts.values())).sentence
    if worst == "bad":
        return worst, f"Apps get no token for {names}"
    if worst == "attention":
        return worst, f"Apps get their tokens, but look at {names}"
    return "good", "Apps get good tokens"


def next_step(profile: Document, at: str) -> Markup:
    """Return what happens next, and when."""
    if profile["leaseHolder"]:
        left = count(seconds_to(profile["leaseUntil"], at)) if profile["leaseUntil"] else "a moment"
        return fill("$who calls the partner now, for $left at most", who=profile["leaseHolder"], left=left)
    if profile["resting"]:
        return Markup("none until the next request")
    moment = next_call_at(profile)
    if moment is None:
        return Markup("partner call now")
    what = "refresh" if moment == profile["nextRefreshAt"] else "partner call"
    return fill("$what $when", what=what, when=until(moment, at))


def next_call_at(profile: Document) -> str | None:
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
