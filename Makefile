# Everything the project needs is installed here, from the hashed files in requirements/.
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed

# Tests that may run beside others; the rest measure, or hold a host to its limits.
BESIDE_OTHERS := tests/unit tests/properties tests/docs tests/conformance \
	tests/contracts/test_store.py tests/contracts/test_objects.py tests/contracts/test_buckets.py \
	tests/e2e/test_endpoints.py tests/e2e/test_shadows.py tests/e2e/test_random_kills.py tests/e2e/test_metrics.py \
	tests/e2e/test_up.py tests/clients/test_aws_cli.py

# What a test run of a quarter of an hour has no time for; `make test-more` runs it.
LONGER := tests/contracts/test_compiling.py tests/e2e/test_compiled.py tests/e2e/test_existing_endpoints.py \
	tests/e2e/test_serverless.py tests/e2e/test_run_off.py

LONGER_ONE := tests/e2e/test_crashes.py::test_a_job_survives_twenty_kills_at_random_moments

.PHONY: setup demo demo-shadow test test-more test-clients clients check bench test-cgroup test-frameworks requirements clean

setup: $(STAMP)

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: setup
	$(BIN)/dyno demo

demo-shadow: setup
	$(BIN)/dyno demo --shadow

test: setup
	$(BIN)/python -m tests.clients.environments aws-cli
	$(BIN)/python -m pytest -n 2 --dist loadfile $(BESIDE_OTHERS)
	$(BIN)/python -m pytest tests/contracts tests/e2e $(LONGER:%=--ignore=%) $(BESIDE_OTHERS:%=--ignore=%) \
		--deselect $(LONGER_ONE)

test-more: setup
	$(BIN)/python -m pytest $(LONGER) $(LONGER_ONE)

clients: setup
	$(BIN)/python -m tests.clients.environments

test-clients: clients
	$(BIN)/python -m pytest tests/clients

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m benchmarks

test-cgroup: setup
	$(BIN)/python -m pytest tests/vm --run-vm

test-frameworks: setup
	$(BIN)/python -m pytest tests/frameworks --run-frameworks

requirements:
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 pyproject.toml --all-extras --group dev -o requirements/dev.txt
	cd tests/clients/requirements && for client in *.in; do ../../../$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 $$client -o $${client%.in}.txt || exit 1; done

clean:
	rm -rf .venv build dist
