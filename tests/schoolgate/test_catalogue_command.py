"""`schoolgate catalogue` and `schoolgate services`, as somebody types them."""

import hashlib
import json
from pathlib import Path

import pytest
from running import schoolgate

from schoolgate_policy.catalogue_file import load_catalogue, read_texts, shipped
from schoolgate_policy.catalogue_installed import installed_file, load_installed
from schoolgate_policy.catalogue_update import pack


@pytest.fixture
def update(tmp_path: Path) -> Path:
    """Write an update file that knows one site more than what ships."""
    texts = [
        (name, text.replace(f'version: "{load_catalogue().version}"', 'version: "2030-01-01"'))
        for name, text in read_texts(shipped())
    ]
    file = tmp_path / "update.yaml"
    names = b"instagram-press.com, instagram.com"
    data = pack(texts)
    assert data.count(names) == 1
    file.write_bytes(data.replace(names, names + b", instagram.example"))
    return file


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_an_update_is_in_use_once_it_is_proven(tmp_path: Path, update: Path) -> None:
    """The right hash installs, and what is installed is used by whoever reads the state folder."""
    state = tmp_path / "state"
    done = schoolgate(
        "catalogue",
        "update",
        str(update),
        "--sha256",
        digest(update),
        "--state",
        str(state),
        "--json",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["version"] == "2030-01-01"
    catalogue, issues = load_installed(state)
    assert not issues
    assert "instagram.example" in catalogue.services["instagram"].domains
    again = schoolgate(
        "catalogue", "update", str(update), "--sha256", digest(update), "--state", str(state), cwd=tmp_path
    )
    assert again.returncode == 1
    assert "2030-01-01" in again.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "say where the file comes from"),
        (("--sha256", "0" * 64), "update.yaml: "),
        (("--signature", "update.yaml"), "say where the file comes from"),
    ],
)
def test_an_update_without_proof_is_refused(
    tmp_path: Path, update: Path, options: tuple[str, ...], says: str
) -> None:
    """Nothing is installed without knowing where it comes from."""
    done = schoolgate(
        "catalogue", "update", str(update), *options, "--state", str(tmp_path / "state"), cwd=tmp_path
    )
    assert done.returncode in {1, 2}
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not installed_file(tmp_path / "state").exists()


def test_a_broken_installed_file_is_not_used(tmp_path: Path) -> None:
    """The data that ships takes over, and the reason is told."""
    file = installed_file(tmp_path)
    file.parent.mkdir()
    file.write_text("not: a catalogue\n")
    catalogue, issues = load_installed(tmp_path)
    assert catalogue.version == load_catalogue().version
    assert "the installed catalogue is not used" in str(issues[0])
    done = schoolgate("catalogue", "show", "--state", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 1
    assert "is not used" in done.stderr


@pytest.mark.parametrize(
    "text", ["instagram", "Instagram", "https://www.instagram.com/x", "cdninstagram.com"]
)
def test_services_are_found_by_what_people_type(tmp_path: Path, text: str) -> None:
    """An id, a title, an address or one of the less known names leads to the service."""
    done = schoolgate("services", text, "--json", cwd=tmp_path)
    assert [service["id"] for service in json.loads(done.stdout)] == ["instagram"]
