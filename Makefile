# Everything a learner or a maintainer does, each one line over `workbook` or pytest. The first command that needs it
# makes .venv from requirements.lock; PYTHON names the interpreter (3.11 or later) that it is made with.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help run test soak lab bench clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile

run: .venv/.stamp  ## every notebook, in order, on the local AWS  [CSV=file ROWS=n|all TARGET=local|aws|http://… ONLY=02,03]
	$(BIN)/workbook run $(if $(CSV),--csv '$(CSV)') $(if $(ROWS),--rows '$(ROWS)') $(if $(TARGET),--target '$(TARGET)') $(if $(ONLY),--only '$(ONLY)')

test: .venv/.stamp  ## lint, format, types, units, notebooks: twenty minutes on two cores
	@$(BIN)/python -m pytest -n 2 --dist loadfile; code=$$?; [ $$code -eq 1 ] || exit $$code; \
	echo "Once more, alone: what failed while two files were tested at a time, on a machine that may do other things, too."; \
	$(BIN)/python -m pytest -v --last-failed

soak: .venv/.stamp  ## the same tests with their full counts
	WORKBOOK_SOAK=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lab: .venv/.stamp  ## JupyterLab on your own copies of the notebooks, in work/
	$(BIN)/workbook lab

bench: .venv/.stamp  ## measure, and write data/bench.json  [CSV=file]
	$(BIN)/workbook bench $(if $(CSV),--csv '$(CSV)')

clean:  ## remove what the commands above made, except work/, which is yours
	if [ -x $(BIN)/workbook ]; then $(BIN)/workbook stop; fi; rm -rf .venv .lab runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis; find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is missing or older than Python 3.11: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing the locked packages into .venv: two minutes, once."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@
