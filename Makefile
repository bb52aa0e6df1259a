# Everything a newcomer needs: `make run` for the main scenario, `make test` for all checks.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: install run test lint types kills fuzz clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else f"WattLoop needs Python 3.11 to 3.13, found {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	$(PY) -m simulators.inference.warmup
	touch $@

run: install
	$(PY) scenarios/solar_datacenter.py

lint: install
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: install
	$(PY) -m mypy

test: lint types
	$(PY) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

# 60 runs killed at random moments: what is left, and what --resume makes of it
kills: install
	$(PY) -m tests.scenarios.kills

# broken inputs at random, some minutes: make fuzz CASES=10000 SEED=7
CASES ?= 3000
SEED ?= 1
fuzz: install
	$(PY) -m tests.fuzz $(CASES) $(SEED)

clean:
	rm -rf $(VENV) results/* .pytest_cache .mypy_cache .ruff_cache build *.egg-info
