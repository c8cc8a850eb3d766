# make run     install what the service needs, then serve on http://127.0.0.1:8000 (Ctrl-C stops everything); meanwhile install
#              what a worker needs, and start one (PKPO_WORKER=off skips it)
# make demo    as make run, and begin the demo: a model is taught, then trained for pass@1 and pass@8, in 15 minutes on two cores
# make worker  install what workers need, then take the jobs of the service that runs: one more worker, or one elsewhere
# make test    install what the tests need, then run them
# make check   lint, formatting, types
# make docs    build the documents and the reference of the library into site/
# make bench   measure what pkpo costs, as ratios taken in one run; NAMES="transforms ingest" chooses
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin/python

.PHONY: help run demo worker test test-verl test-thoroughly check docs bench format lock install-service install-test system-packages

help:
	@sed -n 's/^# //p' Makefile | head -n 8
	@echo "make format  format the code      make lock  resolve requirements/*.in anew"

install-service:
	@requirements/install.sh service

install-test: install-service
	@requirements/install.sh test
	@requirements/install.sh docs
	@requirements/install.sh workers || \
		echo "==> the checkers of answers are not installed (pycosat is built by a C compiler): their tests are skipped, and counted" >&2
	@requirements/install.sh vllm || echo "==> vLLM is not installed: the tests that need it are skipped, and counted" >&2
	@{ requirements/install.sh torch && requirements/install.sh trl; } || \
		echo "==> torch or TRL is not installed: the tests that need them are skipped, and counted" >&2

run: install-service
	@exec $(PY) -m pkpo serve --worker

demo: install-service
	@PKPO_DEMO=1 exec $(PY) -m pkpo serve --worker

# In another terminal than `make run`: takes the jobs of that service. What app/own_worker.py installs, in its order.
worker: install-service
	@for lock in vllm torch trl workers; do \
		requirements/install.sh $$lock || echo "==> $$lock.lock is not installed; this worker goes without it" >&2; \
	done
	@requirements/system.sh bubblewrap
	@exec $(PY) -m workers --queue gpu --queue cpu

# Chromium draws the pages for the browser tests, bubblewrap holds the code that is graded. Where they cannot be installed those
# tests are skipped, and counted.
system-packages:
	@requirements/system.sh chromium bubblewrap

# Three files at a time, for many tests wait; those with tests marked slow come first. ARGS come last: "-n 0" runs one at a time, in this process.
test: install-test system-packages
	@$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# The adapter for verl, which needs an environment of its own.
test-verl: install-service
	@requirements/install.sh verl
	@.venv-verl/bin/python -m pytest --config-file=/dev/null --rootdir=. --noconftest -p no:cacheprovider tests/verl $(ARGS)

# The library against brute force on thousands of examples.
test-thoroughly: install-test
	@PKPO_EXAMPLES=$${PKPO_EXAMPLES:-5000} $(PY) -m pytest --timeout=3600 tests/pkpo $(ARGS)

check: install-test
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@echo "check: lint, formatting and types are clean"

docs: install-service
	@requirements/install.sh docs
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet
	@echo "docs: site/index.html; to search it: $(PY) -m http.server --directory site --bind 127.0.0.1 8001"

bench: install-test
	@$(PY) -m benchmarks $(NAMES)

format: install-test
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

lock: install-service
	@requirements/lock.sh
