"""What matters at three in the morning: can apps get a token, what is wrong, what happens next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from sidecar.web.admin.status_page.markup import Markup, fill
from sidecar.web.admin.status_page.words import Document, count, failure, seconds_to, span, until
from sidecar.web.problems import PROBLEMS

Grade: TypeAlias = Literal["good", "resting", "attention", "bad"]
"""From the best to the worst; each has a word, a shape and a colour."""
GRADES: tuple[Grade, ...] = ("good", "resting", "attention", "bad")
WORDS: dict[Grade, str] = {"good": "Good", "resting": "Resting", "attention": "Attention", "bad": "No token"}


_WITHOUT_STORE = Markup("The token in memory is vended on, and this replica keeps to its own share of the budget.")
_UNREADABLE = Markup(
    "The seal key of another replica is missing here: add it to the file of seal keys. The partner may have revoked "
    "the token that is vended meanwhile."
)
_STALLED = Markup("What was read before stays in use. The file is used again as soon as its file system answers.")
_SUSPECT = Markup("An app reported it as refused, or it is past its assumed end.")


class Trouble(NamedTuple):
    """What is wrong, as the end of a sentence, and what comes of it."""

    what: str
    further: Markup


@dataclass(frozen=True, slots=True)
class Verdict:
    """One profile: its grade, a sentence, and what is wrong. None of it counts down, so that it is read out once."""

    grade: Grade
    sentence: str
    troubles: tuple[Trouble, ...]


def verdict_of(profile: Document, at: str) -> Verdict:
    troubles = tuple(_troubles(profile, at))
    if profile["reason"] == "token-file":
        return Verdict("bad", "The token is not in its file, where apps look for it", troubles)
    if profile["resting"]:
        return Verdict("resting", "Nobody has asked for a while; the next request wakes it", troubles)
    if not profile["ready"]:
        return Verdict("bad", f"Apps get no token{_why_not(profile['reason'] or '')}", troubles)
    if profile["suspect"]:
        return Verdict("attention", "Apps get a suspect token: no other can be had right now", troubles)
    if troubles:
        return Verdict("attention", f"Apps get a good token, but {troubles[0].what}", troubles)
    return Verdict("good", "Apps get a good token", ())


def verdict_of_all(document: Document, verdicts: dict[str, Verdict]) -> tuple[Grade, str]:
    """The worst grade, and a sentence about all profiles."""
    if document["draining"]:
        return "attention", "The sidecar shuts down; until then tokens are vended"
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
    """What happens next, and when."""
    if profile["leaseHolder"]:
        left = count(seconds_to(profile["leaseUntil"], at)) if profile["leaseUntil"] else "a moment"
        return fill("$who asks the partner now, for $left at most", who=profile["leaseHolder"], left=left)
    if profile["resting"]:
        return Markup("nothing, until somebody asks")
    moment = next_call_at(profile)
    if moment is None:
        return Markup("the partner is about to be asked")
    what = "refresh" if moment == profile["nextRefreshAt"] else "the partner is asked again"
    return fill("$what $when", what=what, when=until(moment, at))


def next_call_at(profile: Document) -> str | None:
    """When the partner is asked next; None: now, or when somebody asks. A suspect token waits for no refresh point."""
    moment: str | None = profile["retryAt"] if profile["suspect"] else profile["nextRefreshAt"] or profile["retryAt"]
    return moment


def _why_not(reason: str) -> str:
    if reason == "starting":
        return " yet: the first one is on its way"
    title = PROBLEMS[reason][1] if reason in PROBLEMS else "it does not say why"
    return f": {title[0].lower()}{title[1:]}"


def _troubles(profile: Document, at: str) -> Iterator[Trouble]:
    if profile["stalledFiles"]:
        yield Trouble(f"the file system hangs under {_files(profile['stalledFiles'])}", _STALLED)
    if not profile["credentialsValid"]:
        again = fill("; these again $when", when=until(profile["retryAt"], at)) if profile["retryAt"] else ""
        text = fill("New ones are tried as soon as they are there$again.", again=again)
        yield Trouble("the credentials are not accepted or cannot be read", text)
    if profile["cooldownUntil"]:
        text = fill("It answered 429. Nobody asks it before $when.", when=until(profile["cooldownUntil"], at))
        yield Trouble("the partner asked everyone to wait", text)
    elif profile["pause"]:
        when = until(profile["pauseUntil"], at) if profile["pauseUntil"] else "soon"
        text = fill("Last time: $why. It is asked again $when.", why=failure(profile["pause"]), when=when)
        yield Trouble("the partner gives no token", text)
    budget = profile["budget"]
    # Spent, and nothing to spend it on: that is as it should be.
    if budget["remaining"] == 0 and profile["condition"] != "fresh":
        what = f"The fleet allows itself {budget['calls']} in {span(budget['windowSeconds'])}."
        yield Trouble("the budget of partner calls is spent", fill("$what", what=what))
    if not profile["storeUp"]:
        yield Trouble("the store cannot be reached", _WITHOUT_STORE)
    if profile["storedTokenUnreadable"]:
        yield Trouble("the token in the store cannot be opened here", _UNREADABLE)
    if profile["suspect"]:
        yield Trouble("the token is suspect", _SUSPECT)


def _files(names: Sequence[str]) -> str:
    """`the caller tokens and the seal keys`."""
    return " and ".join(f"the {name.replace('-', ' ')}" for name in names)
