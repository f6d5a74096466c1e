# make demo: the whole study on phantoms. make test: all checks. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed
CORES ?= $(shell nproc 2>/dev/null || echo 2)
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
# Every job is a Python of its own: without compiled modules each would spend ten seconds more on its imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-kill stages lint lock clean system-deps

help:                ## say what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*##/ {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)      ## set up .venv and nothing else

# Without a GPU small trainings side by side, one thread each, are faster than one after the other; and a fixed number of
# threads gives the same table whatever the number of cores.
demo: $(READY)       ## run the study on synthetic mammograms (about 10 minutes on 2 cores) and print its table
	$(SNAKEMAKE) --configfile config/demo.yaml -q rules --resources gpu=$(CORES) --set-threads train_fold=1 predict_ensemble=1
	@cat results/demo/tables/summary.txt

test: $(READY) lint  ## pass all tests
	$(BIN)/python -m pytest -n $(CORES) --dist loadfile

test-kill: $(READY)  ## kill runs in every stage and see that they go on (half an hour)
	$(BIN)/python -m pytest -m kill

stages: $(READY)     ## list the code of stages that was edited: compare its results with the last listed code's
	PYTHONPATH=src:tests:tests/workflow $(BIN)/python tools/stages.py

lint: $(READY)       ## check style: ruff, snakefmt, snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint > /dev/null

lock: $(READY)       ## renew requirements.lock from pyproject.toml (needs uv)
	uv pip compile --quiet --upgrade --universal --fork-strategy fewest --no-emit-index-url --no-annotate --no-header \
	    --generate-hashes --python-version 3.11 --extra dev pyproject.toml -o requirements.lock

clean:               ## remove the environment and the demo's results; never a study's
	rm -rf .venv results/demo

system-deps:         ## install the Debian packages that only some tests use (needs root)
	apt-get update -q
	apt-get install -y -q --no-install-recommends dcmtk chromium

# Plain pip suffices; uv is used where it is there. The stamp is written last, so a broken-off set-up is begun again.
$(READY): requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mammoseg needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	if command -v uv > /dev/null; then uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; fi
	touch $@
