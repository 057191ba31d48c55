"""Prints where Prometheus finds every part and worker: `python -m schoolgate.metrics_targets [schoolgate.toml]`.

The output is JSON, which is YAML as well: redirect it into `targets.yml` beside Prometheus' configuration, which is read
anew whenever it changes. A part whose port is chosen by the system is left out.
"""

import json
import sys
from pathlib import Path

from schoolgate.box.enrolled import is_enrolled
from schoolgate.settings import Settings
from schoolgate.settings_file import SettingsError, load_settings

type Target = dict[str, list[str] | dict[str, str]]


def targets(settings: Settings) -> list[Target]:
    """Return one entry for each process that serves metrics, in the form of `file_sd_configs`."""
    found = [
        ("dns", settings.of_worker("dns", number).metrics.dns) for number in _numbers(settings.dns.workers)
    ]
    found += [
        ("proxy", settings.of_worker("proxy", number).metrics.proxy)
        for number in _numbers(settings.proxy.workers)
    ]
    found.append(("portal", settings.metrics.portal))
    if is_enrolled(settings.state):
        found = [one for one in found if one[0] != "portal"]  # it is the centre's
        found.append(("box", settings.metrics.box))
    if settings.rpz.secondaries:
        found.append(("rpz", settings.metrics.rpz))
    if settings.interfaces:  # without them there is no firewall to read
        found.append(("firewall", settings.metrics.firewall))
    return [{"targets": [str(at)], "labels": {"part": part}} for part, at in found if at.port]


def _numbers(workers: int) -> range:
    return range(1, workers + 1)


def main(arguments: list[str]) -> int:
    """Print the targets of a settings file, of `schoolgate.toml` in the current folder, or of the defaults."""
    try:
        settings = load_settings(Path(arguments[0]) if arguments else None)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(json.dumps(targets(settings), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
