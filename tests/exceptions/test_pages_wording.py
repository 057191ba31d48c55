"""What services say to people is worded by the pages, in the language they are in: nobody meets English in Welsh."""

import ast
import re
from importlib.resources import files

import pytest
import yaml
from school import PASSWORD

from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.web.wording import match

ERRORS = {
    "Scope",
    "Objection",
    "InvalidInput",
    "TooMany",
    "NotAllowed",
    "WorkflowError",
    "SignInFailed",
    "InvalidToken",
    "NotFound",
    "AuditBroken",
    "PolicyConflict",
    "PolicyUnwritable",
    "HistoryError",
}
MODULES = (
    "asking", "plain_text", "workflow", "desk", "roles", "passwords", "signing_in", "sso", "accounts", "sessions",
    "tokens", "approving", "reviewing", "ending", "lessons", "people", "sanctioning", "register",
    "scopes", "granting", "audit", "repository", "switching", "watch/alerting", "watch/devices", "watch/probes",
    *(f"web/{name}" for name in ("approvals", "asks", "cases", "hold_pages", "lesson_pages", "looking", "paper_pages",
                                 "people_pages", "registers", "signing", "standings", "watch_pages")),
)  # fmt: skip
NOT_ON_PAGES = {
    "lesson windows are opened by teachers, not asked for",  # no form can
    "this role needs the code of an authenticator app, and this is not the one",  # of the command line
    "use one of X",  # a language that no form offers
    "`X` is nobody's role",  # likewise
    "X",  # what the policy says of a target
}
NOT_READ = {"failures.py"}  # problem documents, for programs


def said(node: ast.expr, names: dict[str, str]) -> str:
    """Return a text as it stands in the code, with X for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(part.value if isinstance(part, ast.Constant) else "X" for part in parts)
        case ast.Name(id=name) if name in names:
            return names[name]
    return "X"


def sentences(module: str, package: str = "schoolgate_exceptions") -> set[str]:
    """Return what a module says when it refuses something."""
    tree = ast.parse((files(package) / f"{module}.py").read_text("utf-8"))
    names = {
        one.targets[0].id: one.value.value
        for one in tree.body
        if isinstance(one, ast.Assign)
        and isinstance(one.targets[0], ast.Name)
        and isinstance(one.value, ast.Constant)
        and isinstance(one.value.value, str)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
            place = {"Scope": 2, "Objection": 1}.get(node.func.id, 0)
            kept = node.args[place : place + 1] or [one.value for one in node.keywords]
            for one in kept:
                found |= {
                    said(value, names) for value in (one.values if isinstance(one, ast.Dict) else [one])
                }
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            holder = node.targets[0].value
            if isinstance(holder, ast.Name) and holder.id == "problems":
                found.add(said(node.value, names))
        elif isinstance(node, ast.FunctionDef) and node.name == "_limit":
            returned = [one.value for one in ast.walk(node) if isinstance(one, ast.Return) and one.value]
            found |= {said(one, names) for one in returned} - {""}
    return found


@pytest.mark.parametrize("module", MODULES)
def test_every_refusal_has_words(module):
    """Whatever a service refuses with is known to the pages, which have it in English and Welsh."""
    unknown = {one for one in sentences(module) - NOT_ON_PAGES if match(one) is None}
    assert not unknown


@pytest.mark.parametrize("module", ["write", "history"])
def test_every_refusal_of_the_policy_file_has_words(module):
    """So is whatever keeps the policy from being read, written or looked back at."""
    unknown = {one for one in sentences(module, "schoolgate_policy") - NOT_ON_PAGES if match(one) is None}
    assert not unknown


def test_pages_say_nothing_of_their_own():
    """What a page finds wrong with a form is among the sentences that have words, too."""
    found = set()
    for file in (files("schoolgate_exceptions") / "web").iterdir():
        if file.name.endswith(".py") and not file.name.startswith("api") and file.name not in NOT_READ:
            tree = ast.parse(file.read_text("utf-8"))
            values = [
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            ]
            found |= {
                f"{file.name}: {one}" for one in values if re.fullmatch(r"[a-z]+(,? [\w.:-]+){3,}", one)
            }
    assert not {one for one in found if match(one.partition(": ")[2]) is None}


def test_words_know_what_is_filled_in():
    """Every key that a sentence leads to is a text, and asks for nothing that the sentence does not have."""
    from string import Formatter

    read = yaml.safe_load((files("schoolgate_exceptions") / "texts" / "said.yaml").read_text("utf-8"))
    texts = {}
    for name in ("pages", "office"):
        texts |= yaml.safe_load(
            (files("schoolgate_exceptions") / "texts" / f"{name}.en.yaml").read_text("utf-8")
        )
    known = {f"{page}.{name}" for page in ("said", "told") for name in texts[page]}
    assert known == set(read)
    for key, sentence in read.items():
        page, _, name = key.partition(".")
        wanted, given = (
            {field for _, field, _, _ in Formatter().parse(text) if field}
            for text in (texts[page][name], sentence)
        )
        assert wanted <= given, key
        found = match(sentence)
        assert found is not None
        assert found[0] == key, "another sentence is taken for this one"


def test_a_pupil_who_reads_welsh(live):
    """The form's own complaints, limits and refusals are in Welsh for who reads Welsh, and easy English otherwise."""
    pupil = live.browser()
    about = live.school.link()
    pupil.get("/help", lang="cy")
    fields = {"about": about, "for": "lesson", "until": "day"}
    long = pupil.post("/ask", page="/report", reason="x" * 250, **fields)
    assert "Gad rai geiriau allan" in long.text
    assert "characters" not in long.text
    assert "ysgrifenna ychydig eiriau" in pupil.post("/ask", page="/report", reason="", **fields).text.lower()
    assert "teipia enw" in pupil.post("/report", host="not a site", what="block", more="").text.lower()
    for number in range(4):
        live.school.service.asking.submit(
            _ask(f"site{number}.example"), live.school.service.asking.asker("127.0.0.1"), "127.0.0.1"
        )
    many = [pupil.post("/report", host=f"page{n}.example", what="block", more="") for n in range(12)]
    turned = next(one for one in many if one.status_code == 429)
    assert "oedolyn" in turned.text or "athro" in turned.text
    assert "somebody" not in turned.text


def _ask(host):
    from schoolgate_exceptions.kinds import Kind, Purpose
    from schoolgate_exceptions.model import Ask

    return Ask(Kind.BLOCK, Purpose.OTHER, "", host=host)


def test_a_locked_site_in_welsh(live):
    """That a site can never be opened is said in the language of the page."""
    request = live.school.ask("locked.example", "127.0.0.1")
    pupil = live.browser()
    assert "This page can never be open at school." in pupil.get(f"/requests/{request.reference}").text
    assert "fyth fod ar agor" in pupil.get(f"/requests/{request.reference}", lang="cy").text


def test_signing_in_in_welsh(live):
    """A wrong password, too many of them, and a page for another role are told in Welsh."""
    live.account("teacher@school.example", Role.TEACHER)
    browser = live.browser()
    browser.get("/help", lang="cy")
    wrong = browser.post("/sign-in", email="teacher@school.example", password="nonsense")
    assert (
        "enw neu&#39;r cyfrinair yn anghywir" in wrong.text or "enw neu'r cyfrinair yn anghywir" in wrong.text
    )
    browser.post("/sign-in", email="teacher@school.example", password=PASSWORD)
    refused = browser.get("/queue")
    assert refused.status_code == 403
    assert "Mae angen y rôl hon: swyddog e-ddiogelwch" in refused.text
    short = browser.post("/account", old=PASSWORD, password="short")
    assert "nod neu fwy" in short.text


def test_a_decision_somebody_else_made(live):
    """Who takes back what was decided is told so in easy words, in both languages."""
    officer = live.school.person("officer@school.example", Role.OFFICER)
    request = live.school.ask("blocked.example", "127.0.0.1")
    live.school.service.reviewing.refuse(officer, request.id, "Not now")
    pupil = live.browser()
    late = pupil.post(f"/requests/{request.reference}", page="/report", withdraw="1")
    assert late.status_code == 409
    assert "It is too late for that: your request is refused now." in late.text
    pupil.get("/help", lang="cy")
    late = pupil.post(f"/requests/{request.reference}", page="/report", withdraw="1")
    assert "hwyr i hynny" in late.text
    assert "refused" not in late.text
