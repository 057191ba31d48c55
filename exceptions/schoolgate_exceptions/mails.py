"""What the letters say, in plain text and in HTML; pure. The words are in `texts/mails.LANGUAGE.yaml`."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import yaml


class Letter(StrEnum):
    """A kind of letter."""

    APPROVAL = "approval"
    REMINDER = "reminder"
    CODE = "code"
    WAITING = "waiting"
    SAFEGUARDING = "safeguarding"
    REFERRED = "referred"
    NOT_WRITTEN = "not_written"
    ENDING = "ending"
    GRANTED = "granted"
    REFUSED = "refused"
    ASKED_BACK = "asked_back"
    REVOKED = "revoked"
    ALERT = "alert"
    ALERT_AGAIN = "alert_again"
    CONCERN = "concern"
    SUPERVISED = "supervised"


@dataclass(frozen=True, slots=True)
class Mail:
    """A letter ready to be sent."""

    subject: str
    text: str
    html: str


def compose(
    letter: Letter,
    language: str,
    school: str,
    *,
    rows: Sequence[tuple[str, str]] = (),
    link: str = "",
    **values: object,
) -> Mail:
    """Return a letter; `rows` are label ids and what stands beside them (empty ones are left out)."""
    said = words(language)
    this = said["letters"][letter]
    subject = this["subject"].format_map(values)
    lead = [line.format_map(values) for line in this["lead"]]
    shown = [(said["labels"][label], text) for label, text in rows if text]
    button = this.get("button", "") if link else ""
    foot = said["foot"].format(school=school)
    return Mail(
        subject,
        _as_text(lead, shown, button, link, foot),
        _as_html(language, subject, lead, shown, button, link, foot),
    )


@cache
def words(language: str) -> Mapping[str, Any]:
    """Return the words of a language, English where there is none of it."""
    folder = files("schoolgate_exceptions") / "texts"
    file = folder / f"mails.{language}.yaml"
    if not file.is_file():
        return words("en")
    read: Mapping[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    return read


def count_of_devices(language: str, count: int) -> str:
    """Say how many devices asked."""
    said = words(language)["devices"]
    return str(said["one"] if count == 1 else said["many"].format(count=count))


def moment(at: datetime, zone: ZoneInfo) -> str:
    """Return an instant as a clock at school shows it, the same in every language: `2026-12-18 15:30`."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def _as_text(lead: list[str], rows: list[tuple[str, str]], button: str, link: str, foot: str) -> str:
    facts = "\n".join(f"{label}:\n{text}" if "\n" in text else f"{label}: {text}" for label, text in rows)
    parts = ["\n\n".join(lead), facts, f"{button}:\n{link}" if button else "", f"--\n{foot}"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _as_html(
    language: str,
    subject: str,
    lead: list[str],
    rows: list[tuple[str, str]],
    button: str,
    link: str,
    foot: str,
) -> str:
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in lead)
    facts = "".join(
        '<tr><th scope="row" style="text-align:left;vertical-align:top;padding:6px 16px 6px 0">'
        f'{html.escape(label)}</th><td style="padding:6px 0;white-space:pre-wrap">{html.escape(text)}</td></tr>'
        for label, text in rows
    )
    table = f'<table role="presentation" style="border-collapse:collapse">{facts}</table>' if facts else ""
    action = (
        f'<p style="margin:24px 0"><a href="{html.escape(link)}" style="display:inline-block;padding:14px 22px;'
        f'background:#1b4f72;color:#fff;text-decoration:none;border-radius:4px">{html.escape(button)}</a></p>'
        if button
        else ""
    )
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>'
        f"{html.escape(subject)}</title></head>"
        '<body style="font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;max-width:36em;margin:0 auto;padding:16px">'
        f'{paragraphs}{table}{action}<p style="color:#595959">{html.escape(foot)}</p></body></html>'
    )
