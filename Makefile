# Two commands on a fresh machine with Python 3.11 or newer: `make benchmark` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Every method with a pocket config takes part.
POCKET := $(sort $(wildcard configs/*/*_vit-pocket_pocket_*.py))

.PHONY: benchmark test lint picture clean

benchmark: $(STAMP)
	@for config in $(POCKET); do $(BIN)/python tools/test.py $$config --resume || exit 1; done
	@$(BIN)/python tools/leaderboard.py $(addprefix work_dirs/,$(basename $(notdir $(POCKET)))) --out work_dirs/leaderboard

test: $(STAMP)
	$(BIN)/python -m pytest -n auto

picture: $(STAMP)
	$(BIN)/python tools/analyze.py methods $(foreach m,clip maskclip sclip clearclip naclip,configs/$(m)/$(m)_vit-pocket_pocket_all.py) \
		--samples 1 2 3 --out docs/pocket.png

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(STAMP): constraints.txt setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: Python 3.11 or newer is needed; name it with: make PYTHON=python3.11 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (about 2 GB; minutes on the first run) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]' -c constraints.txt
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
