"""Promises about the tree itself, which no single test of behaviour would notice."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPONENTS = ("policy", "dns", "proxy", "exceptions")
PACKAGES = ("policy/schoolgate_policy", "dns/schoolgate_dns", "proxy/schoolgate_proxy",
            "exceptions/schoolgate_exceptions", "schoolgate")  # fmt: skip
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
DATA_LINES = 500


def tracked() -> list[Path]:
    """Return the files that git knows, or all of them outside a checkout."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = done.stdout.split("\n") if done.returncode == 0 else []
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("folder", [*COMPONENTS, *(f"tests/{name}" for name in COMPONENTS)])
def test_component_folders_are_no_packages(folder: str) -> None:
    """`dns/` must not become a package: it would shadow dnspython."""
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_says_what_it_is_for(path: Path) -> None:
    """A module opens with a sentence, and is short enough to be read."""
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= DATA_LINES


def test_nothing_is_left_to_do_in_a_comment() -> None:
    """What is not done stands in an issue, not in the code."""
    mark = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in tracked()
        if path.suffix in {".py", ".md", ".yaml", ".toml", ".sh"} and path != Path(__file__)
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if mark.search(line)
    ]
    assert not found


def test_pinned_packages_name_no_index() -> None:
    """Whoever installs uses their own package index."""
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert not re.search(r"index-url|find-links|https?://", text)


def test_components_are_named_in_the_architecture() -> None:
    """ARCHITECTURE.md speaks of every package and every process there is."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for package in PACKAGES:
        assert Path(package).name in text
    for part in ("dns", "proxy", "portal"):
        assert f"| {part} |" in text
