"""deploy/compose.yaml: of the shape that the Compose specification gives, and what docs/network.md shows is accepted."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
_TEXT = {"type": "string"}
_WORDS = {"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True}
_SPAN = {"type": "string", "pattern": r"^(\d+h)?(\d+m)?(\d+s)?$"}
# The part of the Compose specification that a single service without networks of its own can use; all else is refused.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["services"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {
            "type": "object",
            "patternProperties": {"^[a-zA-Z0-9._-]+$": {"$ref": "#/$defs/service"}},
            "additionalProperties": False,
            "minProperties": 1,
        },
        "volumes": {
            "type": "object",
            "patternProperties": {"^[a-zA-Z0-9._-]+$": {"type": ["object", "null"]}},
            "additionalProperties": False,
        },
    },
    "$defs": {
        "service": {
            "type": "object",
            "additionalProperties": False,
            "anyOf": [{"required": ["image"]}, {"required": ["build"]}],
            "properties": {
                "image": _TEXT,
                "build": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"context": _TEXT, "dockerfile": _TEXT, "args": {"type": "object"}, "target": _TEXT},
                    "required": ["context"],
                },
                "command": {"anyOf": [_TEXT, _WORDS]},
                "init": {"type": "boolean"},
                "read_only": {"type": "boolean"},
                "cap_drop": _WORDS,
                "security_opt": _WORDS,
                "tmpfs": {"anyOf": [_TEXT, _WORDS]},
                "environment": {"type": "object", "additionalProperties": {"type": ["string", "number", "null"]}},
                "ports": {
                    "type": "array",
                    "uniqueItems": True,
                    "items": {"type": "string", "pattern": r"^([\d.]+:)?\d{1,5}:\d{1,5}(/(tcp|udp))?$"},
                },
                "volumes": {"type": "array", "uniqueItems": True, "items": {"type": "string", "pattern": "^[^:]+:/[^:]+(:ro)?$"}},
                "stop_grace_period": _SPAN,
                "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
                "healthcheck": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["test"],
                    "properties": {
                        "test": {"type": "array", "items": _TEXT, "contains": {"enum": ["CMD", "CMD-SHELL"]}},
                        "interval": _SPAN,
                        "timeout": _SPAN,
                        "start_period": _SPAN,
                        "retries": {"type": "integer", "minimum": 1},
                    },
                },
            },
        }
    },
}  # fmt: skip


def test_it_is_of_the_known_shape() -> None:
    """Every key and value is one of the specification's."""
    jsonschema.Draft202012Validator(SCHEMA).validate(yaml.safe_load(COMPOSE.read_text()))


@pytest.mark.parametrize(
    ("old", "new"), [("cap_drop", "capdrop"), ('127.0.0.1:8000:8000"', '8000->8000"'), ("20s", "soon")]
)
def test_a_slip_is_noticed(old: str, new: str) -> None:
    """The schema is worth something: a misspelt key, a port that is none and a span that is none are refused."""
    text = COMPOSE.read_text()
    assert old in text
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(yaml.safe_load(text.replace(old, new)))


def test_compose_itself_takes_it() -> None:
    """Where Docker Compose is installed it has nothing to say about the file."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    if subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False, timeout=60
    ).returncode:
        pytest.skip("this docker has no compose")
    done = subprocess.run(
        ["docker", "compose", "-f", COMPOSE, "config", "--format", "json"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["services"]


def test_what_is_shown_for_dhcp_is_accepted(tmp_path: Path) -> None:
    """dnsmasq has nothing to say about the example in docs/network.md."""
    dnsmasq = shutil.which("dnsmasq") or shutil.which("dnsmasq", path="/usr/sbin")
    if dnsmasq is None:
        pytest.skip("dnsmasq is not installed")
    (shown,) = re.findall(r"(?ms)^```\n(# /etc/dnsmasq.*?)^```$", (ROOT / "docs/network.md").read_text())
    file = tmp_path / "school.conf"
    file.write_text(shown)
    done = subprocess.run(
        [dnsmasq, "--test", "-C", file], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
