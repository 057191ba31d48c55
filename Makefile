# Everything here works on a fresh clone: the virtual environment is made on first use.
# A stamp in .venv remembers what was installed from, so that a second `make run` starts at once.

VENV    := .venv
BIN     := $(VENV)/bin
STAMPS  := $(VENV)/.stamps
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS    ?=
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help run demo test lint format bench bench-dns bench-proxy fuzz lab screenshots pictures panels lock packages clean

help:  ## show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(STAMPS)/run  ## start DNS, proxy and portal on this machine (ARGS="--policy other.yaml" adds options)
	@exec $(BIN)/schoolgate run $(ARGS)

demo: $(STAMPS)/run  ## play a school day on loopback and check that all parts agree
	@exec $(BIN)/schoolgate demo $(ARGS)

test: packages $(STAMPS)/dev  ## check everything: style, types, direction of imports, tests
	$(MAKE) --no-print-directory lint
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report= $(ARGS)
	@printf 'covered by tests: %s %% (%s says which lines are not)\n' \
	  "$$($(BIN)/coverage report --format=total)" "$(BIN)/coverage report"

lint: $(STAMPS)/dev  ## check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMPS)/dev  ## put the code into the one style
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: $(STAMPS)/dev  ## measure speed (never part of the tests)
	@for script in $(filter-out %/bench_dns.py %/dns_servers.py %/bench_proxy.py %/proxy_servers.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

bench-dns: $(STAMPS)/dev  ## measure the sinkhole against dnsmasq, unbound and dnsdist (installs them, as root)
	@deploy/bench-packages.sh
	@$(BIN)/python benchmarks/bench_dns.py $(ARGS)

bench-proxy: $(STAMPS)/dev  ## measure the proxy beside mitmdump, squid and e2guardian, which are installed if need be (as root)
	@if [ "$$(id -u)" = 0 ] && ! { command -v squid && command -v e2guardian && command -v nginx && command -v hey; } >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends squid-openssl e2guardian nginx-light hey curl openssl >/dev/null; fi
	@$(BIN)/python benchmarks/bench_proxy.py $(ARGS)

fuzz: $(STAMPS)/dev  ## feed the readers of DNS messages with noise, SECONDS_EACH=60 on each (never part of the tests)
	@$(PIP) install --require-hashes -r requirements/fuzz.txt
	@cd $${TMPDIR:-/tmp} && $(abspath $(BIN))/python $(CURDIR)/tests/fuzz/fuzz_dns.py

lab: packages $(STAMPS)/dev  ## a school in network namespaces to try by hand, as root: pupil, staff, guest, the box, an internet
	@cd tests/support && exec $(abspath $(BIN))/python lab.py

screenshots: $(STAMPS)/dev  ## take a picture of every page of the portal, in build/screenshots (ONLY=ask takes some)
	$(BIN)/python tests/support/screenshots.py build/screenshots $(ONLY)

panels: $(STAMPS)/dev  ## draw every panel of the dashboards from a live Prometheus, in build/panels
	SCHOOLGATE_PANELS=$(abspath build/panels) $(BIN)/pytest tests/deploy/test_prometheus_live.py -q -n 0 -k drawn

pictures: $(STAMPS)/dev  ## draw and take the pictures of docs/quick-start.md anew
	@cd tests/support && exec $(abspath $(BIN))/python pictures.py

lock: $(STAMPS)/dev  ## pin the newest allowed packages in requirements/, with hashes
	deploy/lock.sh $(BIN)

packages:  ## install the system packages that tests use (as root on Debian; else says what will be skipped)
	@deploy/test-packages.sh

clean:  ## remove the virtual environment and all caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov

$(BIN)/python:
	@deploy/make-venv.sh $(VENV)

$(STAMPS)/run: requirements/run.txt requirements/build.txt pyproject.toml | $(BIN)/python
	@echo "installing what Schoolgate needs (once)"
	@$(PIP) install --require-hashes -r requirements/run.txt -r requirements/build.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: requirements/dev.txt $(STAMPS)/run
	@echo "installing what the tests need (once)"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@mkdir -p $(STAMPS) && touch $@
