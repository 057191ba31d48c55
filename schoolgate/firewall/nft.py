"""Speaks to the kernel's firewall through `nft`: load, list, compare, remove."""

import difflib
import json
import shutil
import subprocess
from typing import Any

from schoolgate.firewall.ruleset import TABLE
from schoolgate_policy.errors import SchoolgateError

_SECONDS = 30.0
_REMOVE = f"table inet {TABLE}\ndelete table inet {TABLE}\n"


class FirewallError(SchoolgateError):
    """nft is missing, may not be used, or refused; one line."""


def load(ruleset: str) -> None:
    """Put a ruleset in force, in one transaction; raises FirewallError, and then nothing has changed."""
    _nft("-f", "-", stdin=ruleset)


def remove() -> None:
    """Take our table away; nothing of others is touched. Raises FirewallError."""
    _nft("-f", "-", stdin=_REMOVE)


def loaded() -> str | None:
    """Return our table as the kernel has it, without counts; None where there is none. Raises FirewallError."""
    tables = json.loads(_nft("-j", "list", "tables"))["nftables"]
    ours = {"family": "inet", "name": TABLE}
    if not any(ours.items() <= entry.get("table", {}).items() for entry in tables):
        return None
    return _nft("-s", "-t", "list", "table", "inet", TABLE)


def meant(ruleset: str) -> str:
    """Return a ruleset as the kernel would list it: it is loaded where no packet ever comes, and read back.

    Raises FirewallError.
    """
    nft = _found("nft")
    script = f"{nft} -f - && exec {nft} -s -t list table inet {TABLE}"
    return _run([_found("unshare"), "--net", "sh", "-c", script], ruleset)


def difference(ruleset: str) -> list[str]:
    """Return what sets the loaded table apart from a ruleset, as lines of a unified diff; none: they are the same.

    Raises FirewallError.
    """
    there, should = loaded() or "", meant(ruleset)
    return list(
        difflib.unified_diff(
            there.splitlines(), should.splitlines(), "loaded", "policy and settings", lineterm="", n=2
        )
    )


def entries() -> list[dict[str, Any]]:
    """Return our table as nft's JSON objects, with counts and the elements of sets. Raises FirewallError."""
    found: list[dict[str, Any]] = json.loads(_nft("-j", "list", "table", "inet", TABLE))["nftables"]
    return found


def _nft(*arguments: str, stdin: str = "") -> str:
    return _run([_found("nft"), *arguments], stdin)


def _found(tool: str) -> str:
    path = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")
    if path is None:
        package = {"nft": "nftables", "unshare": "util-linux"}[tool]
        raise FirewallError(f"{tool}: not installed; on Debian: apt-get install {package}")
    return path


def _run(command: list[str], stdin: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command, no shell
            command, input=stdin, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FirewallError(f"nft: no answer within {_SECONDS:.0f} s") from error
    if done.returncode:
        first = (done.stderr.strip().splitlines() or ["failed"])[0]
        raise FirewallError(f"nft: {first[:1].lower()}{first[1:]}{_hint(first)}")
    return done.stdout


def _hint(message: str) -> str:
    return " (run as root)" if "permitted" in message.lower() or "cache init" in message.lower() else ""
