# Each target works as the only command after `git clone`, on a machine with Python 3.11 or newer and make.
# The environment is .venv; PYTHON=/path/to/python3.12 chooses the interpreter that makes it.

PYTHON ?= python3
DATA ?= ../shared/data
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo test test-engines test-all check bench gold clean
.DELETE_ON_ERROR:

help:
	@echo "make demo      raw files to a training step, on what is already on this machine"
	@echo "make test      every test that takes seconds; make test-all adds all engines, Slurm and faults"
	@echo "make test-engines   of those, the engine matrix and Slurm"
	@echo "make check     ruff, mypy --strict, import contracts"
	@echo "make bench     how fast it is, here, beside other tools (DATA=FOLDER of real documents)"
	@echo "make gold      record the output of every step anew (after raising its revision)"
	@echo "make clean     remove the environment and what tools left behind"

demo: .venv/installed-models
	$(BIN)/tokenmill demo

test: .venv/installed-dev
	$(BIN)/python -m pytest -m "not slow"

test-engines: .venv/installed-dev
	$(BIN)/python -m pytest -m slow tests/engines/test_matrix.py tests/jobs/test_slurm.py

test-all: .venv/installed-dev .venv-airflow/installed
	$(BIN)/python -m pytest

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

bench: .venv-bench/installed
	.venv-bench/bin/python benchmarks/dedup.py
	@if [ -d "$(DATA)" ]; then .venv-bench/bin/python benchmarks/filters.py --data "$(DATA)"; \
	.venv-bench/bin/python benchmarks/tokens.py --data "$(DATA)"; \
	PYTHONPATH=. .venv-bench/bin/python benchmarks/dedup_quality.py --data "$(DATA)"; \
	else echo "benchmarks/filters.py, tokens.py and dedup_quality.py need real documents, and $(DATA) is not there: make bench DATA=FOLDER"; fi

gold: .venv/installed-dev
	$(BIN)/python tests/test_golden.py

clean:
	rm -rf .venv .venv-bench .venv-airflow .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist demo
	find tokenmill tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: a second call installs nothing until what is wanted changes.

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " \
	+ sys.version.split()[0] + "; say PYTHON=/path/to/a/newer/one")'
	$(PYTHON) -m venv .venv

# torch first and by its exact version: so the build without CUDA is taken where pip knows of one, and
# nothing that needs torch brings in another.
.venv/installed-models: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) "$$(grep '^torch==' constraints.txt)"
	$(INSTALL) --editable '.[models]'
	@touch $@

.venv/installed-dev: .venv/installed-models
	$(INSTALL) --editable '.[models,dev,spark,dask,datatrove,s3]'
	@touch $@

# Apart from .venv: Airflow pins what we do not. Its tests are skipped where it cannot be installed.
.venv-airflow/installed: | .venv/bin/python
	-$(PYTHON) -m venv .venv-airflow && .venv-airflow/bin/python -m pip install --quiet --disable-pip-version-check \
	'apache-airflow>=3.2,<4' && touch $@

# Apart from .venv: datatrove brings another module called fasttext, which would take the place of ours.
.venv-bench/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	@touch $@
