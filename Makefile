# `make demo` runs the main job on the embedded model, `make test` the tests; both set up .venv first. `make web` opens
# the workbench in the browser and `make test-web` tests it; its slicer-core is another one, hence .venv-web.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

WEB_VENV := .venv-web
WEB_BIN := $(WEB_VENV)/bin

.PHONY: setup demo web test test-web lint clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e ".[test]"
	touch $@

demo: setup
	$(BIN)/python -m SAMedLib demo --output demo

$(WEB_VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(WEB_VENV)
	$(WEB_BIN)/python -m pip install --quiet uv
	$(WEB_BIN)/uv pip install --quiet --python $(WEB_BIN)/python -e ".[test-web]"
	touch $@

web: $(WEB_VENV)/.ready
	$(WEB_BIN)/python -m SAMedLib web --phantom

test-web: $(WEB_VENV)/.ready
	$(WEB_BIN)/python -m pytest Testing/Python/test_web.py Testing/Python/test_web_browser.py

test: setup
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf demo build dist *.egg-info
