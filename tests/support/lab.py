"""`make lab`: the school of the end-to-end tests, to be tried by hand. Needs root; Ctrl-C removes all of it."""

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from netns_school import Box, NoNamespacesError, School, make_school, trust

FOLDER = Path("/var/tmp/schoolgate-lab")
SITES = "45.60.9.9"


class TakenError(Exception):
    """A lab is running already."""


def main() -> int:
    """Make the school, say how to use it, and wait."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script that says `make lab &` has it ignored
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    if os.geteuid() != 0:
        typer.echo("lab: network namespaces need root: sudo make lab", err=True)
        return 2
    try:
        with _folder() as folder, make_school(folder, "lab") as school:
            _run(school)
    except (NoNamespacesError, TakenError) as error:
        typer.echo(f"lab: {error}", err=True)
        return 2
    except KeyboardInterrupt:
        typer.echo("\nThe school is gone.")
    return 0


@contextmanager
def _folder() -> Iterator[Path]:
    """Make the folder of the lab anew; raises TakenError where another one runs."""
    with Path("/run/schoolgate-lab.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TakenError("a lab is running already; there can be one") from error
        if FOLDER.is_symlink():
            FOLDER.unlink()
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(mode=0o755)
        try:
            yield FOLDER
        finally:
            shutil.rmtree(FOLDER, ignore_errors=True)


def _run(school: School) -> None:
    box = school.build_box()
    try:
        typer.echo("Building a school; this takes some seconds.")
        box.start()
        box.watch()
        for host in (school.pupil, school.staff):
            trust(host, school.internet.roots, box.state / "ca.pem")
        trust(school.guest, school.internet.roots)  # nobody may tell a visitor's device what to trust
        typer.echo(_how_to(school, box))
        signal.pause()
    finally:
        box.stop()


def _how_to(school: School, box: Box) -> str:
    p, s, g, e = (
        f"ip netns exec {host.name}" for host in (school.pupil, school.staff, school.guest, school.edge)
    )
    command = Path(os.path.normpath(sys.executable)).with_name("schoolgate")
    return f"""
A school is running in five network namespaces. Edit its policy and see: {box.policy}

A pupil's machine ({school.pupil.four}, {school.pupil.six}), whose connections are opened:
  {p} curl https://news.example/                     # the real site
  {p} curl https://www.instagram.com/                # the block page
  {p} dig @8.8.8.8 www.instagram.com                 # another resolver: ours answers
  {p} curl --resolve facebook.com:443:{SITES} https://facebook.com/
  {p} nc -zv {SITES} 22                              # SSH, VPNs and the rest: refused
  {p} bash                                           # or anything else
A member of staff, whose Teams calls pass:
  {s} curl https://news.example/
  {s} bash -c 'echo media > /dev/udp/52.112.3.4/3479'
A guest, whose connections are not opened:
  {g} curl https://news.example/
  {g} curl https://www.instagram.com/
The box:
  {e} {command} firewall evidence --settings {box.settings}
  {e} {command} firewall --diff {" ".join(box.options)}
  {e} {command} doctor {" ".join(box.options)}
  {e} curl -s http://127.0.0.1:9154/metrics
What reached the internet, and what the box says:
  tail -f {school.internet.folder / "log"}
  tail -f {box.log}

Ctrl-C ends it and removes everything."""


if __name__ == "__main__":
    sys.exit(main())
