"""The policy reference and the JSON Schema that are committed: fresh, whole, and true of the shipped files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from policies import SHIPPED

from schoolgate_policy.reference import FRAME, REFERENCE, SCHEMA, main, render_reference
from schoolgate_policy.schema import json_schema
from schoolgate_policy.yaml_text import read_yaml

ROOT = SHIPPED.parent
POLICIES = [
    SHIPPED,
    *(p for p in (ROOT / "policy/examples").glob("*.yaml") if not p.name.endswith(".test.yaml")),
]


def test_what_is_committed_is_fresh() -> None:
    """Whoever changes the models or an example runs `python -m schoolgate_policy.reference`."""
    done = subprocess.run(
        [sys.executable, "-m", "schoolgate_policy.reference", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_staleness_is_noticed_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --check a stale file is exit code 1; without it the files are written."""
    monkeypatch.chdir(tmp_path)
    for folder in (FRAME.parent, SCHEMA.parent):
        (tmp_path / folder).mkdir(exist_ok=True)
    FRAME.write_text("# x\n\n{{keys ReviewSection}}\n")
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert "| `due` (needed) | date |" in REFERENCE.read_text()
    REFERENCE.write_text("edited by hand")
    assert main(["--check"]) == 1


def test_every_section_is_in_the_reference() -> None:
    """No model of the policy language is left out of the frame."""
    frame = (ROOT / FRAME).read_text(encoding="utf-8")
    sections = {name for name, model in json_schema()["$defs"].items() if "properties" in model}
    assert sections <= set(re.findall(r"\{\{keys (\w+)\}\}", frame))
    assert "{{" not in render_reference(frame, lambda _: "")


def test_every_key_is_described() -> None:
    """The schema that editors show has words for every key."""
    schema = json_schema()
    for name, model in {**schema["$defs"], "PolicyFile": schema}.items():
        for key, about in model.get("properties", {}).items():
            assert about.get("description"), f"{name}.{key}"


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_shipped_policies_fit_the_schema(path: Path) -> None:
    """An independent validator, as editors have one, finds nothing wrong with what ships."""
    document, _ = read_yaml(path.read_bytes(), path.name)
    assert document is not None
    found = Draft202012Validator(json_schema()).iter_errors(document.value)
    assert [f"{error.json_path}: {error.message}" for error in found] == []


def test_the_schema_refuses_what_the_reader_refuses() -> None:
    """A misspelt key is wrong for editors too."""
    document, _ = read_yaml(SHIPPED.read_bytes(), "policy.yaml")
    assert document is not None
    wrong = {**document.value, "rulez": []}
    assert not Draft202012Validator(json_schema()).is_valid(wrong)
