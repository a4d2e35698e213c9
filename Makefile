# `make demo` runs the whole job on particles it simulates itself; `make test` runs all checks.
# Both need python3 (3.10 or later) with venv, and make; everything else goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
# `make test TORCH=no` leaves the torch backend untested.
TORCH ?= $(shell sed -n '/^torch==/p' constraints.txt)

.PHONY: demo test check browser torch bench quality clean

demo: demo/particles/particles.star $(VENV)/installed
	$(BIN)/isac2 run $< demo/classes --radius=21 --CTF --img_per_grp=40 --minimum_grp_size=15 \
		--rand_seed=1
	$(BIN)/isac2 evaluate demo/classes demo/particles/truth.npz
	@echo
	@echo 'Class averages: demo/classes/class_averages.hdf, and class_averages.mrcs with its .star'
	@echo 'Particles:      demo/classes/particles.star'
	@echo 'Report:         demo/classes/report.html (open it in a browser)'

demo/particles/particles.star: | $(VENV)/installed
	$(BIN)/isac2 simulate demo/particles --preset tiny

test: check browser torch
	$(BIN)/python -m pytest

# What the browser tests need; they are skipped where it cannot be had.
browser:
	@sh scripts/install_chromium.sh

# What the tests of --device need, which run on the processor; they are skipped where it is missing.
torch: $(VENV)/installed-dev
	@sh scripts/install_torch.sh $(BIN)/python $(TORCH)

check: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo $(BIN)/mypy; $(BIN)/mypy; \
	else \
		echo 'mypy: skipped, the last numpy for Python 3.10 describes its types differently'; \
	fi

# Minutes, on a machine that has nothing else to do; `make bench BENCH=run` for a whole run.
bench: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/engine.py $(BENCH)

# Hours with RELION, which is left out where it is not installed; what is there is not made again.
# `make quality QUALITY="--data=FOLDER --seed 1"` passes options on.
quality: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks.quality measure $(QUALITY)
	$(BIN)/python -m benchmarks.quality ablate
	$(BIN)/python -m benchmarks.quality page $(filter --data=%,$(QUALITY))

# The stamps make an installation that is up to date cost nothing.
$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[dev,mpi]'
	@touch $@ $(VENV)/installed

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) demo build dist
