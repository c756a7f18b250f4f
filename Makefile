# Everything runs from a virtual environment that `make setup` builds in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
INCIDENT_OTHERS := race stuck_run persistent_failure rapid_pair incident_typical peak_hour_before peak_hour \
	peak_hour_one_key peak_hour_drain stuck_run_cancel_raises race_cancel_without_thread_id
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
# Half of the tests' time is waiting, for programs and sockets: more of them at once than there are cores.
TEST_JOBS ?= $(shell expr $(JOBS) \* 2)

# Hundreds of processes are started by the tests: each is faster where what is compiled once is kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup incident demo test soak lint gate pythons latest fingerprints clients browser site bench wheel release clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[sim,cluster,dev]'
	touch $(STAMP)

# The main job: replay the incident, print the verdicts, write reports/out/latest.
incident: $(STAMP)
	$(BIN)/relaysim verify --jobs $(JOBS)

# Chat in the browser with the relay as a program, on the simulated API; Ctrl-C ends it.
demo: $(STAMP)
	$(BIN)/relaysim demo

test: $(STAMP) lint
	$(BIN)/python -m pytest --numprocesses $(TEST_JOBS) --dist worksteal

# What takes minutes and proves more of what a cheaper test already guards; docs/testing.md lists it.
soak: $(STAMP)
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal -m soak
	$(BIN)/relaysim verify drain_faults --replications 1000 --jobs $(JOBS) --name soak-drain-faults
	$(BIN)/relaysim verify incident --jobs $(JOBS) --name soak-incident

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The claims as a gate: fails unless every verdict is the one that its scenario expects.
# The rates of `incident` are looked at until they are decided; what no claim is about (map and curve) is left out.
gate: $(STAMP)
	$(BIN)/relaysim verify incident --sequential --set map.drop=true --jobs $(JOBS) --name gate-incident
	$(BIN)/relaysim verify $(INCIDENT_OTHERS) --set curve.drop=true --jobs $(JOBS) --name gate
	$(BIN)/relaysim verify drain_faults drain_crash drain_failover drain_failover_wait drain_responses \
		drain_responses_switches drain_responses_unlocked --jobs $(JOBS) --name gate-drain

# The recorded fingerprints, and what rests on the interpreter, on every other Python 3.11 to 3.13 of this machine.
pythons:
	JOBS=$(JOBS) .ci/pythons

# The tests with the newest release of everything, in .venv-latest: what an upgrade would cost (docs/pins.md).
latest:
	JOBS=$(JOBS) .ci/latest

# Write the recorded fingerprints anew, after a change that is meant to move events.
fingerprints: $(STAMP)
	$(BIN)/python tests/sim/world/test_world_determinism.py

# One conversation with every official client over a socket: Python 1.x, 2.x, 3.x, and the npm package (needs npm).
# Two bots judged with each version of the Python libraries, which takes some minutes; azure-ai-agents; and a locked
# conversation of Responses, met by the SDKs and openai-agents.
clients: $(STAMP)
	$(BIN)/python tests/clients/run_clients.py
	$(BIN)/python tests/clients/judge_versions.py
	$(BIN)/python tests/clients/run_azure.py
	$(BIN)/python tests/clients/run_locked.py

# The documents as a site, in site/: links and anchors are checked, and nothing in it is fetched from elsewhere. Building it needs
# no network; installing what builds it does.
site: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python -m pytest tests/site

# Every page in a Chromium that is installed (Debian's package, for one), on narrow and wide screens, examined by axe; the site too.
browser: $(STAMP) site
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[browser]'
	$(BIN)/python -m pytest --numprocesses $(JOBS) tests/browser

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks

# Build the source distribution and the wheel, and use the wheel in empty environments, as its users will (minutes).
wheel: $(STAMP)
	$(BIN)/python -m pytest tests/release/test_wheel.py

# A release: everything that must hold, then dist/ with what is to be uploaded. CONTRIBUTING.md tells the steps.
release: $(STAMP)
	$(BIN)/python -m tests.release.check_release
	$(MAKE) test gate wheel
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf $(VENV) .venv-3.* .venv-latest .clients build dist site *.egg-info reports/out .pytest_cache .mypy_cache .ruff_cache .hypothesis
