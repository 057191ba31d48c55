"""`schoolgate run`: DNS, proxy and portal in one foreground command."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from schoolgate.commands.options import (
    DEFAULT_POLICY,
    PolicyFile,
    SettingsFile,
    StateFolder,
    read_settings,
    refuse,
)

if TYPE_CHECKING:
    from schoolgate.settings import Settings

_PARTS = ("dns", "proxy", "portal")
_TRY_AT = "2026-11-23T10:15"  # a lesson in the shipped policy's term


def run(
    policy: PolicyFile = DEFAULT_POLICY, state: StateFolder = None, settings: SettingsFile = None
) -> None:
    """Run DNS, proxy, portal and metrics together, until Ctrl-C."""
    import asyncio

    from schoolgate import logs
    from schoolgate.box.enrolled import is_enrolled
    from schoolgate.preflight import unavailable
    from schoolgate.supervise import Part, Supervisor

    read = read_settings(settings, state)
    _check_policy(policy, read)
    if taken := unavailable(read):
        refuse(taken)
    writer = logs.configure(read.log.level, "run")
    options = ["--policy", str(policy), "--state", str(read.state)]
    options += ["--settings", str(settings)] if settings else []
    commands: dict[str, tuple[str, ...]] = {name: (name,) for name in _PARTS}
    if is_enrolled(read.state):  # the portal is the centre's
        commands = {"dns": ("dns",), "proxy": ("proxy",), "box": ("box", "serve")}
    if read.rpz.secondaries:
        commands["rpz"] = ("rpz", "serve")
    parts = tuple(
        Part(name, (sys.executable, "-m", "schoolgate", *words, *options)) for name, words in commands.items()
    )
    code = asyncio.run(
        Supervisor(parts, os.environ).run(lambda listening: _announce(listening, policy, read))
    )
    writer.close()
    raise typer.Exit(code)


def _check_policy(policy: Path, settings: "Settings") -> None:
    """Refuse a broken policy once, here, rather than once in each part; a last good copy is used instead of it."""
    from schoolgate_policy.errors import Severity
    from schoolgate_policy.load import check_policy

    if (settings.state / "last-good" / policy.name).is_file():
        return
    usable, issues = check_policy(policy, state=settings.state)
    if usable is None:
        refuse(issue for issue in issues if issue.severity is Severity.ERROR)


def _announce(listening: dict[str, str], policy: Path, settings: "Settings") -> None:
    """Say where everything listens, and three commands that show it at work."""
    host, _, port = listening["dns"].rpartition(":")
    command = "schoolgate" if shutil.which("schoolgate") else os.path.relpath(sys.argv[0])
    chosen = "" if policy == DEFAULT_POLICY else f" --policy {policy}"
    order = sorted(listening, key=lambda name: name.startswith("metrics"))
    rows = "\n".join(f"  {name:15} {listening[name]}" for name in order)
    typer.echo(
        f"Schoolgate is running.\n{rows}\n\n"
        "On this machine 127.0.20.5 is a pupil, 127.0.10.5 a member of staff, 127.0.30.5 a guest. Try:\n\n"
        f"  dig -p {port} @{host.strip('[]')} -b 127.0.20.5 www.instagram.com\n"
        f"  curl --interface 127.0.20.5 -x http://{listening['proxy']} --cacert {settings.state / 'ca.pem'} "
        "https://www.facebook.com/\n"
        f"  {command} policy explain https://www.instagram.com/ --from 127.0.20.5 --at {_TRY_AT}{chosen}\n\n"
        "Ctrl-C stops it."
    )
