"""The accessibility engine axe-core, for tests only: fetched once, by its hash, where npm is installed."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent / "axe"
_KEPT = Path(__file__).parents[2] / "build" / "axe"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@cache
def source() -> tuple[str, str]:
    """Return the engine's script, or an empty text and why there is none."""
    script = _KEPT / "node_modules" / "axe-core" / "axe.min.js"
    wanted = json.loads((_HERE / "package-lock.json").read_text())["packages"]["node_modules/axe-core"]
    known = script.with_name("package.json")
    if not script.exists() or json.loads(known.read_text())["version"] != wanted["version"]:
        if shutil.which("npm") is None:
            return "", "npm is not installed"
        _KEPT.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_HERE / name, _KEPT)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=_KEPT, capture_output=True, text=True, timeout=100, check=False)
        if done.returncode:
            return "", f"axe-core cannot be fetched: {done.stderr.strip()[-200:]}"
    return script.read_text("utf-8"), ""


def violations(page) -> list[str]:
    """Return what the engine finds in a page, one line each."""
    page.evaluate(source()[0])
    found = page.evaluate(
        "async tags => (await axe.run(document, {runOnly: {type: 'tag', values: tags}})).violations.map("
        "v => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' | ')}`)",
        TAGS,
    )
    return [str(one) for one in found]
