#!/bin/sh
# Make the virtual environment $1 with the first Python that is new enough.
# Candidates are run, not looked up: a version manager may leave a `python3.12` that fails when it is started.
set -eu
target=$1
minimum=3.12
probe='import sys; sys.exit(sys.version_info < (3, 12))'

for candidate in ${PYTHON:-} python3.13 python3.12 python3; do
    "$candidate" -c "$probe" >/dev/null 2>&1 || continue
    if ! "$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        echo "$candidate cannot make a virtual environment: install its venv module (on Debian: apt-get install python$version-venv)" >&2
        exit 1
    fi
    "$candidate" -m venv "$target" && exit 0
    rm -rf "$target" # a half-made one would be taken for a whole one next time
    exit 1
done
echo "no Python $minimum or newer found (tried: ${PYTHON:+$PYTHON, }python3.13, python3.12, python3); install one (on Debian 13: apt-get install python3 python3-venv), or name one: make PYTHON=/path/to/python" >&2
exit 1
