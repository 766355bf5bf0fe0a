"""The status page shows the status document in words, and escapes every text."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from typing import Any

import pytest

from sidecar.core.errors import FailureKind, PartnerDetail
from sidecar.core.policy import Condition
from sidecar.core.process_events import StalledFile
from sidecar.vending.api import LastFailure
from sidecar.web.admin.status_document import status
from sidecar.web.admin.status_page.page import page
from tests.support.fake_provider import NOW, snapshot
from tests.support.status_samples import NO_TOKEN, sample_events, shown, words

HOSTILE = "</p><script>alert(1)</script><a href=x onclick='y' style=\"z\">$name &amp; {name}"


class Skeleton(HTMLParser):
    """The structure of a page without its texts: each tag with the names of its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))


def skeleton(text: str) -> list[tuple[str, ...]]:
    parser = Skeleton()
    parser.feed(text)
    parser.close()
    return parser.tags


def one(**changes: object) -> str:
    return shown(replace(snapshot(), **changes))  # type: ignore[arg-type]  # names are checked by the dataclass


def with_text(text: str, record: Any) -> Any:  # noqa: ANN401 - a dataclass of ours, and the same again
    """Return a copy with `text` in place of each free text."""
    names = [field.name for field in fields(record) if type(getattr(record, field.name)) is str]
    return replace(record, **dict.fromkeys(names, text))


def page_with_text(text: str) -> str:
    """Return a page with all contents, in which each free text is `text`."""
    detail = with_text(text, PartnerDetail(status=429))
    failure = LastFailure(kind=FailureKind.THROTTLED, at=NOW, detail=detail)
    calling = replace(snapshot(), lease_until=NOW + 200, last_failure=failure)
    told = [event for event in sample_events() if event.name not in ("store_failed", "token_reported")]
    return shown(with_text(text, calling), events=[with_text(text, event) for event in told])


def test_every_text_is_escaped() -> None:
    harmless, harmful = page_with_text("plain"), page_with_text(HOSTILE)
    assert harmful.count("alert(1)") == harmless.count("plain") > 20
    assert skeleton(harmful) == skeleton(harmless)


def test_the_page_has_no_inline_code_and_no_external_resources() -> None:
    text = shown(snapshot(), snapshot("other"), events=list(sample_events()))
    assert not [tag for tag in skeleton(text) if "style" in tag or any(name.startswith("on") for name in tag)]
    assert re.findall(r"<script[^>]*>(.*?)</script>", text) == [""]
    loaded = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert not [target for target in loaded if "//" in target.replace("data:", "", 1).replace("%3A//", "")]


STATES = [
    ({}, "Good", "Apps get a good token"),
    ({"condition": Condition.STALE}, "Good", "Apps get a good token"),
    ({"budget_remaining": 0}, "Good", "Apps get a good token"),
    ({"condition": Condition.SUSPECT}, "Attention", "Apps get a suspect token: no other is available now"),
    (
        {"pause_kind": "throttled", "cooldown_until": NOW + 240, "pause_until": NOW + 240},
        "Attention",
        "Apps get a good token, but partner calls are rate limited (429)",
    ),
    ({"pause_kind": "timeout"}, "Attention", "Apps get a good token, but the last partner call failed"),
    ({"store_up": False}, "Attention", "Apps get a good token, but the store cannot be reached"),
    (
        {"credentials_valid": False},
        "Attention",
        "Apps get a good token, but the credentials are rejected or cannot be read",
    ),
    ({"resting": True}, "Resting", "No recent requests: refresh resumes with the next one"),
    ({**NO_TOKEN, "why_not": "starting"}, "No token", "Apps get no token yet: the call for the first one is under way"),
    ({**NO_TOKEN, "why_not": "store-unavailable"}, "No token", "Apps get no token: the shared store is down"),
    (
        {"ready": False, "why_not": "token-file"},
        "No token",
        "The token file is not written, apps that read it get no token",
    ),
]


@pytest.mark.parametrize(("changes", "word", "sentence"), STATES)
def test_each_state_has_a_word_a_shape_and_a_sentence(changes: dict[str, Any], word: str, sentence: str) -> None:
    text = one(**changes)
    assert f"<title>{word} · token-sidecar</title>" in text
    assert f'role="status">{sentence}</span>' in text
    grade = {"No token": "bad"}.get(word, word.lower())
    assert f'<section class="profile {grade}"' in text
    assert f'<use href="#{grade}"/></svg>{word}' in text


TROUBLES = [
    ({"cooldown_until": NOW + 240, "pause_kind": "throttled"}, "No partner calls before 00:04:00 (in 1 min )"),
    ({"pause_kind": "connect", "pause_until": NOW + 185}, "Result: no connection. Next call 00:03:05 (in 5 s )"),
    ({"budget_remaining": 0, "condition": Condition.STALE}, "The fleet limit is 6 calls in 1 min."),
    ({"store_up": False}, "The token in memory is still served."),
    ({"credentials_valid": False, "retry_at": NOW + 300}, "These are retried 00:05:00 (in 2 min )."),
    ({"condition": Condition.SUSPECT}, "An app reported it as refused, or it is past its assumed end."),
]


@pytest.mark.parametrize(("changes", "further"), TROUBLES)
def test_each_problem_has_its_consequence(changes: dict[str, Any], further: str) -> None:
    assert further in words(one(**changes))
    assert further not in words(one())


def test_a_file_that_hangs_is_a_problem_of_its_profile_or_of_all() -> None:
    stalled = [StalledFile("credentials", "a"), StalledFile("caller-tokens", "")]
    document = status([snapshot("a"), snapshot("b")], [], at=NOW, version="1", draining=False, stalled_files=stalled)
    profiles: Any = document["profiles"]
    assert profiles["a"]["stalledFiles"] == ["caller-tokens", "credentials"]
    assert profiles["b"]["stalledFiles"] == ["caller-tokens"]
    text = words(page(document))
    assert "but the file system does not respond for the caller tokens and the credentials." in text
    assert "but the file system does not respond for the caller tokens." in text
    assert "hangs" not in words(shown(snapshot()))


NEXT_STEPS = [
    ({}, "Next: refresh 00:12:00 (in 9 min )"),
    ({"next_refresh_at": NOW + 180}, "Next: refresh now"),
    ({"lease_owner": "r-1", "lease_until": NOW + 192}, "Next: r-1 calls the partner now, for 12 s at most"),
    ({**NO_TOKEN, "next_refresh_at": 0, "retry_at": NOW + 200}, "Next: partner call 00:03:20 (in 20 s )"),
    ({**NO_TOKEN, "next_refresh_at": 0}, "Next: partner call now"),
    ({"condition": Condition.SUSPECT, "retry_at": NOW + 200}, "Next: partner call 00:03:20 (in 20 s )"),
    ({"condition": Condition.SUSPECT}, "Next: partner call now"),
    ({"resting": True, "next_refresh_at": 0}, "Next: none until the next request"),
]


@pytest.mark.parametrize(("changes", "step"), NEXT_STEPS)
def test_the_page_shows_the_next_action_and_its_time(changes: dict[str, Any], step: str) -> None:
    assert step in words(one(**changes))


def test_every_fact_of_the_profile_is_shown() -> None:
    failure = LastFailure(kind=FailureKind.SERVER_ERROR, at=NOW, detail=PartnerDetail(status=503, session_id="s-9"))
    text = words(one(last_failure=failure, learned_s=612, waiters=3, budget_remaining=2, lease_owner="r-1"))
    for fact in (
        "Budget 2 of 6 calls left in 1 min",
        "Lease holder r-1",
        "Learned lifetime 10 min 12 s",
        "Lifetime 15 min, assumed",
        f"Token id {snapshot().token_id}",
        "Waiting apps 3",
        "Last error 00:00:00 : server error (5xx) · 503 · s-9",
    ):
        assert fact in text


def test_the_bar_shows_the_remaining_lifetime_and_the_refresh_point() -> None:
    text = one(left_s=450)
    assert 'aria-valuemax="900" aria-valuenow="450" aria-valuetext="7 min 30 s of 15 min left"' in text
    assert re.findall(r'class="left" height="100%" width="(\S+)%"', text) == ["50.00"]
    assert "7 min 30 s left, until 00:15:00" in words(text)
    # Nine minutes from now: a minute and a half before the bar runs out would be beyond its start.
    assert 'class="due"' not in text
    assert re.findall(r'class="due" .* x="(\S+)%"', one(left_s=720)) == ["20.00"]


@pytest.mark.parametrize(("changes", "caption"), [(NO_TOKEN, "no token"), ({"left_s": 0}, "expired at 00:15:00")])
def test_an_empty_bar_has_its_reason(changes: dict[str, Any], caption: str) -> None:
    text = one(**changes)
    assert caption in words(text)
    assert 'width="0.00%"' in text


def test_of_several_profiles_those_with_problems_are_named_and_all_have_links() -> None:
    empty = replace(snapshot("empty"), **NO_TOKEN, why_not="starting")  # type: ignore[arg-type]  # as above
    down = replace(snapshot("down"), store_up=False)
    assert 'role="status">Apps get good tokens</span>' in shown(snapshot("a"), snapshot("b"))
    assert 'role="status">Apps get their tokens, but look at down</span>' in shown(snapshot("a"), down)
    text = shown(snapshot("a"), down, empty)
    assert 'role="status">Apps get no token for empty; look at down too</span>' in text
    assert 'role="status">Apps get no token for empty</span>' in shown(snapshot("a"), empty)
    targets = re.findall(r'href="#(profile-\w+)"', text)
    assert targets == ["profile-a", "profile-down", "profile-empty"]
    assert all(f'id="{target}"' in text for target in targets)
    assert 'href="#' not in re.sub("<use [^>]*>", "", shown(snapshot()))


def test_a_sidecar_that_shuts_down_is_shown_as_that() -> None:
    assert 'role="status">The sidecar is shutting down. Tokens are still served</span>' in shown(
        snapshot(), draining=True
    )
