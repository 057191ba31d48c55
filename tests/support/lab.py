"""`make lab`: the school of the end-to-end tests, to be tried by hand. Needs root; Ctrl-C removes all of it."""

import signal
import sys
import tempfile
from pathlib import Path

import typer
from netns_school import Box, NoNamespacesError, School, make_school

SITES = "45.60.9.9"


def main() -> int:
    """Make the school, say how to use it, and wait."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with tempfile.TemporaryDirectory(prefix="schoolgate-lab-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            with make_school(folder) as school:
                _run(school)
        except NoNamespacesError as error:
            typer.echo(f"lab: {error}", err=True)
            return 2
        except KeyboardInterrupt:
            typer.echo("\nThe school is gone.")
    return 0


def _run(school: School) -> None:
    box = school.build_box()
    try:
        typer.echo("Building a school; this takes some seconds.")
        box.start()
        typer.echo(_how_to(school, box))
        signal.pause()
    finally:
        box.stop()


def _how_to(school: School, box: Box) -> str:
    p, s, g, e = (
        f"ip netns exec {host.name}" for host in (school.pupil, school.staff, school.guest, school.edge)
    )
    roots = box.folder / "device.pem"  # what a device of the school trusts
    roots.write_bytes((box.state / "ca.pem").read_bytes() + school.internet.roots.read_bytes())
    trusted = f"--cacert {roots}"
    options = f"--policy {box.policy} --settings {box.settings}"
    command = f"{sys.executable} -m schoolgate"
    return f"""
A school is running in five network namespaces. Edit its policy and see: {box.policy}

A pupil's machine ({school.pupil.four}, {school.pupil.six}), whose connections are opened:
  {p} curl {trusted} https://news.example/              # the real site
  {p} curl {trusted} https://www.instagram.com/         # the block page
  {p} dig @8.8.8.8 www.instagram.com                    # another resolver: ours answers
  {p} curl {trusted} --resolve facebook.com:443:{SITES} https://facebook.com/
  {p} nc -zv {SITES} 22                                 # SSH, VPNs and the rest: refused
  {p} bash                                              # or anything else
A member of staff, whose Teams calls pass:
  {s} curl {trusted} https://news.example/
  {s} bash -c 'echo media > /dev/udp/52.112.3.4/3479'
A guest, whose connections are not opened:
  {g} curl --cacert {school.internet.roots} https://news.example/
  {g} curl --cacert {school.internet.roots} https://www.instagram.com/
The box:
  {e} {command} firewall evidence --settings {box.settings}
  {e} {command} firewall --diff {options}
  {e} curl -s http://127.0.0.1:9154/metrics
What reached the internet, and what the box says:
  tail -f {school.internet.folder / "log"}
  tail -f {box.log}

Ctrl-C ends it and removes everything."""


if __name__ == "__main__":
    sys.exit(main())
