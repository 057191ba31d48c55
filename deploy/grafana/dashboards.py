"""Writes the dashboards into deploy/grafana/dashboards: `python deploy/grafana/dashboards.py`.

With `--check` nothing is written; exit code 1 says that a file is stale. Every title is a question that somebody at a
school asks.
"""

import json
import sys
from pathlib import Path

from board_circumvention import CIRCUMVENTION
from board_filtering import FILTERING
from board_health import HEALTH
from board_requests import REQUESTS

FOLDER = Path(__file__).parent / "dashboards"
BOARDS = {
    "circumvention.json": CIRCUMVENTION,
    "filtering.json": FILTERING,
    "requests.json": REQUESTS,
    "health.json": HEALTH,
}


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` say which of them are stale."""
    made = {FOLDER / name: json.dumps(board.to_json(), indent=2) + "\n" for name, board in BOARDS.items()}
    stale = [path for path, text in made.items() if not path.is_file() or path.read_text("utf-8") != text]
    if arguments == ["--check"]:
        sys.stderr.writelines(
            f"{path.name}: stale; run `python deploy/grafana/dashboards.py`\n" for path in stale
        )
        return int(bool(stale))
    for path in stale:
        path.write_text(made[path], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
