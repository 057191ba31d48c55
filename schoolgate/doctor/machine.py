"""The machine: versions with known holes, the clock, room on the disk, the rights of files."""

import os
import stat
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from schoolgate.backup_secrets import SECRETS
from schoolgate.doctor.finding import Finding, Subject, Weight
from schoolgate.doctor.holes import AS_OF, HOLES
from schoolgate.metrics_box import read_clock, unset_clock

_LEAST_FREE, _LEAST_SHARE = 1 << 30, 0.10
_OLD_DAYS = 180
_WORST_CLOCK = 5.0  # seconds: beyond that bells ring at another time than the school's


def versions(at: Subject) -> Iterator[Finding]:
    """Find packages with holes that are known, and a list of holes that is too old to know the newest."""
    do = "upgrade: run deploy/install.sh of the newest release"
    for package, fixed, hole in HOLES:
        try:
            found = version(package)
        except PackageNotFoundError:
            continue
        if _numbers(found) < fixed:
            wanted = ".".join(map(str, fixed))
            yield Finding("versions", Weight.ERROR, f"{package} {found} is below {wanted}: {hole}", do)
    age = (at.now.date() - AS_OF).days
    if age > _OLD_DAYS:
        what = f"this release knows of holes up to {AS_OF} only, {age} days ago"
        yield Finding("versions", Weight.WARNING, what, do)


def clock(_at: Subject) -> Iterator[Finding]:
    """Find a clock that nobody sets: schedules follow it."""
    found = read_clock()
    do = "set up NTP: apt-get install chrony; then chronyc tracking"
    if found is None:
        return
    state, error = found
    if unset_clock(state):
        yield Finding("clock", Weight.ERROR, "nothing sets this machine's clock, and schedules follow it", do)
    elif error > _WORST_CLOCK:
        yield Finding("clock", Weight.WARNING, f"the clock may be wrong by {error:.0f} s", do)


def disk(at: Subject) -> Iterator[Finding]:
    """Find a disk that is nearly full."""
    folder = at.settings.state
    if not folder.exists():
        what = f"{folder}: there is no state folder"
        yield Finding("disk", Weight.ERROR, what, "start Schoolgate once, or set `state` in schoolgate.toml")
        return
    room = os.statvfs(folder)
    free, share = room.f_bavail * room.f_frsize, room.f_bavail / max(1, room.f_blocks)
    if free < _LEAST_FREE or share < _LEAST_SHARE:
        what = f"{folder}: {free >> 20} MiB are free, {share:.0%}"
        do = "make room: schoolgate purge; journalctl --vacuum-size=500M; look into /var/backups/schoolgate"
        yield Finding("disk", Weight.WARNING, what, do)


def rights(at: Subject) -> Iterator[Finding]:
    """Find secrets that others can read, and files that the services cannot."""
    state = at.settings.state
    for name in SECRETS:
        yield from _private(state / name, 0o077)
    yield from _private(state / "ca", 0o077)
    for path in (at.settings.mail.password_file, at.settings.sso.secret_file):
        if path is not None:
            yield from _private(path, 0o007)
    for path in (at.policy_file, at.settings_file, state):
        if path is not None and path.exists() and path.stat().st_mode & stat.S_IWOTH:
            yield Finding("rights", Weight.ERROR, f"{path}: everybody can write it", f"chmod o-w {path}")
    yield from _strangers(state)


def _private(path: Path, bits: int) -> Iterator[Finding]:
    if path.exists() and path.stat().st_mode & bits:
        mode = stat.S_IMODE(path.stat().st_mode)
        what = f"{path}: others can open it (mode {mode:o})"
        yield Finding("rights", Weight.ERROR, what, f"chmod {mode & ~bits:o} {path}")


def _strangers(state: Path) -> Iterator[Finding]:
    """Find what a command that was run as somebody else left in the state folder."""
    if not state.exists():
        return
    owner = state.stat().st_uid
    for path in sorted(state.rglob("*")):
        if path.lstat().st_uid != owner:
            what = f"{path}: belongs to another user than the folder, so services may not be able to use it"
            yield Finding("rights", Weight.ERROR, what, f"chown -R --reference={state} {state}")
            return


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())
