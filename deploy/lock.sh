#!/bin/sh
# Write requirements/*.txt anew from pyproject.toml, for every platform and Python that we support.
# No line names a package index: whoever installs uses their own.
set -eu
bin=$1
"$bin/uv" --version >/dev/null 2>&1 || "$bin/python" -m pip --disable-pip-version-check --quiet install uv

pin() { # output file, first line, further arguments
    output=$1 title=$2
    shift 2
    {
        echo "# $title, pinned with hashes. Made by \`make lock\`."
        "$bin/uv" pip compile --quiet --universal --python-version 3.12 --generate-hashes \
            --no-emit-index-url --no-emit-find-links --no-annotate --no-header "$@"
    } >"$output.new"
    mv "$output.new" "$output"
}

pin requirements/dev.txt 'Everything `make test` needs' --upgrade --group dev pyproject.toml
pin requirements/run.txt 'Runtime packages' --constraint requirements/dev.txt --extra sso --extra postgres pyproject.toml
printf 'hatchling\neditables\n' >requirements/build.in
pin requirements/build.txt 'What installs Schoolgate itself' --constraint requirements/dev.txt requirements/build.in
rm requirements/build.in
