# Two commands on a fresh machine with Python 3.11 or newer: `make benchmark` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Small runs share the machine better than they share its cores: one thread each, a few at a time.
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -gt 4 ] && n=4; echo $$n)

# Methods in the README's picture of the pocket scenes, and those in docs/methods.png, which docs/methods/index.md shows.
PICTURED := clip sclip clearclip naclip cliptrase cass
ALL_PICTURED := clip maskclip sclip clearclip naclip cliptrase gem clip_surgery resclip sc_clip rf_clip proxyclip cass \
	lposs lavg trident

# Tables of papers that take many configs, and the configs of each; of those, with SETS=pocket, the bundled benchmark's.
SETS ?=
LEAVES_versatility = configs/dslo/versatility/*.py $(foreach m,cass sc_clip rf_clip,configs/$(m)/$(m)_vit-*.py)
LEAVES_graphs = configs/dslo/graphs/*.py configs/dslo/dslo_vit-b16_*.py configs/dslo/dslo_vit-pocket_*.py
LEAVES_plugins = configs/lht_clip/*.py $(foreach m,sclip clearclip naclip cliptrase resclip,configs/$(m)/$(m)_vit-*.py)
TABLES := versatility graphs plugins
chosen = $(foreach path,$(sort $(wildcard $(LEAVES_$@))),$(if $(SETS),$(if $(findstring _$(SETS)_,$(path)),$(path)),$(path)))

.PHONY: benchmark benchmark-full test test-browser lint picture page-picture tables model-index unmoved clean $(TABLES)

# 50 of the 200 scenes, or all of them; every method. Cut off, they go on where they were.
benchmark: $(STAMP)
	@$(BIN)/tfovss benchmark-pocket --jobs $(JOBS)

benchmark-full: $(STAMP)
	@$(BIN)/tfovss benchmark-pocket --full --jobs $(JOBS)

# Where Python may not keep what it compiles, every process would compile everything anew.
test: $(STAMP)
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n auto --dist worksteal

# Pages in a real Chromium. Gradio needs an older Pillow than the one the official outputs were recorded with: with it,
# three of the tests of `make test` are skipped.
test-browser: $(STAMP)
	@grep -v '^pillow==' constraints.txt > $(VENV)/constraints-app.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,app,browser]' -c $(VENV)/constraints-app.txt
	$(BIN)/python -m pytest -m browser -rs

picture: $(STAMP)
	$(BIN)/python tools/analyze.py methods $(foreach m,$(PICTURED),configs/$(m)/$(m)_vit-pocket_pocket_all.py) \
		--samples 1 2 3 --out docs/pocket.png
	$(BIN)/python tools/analyze.py methods $(foreach m,$(ALL_PICTURED),configs/$(m)/$(m)_vit-pocket_pocket_all.py) \
		--samples 1 2 3 --out docs/methods.png
	$(BIN)/python tools/analyze.py discrepancy data/pocket/images/val/0003.png configs/dslo/dslo_vit-pocket_pocket_all.py \
		--max-classes 4 --out docs/dslo_pocket.png

# DSLO around other methods, DSLO over other graphs, LHT-CLIP in other methods; beside the printed numbers.
$(TABLES): $(STAMP)
	@OMP_NUM_THREADS=1 $(BIN)/python tools/slurm_array.py $(chosen) --local $(JOBS); ran=$$?; \
		$(BIN)/python tools/leaderboard.py $(addprefix work_dirs/,$(basename $(notdir $(chosen)))) --published --out work_dirs/$@ \
		&& exit $$ran

# After a change of numbers: make the tables of README.md and docs/ again, by the commands above them.
tables: benchmark-full
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.tables --jobs $(JOBS)

# After a change of configs or published numbers: make what MMSegmentation's tooling reads again.
model-index: $(STAMP)
	$(BIN)/python -m mmseg_tfovss.leaderboard.model_index

# After a change of shape: are labels and metrics still those of a commit? make unmoved SINCE=COMMIT
unmoved: $(STAMP)
	$(BIN)/python -m tests.unmoved $(SINCE) --pocket

# The picture in docs/leaderboard.md, of the page that `make benchmark` writes; needs a Chromium and pip install -e '.[browser]'.
PAGE ?= work_dirs/leaderboard_50-of-200/leaderboard.html
page-picture: $(STAMP)
	$(BIN)/python -m tests.leaderboard.picture $(PAGE) --out docs/leaderboard.png

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site of docs/, in docs/_build/html. A warning fails the build.
.PHONY: docs
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --nitpicky --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	@echo "The site: $(CURDIR)/docs/_build/html/index.html"

$(VENV)/.docs: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]' -c constraints.txt
	@touch $@

$(STAMP): constraints.txt setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: Python 3.11 or newer is needed; name it with: make PYTHON=python3.11 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (about 2 GB; minutes on the first run) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]' -c constraints.txt
	@touch $@

clean:
	rm -rf docs/_build $(VENV) .pytest_cache .mypy_cache .ruff_cache
