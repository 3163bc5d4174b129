# `make demo` runs the main job on the embedded model, `make test` the tests; both set up .venv first. `make web` opens
# the workbench in the browser and `make test-web` tests it; its slicer-core is another one, hence .venv-web.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

WEB_VENV := .venv-web
WEB_BIN := $(WEB_VENV)/bin

OLD_VENV := .venv-oldest
OLD_BIN := $(OLD_VENV)/bin

# tests start many processes, and each would compile PyTorch's modules anew where Python is told to keep no bytecode
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo web test test-web lint audit compat clean

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
	$(WEB_BIN)/python -m pytest -n 2 --dist loadfile Testing/Python/test_web*.py

test: setup
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive SAMedLib SAMedSlicer

# needs the internet, and what it finds changes with the calendar: so no part of the tests
audit: setup
	$(BIN)/uv pip install --quiet --python $(BIN)/python pip-audit
	$(BIN)/python -m pip_audit --skip-editable

# the oldest packages that pyproject.toml allows, with the tests that need neither 3D Slicer nor MONAI
compat: $(OLD_VENV)/.ready
	$(OLD_BIN)/python -m pytest -n auto --dist loadfile --ignore-glob='*test_slicer*' --ignore-glob='*test_web*' \
		--ignore=Testing/Python/test_other_networks.py

$(OLD_VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(OLD_VENV)
	$(OLD_BIN)/python -m pip install --quiet uv
	$(OLD_BIN)/uv pip install --quiet --python $(OLD_BIN)/python --resolution lowest-direct -e . "torch==2.2.*" \
		"numpy==1.26.*" "pytest>=8" "pytest-xdist>=3.5" "hypothesis>=6.100" "nibabel>=5.2" "pydicom>=3"
	touch $@

clean:
	rm -rf demo build dist *.egg-info
