"""What pages say: both languages have every text, pupils can read theirs, times are written as people do."""

import re
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from string import Formatter
from zoneinfo import ZoneInfo

import pytest
import yaml
from reading import reading_age, sentences

from schoolgate_exceptions.web.forms import Form, parse_end, parse_form, read_end, write_end
from schoolgate_exceptions.web.qr import matrix
from schoolgate_exceptions.web.words import FILES, Words, choose_language

LONDON = ZoneInfo("Europe/London")
FOR_PUPILS = ("front", "ask", "already", "sent", "status", "report", "help", "said")
FOR_GROWN_UPS = {
    "ask.for-recruitment-vetting",
    "ask.for-official",
    "front.write",
    "front.contact",
    "front.approved",
}


def texts(language):
    folder = files("schoolgate_exceptions") / "texts"
    read = [yaml.safe_load((folder / f"{name}.{language}.yaml").read_text("utf-8")) for name in FILES]
    together = {page: entries for one in read for page, entries in one.items()}
    assert len(together) == sum(len(one) for one in read)
    return together


def test_both_languages_say_the_same_things():
    """Every text is there in English and Welsh, with the same values in braces."""
    english, welsh = texts("en"), texts("cy")
    assert english.keys() == welsh.keys()
    for page, entries in english.items():
        if isinstance(entries, dict):
            assert entries.keys() == welsh[page].keys(), page
            for name, text in entries.items():
                fields = [
                    sorted(field for _, field, _, _ in Formatter().parse(str(one)) if field)
                    for one in (text, welsh[page][name])
                ]
                assert fields[0] == fields[1], f"{page}.{name}"
        else:
            assert len(entries) == len(welsh[page])


def test_every_text_is_used_and_every_used_text_exists():
    """No page asks for a text that is not there, and no text is left over."""
    folder = files("schoolgate_exceptions")
    code = "".join(
        path.read_text("utf-8")
        for pattern in ("templates/**/*.j2", "web/*.py", "*.py")
        for path in folder.glob(pattern)
    )
    known = {
        f"{page}.{name}"
        for page, entries in texts("en").items()
        if isinstance(entries, dict)
        for name in entries
    }
    used = set(re.findall(r'\bt\(\s*"([a-z-]+\.[a-z0-9-]+)"\s*[,)]', code))
    used |= set(re.findall(r'words\("([a-z-]+\.[a-z0-9-]+)"', code))
    assert used <= known, used - known
    made = (
        "status.",
        "ask.for-",
        "ask.until-",
        "ask.reason-",
        "times.",
        "ask.stale",
        "ask.forged",
        "errors.",
        "common.",
        "figures.",
        "asked.",
        "health.",
        "watch.sure-",
        "watch.concern-",
        "checks.kind-",
        "checks.from-",
        "nav.",
        "state.",
        "home.part-",
        "home.off-",
        "home.job-",
        "said.",
        "told.",
        "role.",
        "kind.",
        "purpose.",
        "step.",
        "done.",
        "more.",
        "reason.",
        "queue.show-",
        "queue.age-",
        "lists.is-",
        "boxes.is-",
    )
    spare = {name for name in known - used if not name.startswith(made) and f'"{name}"' not in code}
    assert not spare


@pytest.mark.parametrize("page", FOR_PUPILS)
def test_pupils_can_read_it(page):
    """What pupils read has sentences of at most 14 words; at seven one can read it, but for whom to turn to at nine."""
    read = [text for name, text in texts("en")[page].items() if f"{page}.{name}" not in FOR_GROWN_UPS]
    for text in read:
        assert all(len(words) <= 14 for words in sentences(text)), text
    assert reading_age(read) < (9 if page == "help" else 7)


@pytest.mark.parametrize(
    "word", ["forbidden", "violation", "denied", "illegal", "invalid", "error", "unauthorised"]
)
def test_no_blame(word):
    """No word blames a child."""
    for page in FOR_PUPILS:
        assert not any(re.search(rf"\b{word}\b", text.lower()) for text in texts("en")[page].values())


@pytest.mark.parametrize(
    ("at", "when", "until"),
    [
        ("2026-11-23T15:30", "today at 15:30", "today at 15:30"),
        ("2026-11-24T00:00", "tomorrow at 00:00", "the end of today"),
        ("2026-11-22T09:05", "yesterday at 09:05", "yesterday at 09:05"),
        ("2026-11-28T00:00", "Saturday 28 November at 00:00", "the end of Friday 27 November"),
        ("2028-01-01T00:00", "1 January 2028 at 00:00", "the end of 31 December 2027"),
    ],
)
def test_times_in_words(at, when, until):
    """A time is said by its distance; midnight ends the day before."""
    words = Words("en", LONDON, datetime(2026, 11, 23, 10, 15, tzinfo=UTC))
    instant = datetime.fromisoformat(at).replace(tzinfo=LONDON)
    assert words.when(instant) == when
    assert words.until(instant) == until
    assert words.day(instant.date()).endswith(str(instant.year))


@pytest.mark.parametrize(
    ("given", "language"),
    [
        (("cy", "", "", ""), "cy"),
        (("xx", "cy", "en", "en"), "cy"),
        (("", "", "cy", "en"), "cy"),
        (("", "", "", "cy-GB,cy;q=0.9"), "cy"),
        (("", "", "", "en,cy"), "en"),
        (("", "", "", "cym"), "en"),
        (("", "", "", ""), "en"),
    ],
)
def test_which_language(given, language):
    """What was asked for comes before what was kept, the account, and the browser."""
    assert choose_language(*given) == language


def test_ends_in_forms():
    """An end goes through a form and back; a day ends with itself, nonsense is none."""
    for text in ("2026-11-28T00:00", "2026-11-27T15:30", "2026-10-25T12:00"):
        end = datetime.fromisoformat(text).replace(tzinfo=LONDON)
        day, clock = write_end(end, LONDON)
        assert read_end(Form({"until": [day], "until_time": [clock]}), LONDON) == end
    assert parse_end("2026-11-27", LONDON) == datetime(2026, 11, 28, tzinfo=LONDON)
    for nonsense in ("", "soon", "2026-13-01", "2026-11-27T25:00"):
        assert parse_end(nonsense, LONDON) is None


def test_forms():
    """Several values, empty ones, lines and commas; a flood of fields is refused."""
    form = parse_form("a=1&a=2&b=&c=x%0Ay,+z")
    assert form.all("a") == ("1", "2")
    assert form.one("b", "no") == ""
    assert form.lines("c") == ("x", "y", "z")
    assert not form.has("d")
    with pytest.raises(ValueError, match="fields"):
        parse_form("a=1&" * 1000)


QR = {
    1: "1f6cf816ceffc043",
    14: "cc04b35a4b08a4a1",
    60: "e4ee6549f2563919",
    110: "1256c4d0240eeb37",
    180: "e7257cff3dd22f38",
    213: "30f56f568eef2f88",
}


@pytest.mark.parametrize(("length", "digest"), QR.items())
def test_qr_codes(length, digest):
    """QR codes are those of an independent encoder, from the smallest to the largest."""
    rows = matrix(bytes(range(length)))
    text = "\n".join("".join("#" if cell else "." for cell in row) for row in rows)
    assert sha256(text.encode()).hexdigest()[:16] == digest


def test_a_qr_code_that_would_be_too_large():
    """More than fits is refused."""
    with pytest.raises(ValueError, match="more than fit"):
        matrix(bytes(214))
