# Two commands: `make lesson` runs the lesson, `make test` runs the tests. Both set up everything they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport PYTHONDONTWRITEBYTECODE # hundreds of processes import the same modules: compile them once

.PHONY: help lesson test docs readme notebooks lab bench fuzz nightly lowest mutants clean
help:
	@echo "make lesson     run the notebooks, write lesson8.xlsx, cross-check it, build the site"
	@echo "make test       run every check and test"
	@echo "make docs       build the site into _docs/ (with Quarto when it is installed, else with smalldocs)"
	@echo "make readme     write README.md from nbs/index.ipynb"
	@echo "make notebooks  run the notebooks and save their outputs (set DDL_LESSON8_DATA for the real data)"
	@echo "make lab        open the notebooks in JupyterLab"
	@echo "make bench      measure speed against other libraries, as ratios"
	@echo "make fuzz       break workbooks at random and watch, for as long as you like: make fuzz HOURS=8"
	@echo "make nightly    run what the tests leave out: the oracle, LibreOffice, the long searches, where they are installed"
	@echo "make lowest     run the tests with the lowest versions that settings.ini allows (TORCH=torch==2.13.0 TESTS=tests/test_serve.py: only those)"
	@echo "make mutants    change the library in a fixed list of places and see whether the tests notice (hours)"
	@echo "make clean      remove what the other commands made"

$(VENV)/.ready: settings.ini setup.py pyproject.toml constraints.txt tools/make_venv.py
	@$(PYTHON) tools/make_venv.py $(VENV)
	@touch $@

lesson: $(VENV)/.ready
	@python tools/lesson.py

test: $(VENV)/.ready
	@python tools/check.py

docs: $(VENV)/.ready
	@python tools/docs.py

readme: $(VENV)/.ready
	@python tools/readme.py

notebooks: $(VENV)/.ready
	@python tools/notebooks.py --save

lab: $(VENV)/.ready
	@jupyter lab nbs

bench: $(VENV)/.ready
	@for f in bench/*.py; do echo "== $$f"; python $$f || exit 1; done

HOURS ?= 1
fuzz: $(VENV)/.ready
	@python tests/fuzz/fuzz.py --hours $(HOURS) --start $$(date +%s)

nightly: $(VENV)/.ready
	@python tools/nightly.py

LOW := .lowest/bin
TORCH ?= torch
TESTS ?= tests
lowest:
	@$(PYTHON) -m venv .lowest && $(LOW)/pip install -q uv
	@$(LOW)/uv pip install -q -p $(LOW)/python --resolution lowest-direct -e '.[dev]' '$(TORCH)'
	@PATH=$(CURDIR)/$(LOW):$$PATH python -m pytest -q -n 2 $(TESTS)

mutants: $(VENV)/.ready
	@nice python tools/mutants.py

clean:
	rm -rf $(VENV) .lowest _docs _proc _lesson build *.egg-info lesson8.xlsx .pytest_cache .hypothesis
