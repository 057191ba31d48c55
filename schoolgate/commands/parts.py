"""`schoolgate dns`, `proxy`, `portal`: one part alone, as systemd starts them."""

import os
import sys
from pathlib import Path
from typing import Literal

import typer

from schoolgate.commands.options import (
    DEFAULT_POLICY,
    PolicyFile,
    SettingsFile,
    StateFolder,
    read_settings,
    refuse,
)


def dns(
    policy: PolicyFile = DEFAULT_POLICY, state: StateFolder = None, settings: SettingsFile = None
) -> None:
    """Run the DNS sinkhole alone."""
    serve_part("dns", policy, state, settings)


def proxy(
    policy: PolicyFile = DEFAULT_POLICY, state: StateFolder = None, settings: SettingsFile = None
) -> None:
    """Run the web proxy alone."""
    serve_part("proxy", policy, state, settings)


def portal(
    policy: PolicyFile = DEFAULT_POLICY, state: StateFolder = None, settings: SettingsFile = None
) -> None:
    """Run the portal alone: the school's own pages, and the block page for plain HTTP."""
    serve_part("portal", policy, state, settings)


def serve_part(
    name: Literal["dns", "proxy", "portal", "rpz", "box"],
    policy: Path,
    state: Path | None,
    settings_file: Path | None,
) -> None:
    """Run one part until it is asked to stop."""
    import asyncio

    if sys.stderr is None or not sys.stderr.isatty():  # None: it is closed
        sys.modules.setdefault("rich", None)  # type: ignore[arg-type] # 4 MB, only to colour tracebacks

    from schoolgate import logs
    from schoolgate.app import PARTS
    from schoolgate.parent import end_with_parent
    from schoolgate.part import CannotStart, Ended, serve
    from schoolgate.workers import WORKER, run_workers
    from schoolgate_policy.errors import PolicyError

    end_with_parent()
    worker = os.environ.pop(WORKER, "")
    settings = read_settings(settings_file, state)
    writer = logs.configure(settings.log.level, name)
    if worker and name in {"dns", "proxy"}:
        settings = settings.of_worker(name, int(worker))
    elif name in {"dns", "proxy"} and getattr(settings, name).workers > 1:
        code = run_workers(name, settings, sys.argv[1:])
        writer.close()
        raise typer.Exit(code)
    try:
        asyncio.run(serve(PARTS[name], settings, policy, writer))
    except PolicyError as error:
        writer.close()
        refuse(error.issues)
    except CannotStart as error:
        writer.close()
        refuse([error])
    except Ended as error:
        writer.close()
        refuse([error], code=1)
    raise typer.Exit(0)
