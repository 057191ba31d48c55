"""Catalogue data with mistakes: each is named with its file and line, and none of it is used."""

from pathlib import Path

import pytest

from schoolgate_policy.catalogue_file import HEADER, load_catalogue, parse_catalogue, read_texts, shipped
from schoolgate_policy.errors import PolicyError

HEAD = 'format: 1\nversion: "2026-11-21"\n'
CHAT = """\
category: chat
title: Chat
about: Where people chat.
services:
  alpha:
    title: Alpha
    min_age: {years: 13, source: "https://alpha.example/terms", checked: 2026-11-21}
    domains: [alpha.example, cdn.alpha.test]
    shared_domains: [pictures.test]
    frontends: [alpha-view.test]
    notes: >-
      Two
      lines.
"""
MORE = """\
category: more
title: More
about: The rest.
parent: chat
services:
  beta:
    title: Beta
    domains: [beta.example]
    shared_domains: [pictures.test]
"""

# Each row: what is wrong, in which file text is replaced (old, new), and what must be said.
MISTAKES = [
    ("unknown key", "chat", ("notes:", "note:"), "chat.yaml:11:11: services.alpha.note: unknown key; did you mean 'notes'?"),
    ("no title", "chat", ("    title: Alpha\n", ""), "chat.yaml:5:3: services.alpha.title: this key is missing"),
    ("no domains", "chat", ("[alpha.example, cdn.alpha.test]", "[]"), "services.alpha.domains: the list is empty"),
    ("one domain", "chat", ("[alpha.example, cdn.alpha.test]", "alpha.example"), "services.alpha.domains: a list is expected here"),
    ("capital", "chat", ("cdn.alpha.test]", "CDN.alpha.test]"), "8:30: services.alpha.domains.1: 'CDN.alpha.test' is to be written 'cdn.alpha.test'"),
    ("address", "chat", ("cdn.alpha.test]", "192.0.2.1]"), "'192.0.2.1' is no domain name"),
    ("one label", "chat", ("alpha.example, cdn", "alpha, cdn"), "'alpha' is no domain name with at least two labels"),
    ("URL", "chat", ("cdn.alpha.test]", '"https://alpha.test/"]'), "services.alpha.domains.1: "),
    ("order", "chat", ("[alpha.example, cdn.alpha.test]", "[cdn.alpha.test, alpha.example]"), "not in alphabetical order: 'alpha.example' belongs before 'cdn.alpha.test'"),
    ("twice in a list", "chat", ("[alpha.example, cdn.alpha.test]", "[alpha.example, alpha.example]"), "'alpha.example' stands here twice"),
    ("two owners", "more", ("[beta.example]", "[alpha.example]"), "more.yaml:8:15: services.beta.domains.0: 'alpha.example' already belongs to 'alpha'"),
    ("front end owned", "more", ("[beta.example]", "[alpha-view.test]"), "'alpha-view.test' already belongs to 'alpha'"),
    ("shared but owned", "more", ("[pictures.test]", "[alpha.example]"), "'alpha.example' is shared here but owned by 'alpha'"),
    ("service twice", "more", ("  beta:", "  alpha:"), "more.yaml:6:3: services.alpha: this service is already in chat.yaml:5"),
    ("key twice", "more", ("    title: Beta\n", "    title: Beta\n    title: Bet\n"), "more.yaml:8:5: the key 'title' stands here twice"),
    ("category twice", "more", ("category: more", "category: chat"), "more.yaml:1:11: category: 'chat' is already in chat.yaml:1"),
    ("no such parent", "more", ("parent: chat", "parent: chatt"), "more.yaml:4:9: parent: no category 'chatt'; available: chat, more"),
    ("own parent", "more", ("parent: chat", "parent: more"), "parent: 'more' has a parent itself"),
    ("id with a blank", "chat", ("  alpha:", "  alpha beta:"), "not the form that is expected here"),
    ("years in words", "chat", ("years: 13", "years: thirteen"), "services.alpha.min_age.years: a whole number is expected here"),
    ("years beyond reason", "chat", ("years: 13", "years: 130"), "less than or equal to 21"),
    ("date", "chat", ("checked: 2026-11-21", "checked: yesterday"), "services.alpha.min_age.checked: "),
    ("a tab", "chat", ("    title: Alpha", "\ttitle: Alpha"), "chat.yaml:6:1: "),
    ("an alias", "more", ("[beta.example]", "&a [beta.example]\n    frontends: *a"), "an alias (`*name`) cannot be used here"),
    ("a key that is a list", "more", ("    title: Beta", "    ? [a]\n    : b\n    title: Beta"), "a key has to be plain text"),
    ("a list at the top", "more", (MORE, "- a\n- b\n"), "more.yaml:1:1: keys and values are expected here"),
    ("nothing", "more", (MORE, "---\n"), "keys and values are expected here"),
    ("format", "head", ("format: 1", "format: 2"), "catalogue.yaml:1:9: format: format 2 needs a newer Schoolgate; this one reads up to 1"),
    ("version", "head", ("2026-11-21", "latest"), "catalogue.yaml:2:10: version: not the form"),
    ("two headers", "more", (MORE, HEAD), "version: the catalogue has two headers"),
    ("no header", "head", (HEAD, ""), "catalogue.yaml: missing, and with it the version of the data"),
]  # fmt: skip


def texts(changed: str = "", change: tuple[str, str] = ("", "")) -> list[tuple[str, str]]:
    files = {"head": (HEADER, HEAD), "chat": ("chat.yaml", CHAT), "more": ("more.yaml", MORE)}
    if changed:
        name, text = files[changed]
        assert change[0] in text
        files[changed] = (name, text.replace(change[0], change[1], 1))
    return list(files.values())


def test_a_good_catalogue_is_read() -> None:
    """Everything that the files say stands in the catalogue, notes on one line."""
    catalogue = parse_catalogue(texts())
    alpha = catalogue.services["alpha"]
    assert catalogue.version == "2026-11-21"
    assert catalogue.categories["more"].parent == "chat"
    assert alpha.domains == ("alpha.example", "cdn.alpha.test")
    assert (alpha.shared_domains, alpha.frontends) == (("pictures.test",), ("alpha-view.test",))
    assert alpha.min_age is not None
    assert (alpha.min_age.years, alpha.category, alpha.notes) == (13, "chat", "Two lines.")


@pytest.mark.parametrize(
    ("file", "change", "said"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES]
)
def test_mistake(file: str, change: tuple[str, str], said: str) -> None:
    """One line says where the mistake is and what is right."""
    with pytest.raises(PolicyError) as caught:
        parse_catalogue(texts(file, change))
    assert said in str(caught.value)
    assert all("\n" not in str(issue) for issue in caught.value.issues)


def test_all_problems_of_all_files_come_at_once() -> None:
    """An editor does not have to try again for every single mistake."""
    broken = [(HEADER, HEAD), ("chat.yaml", CHAT.replace("notes:", "note:")), ("more.yaml", "category: [\n")]
    with pytest.raises(PolicyError) as caught:
        parse_catalogue(broken)
    assert {issue.file for issue in caught.value.issues} == {"chat.yaml", "more.yaml"}


def test_deep_nesting_is_refused() -> None:
    """A hundred thousand brackets end in one line, not in a crash."""
    with pytest.raises(PolicyError) as caught:
        parse_catalogue([(HEADER, HEAD), ("deep.yaml", "a: " + "[" * 100_000)])
    assert "deep.yaml" in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A missing folder is one clear line."""
    with pytest.raises(PolicyError, match="cannot be read"):
        load_catalogue(tmp_path / "none")


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    """A binary file with the right name is refused."""
    (tmp_path / "chat.yaml").write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(PolicyError, match="cannot be read"):
        load_catalogue(tmp_path)


def test_a_copy_of_the_shipped_folder_is_the_shipped_catalogue(tmp_path: Path) -> None:
    """The folder can be put elsewhere and read from there; files that are not YAML are let be."""
    for name, text in read_texts(shipped()):
        (tmp_path / name.rpartition("/")[2]).write_text(text, encoding="utf-8")
    (tmp_path / "README").write_text("mine", encoding="utf-8")
    assert load_catalogue(tmp_path) == load_catalogue()
