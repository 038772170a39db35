# From a fresh clone: `make demo` or `make test`. `make help` lists the rest.

PYTHON = python3
DEMO = runs/demo
SEED = 0
SPRITES =
ABSENT = X86_V3 X86_V4 AVX512_ICL AVX512_SPR

VENV = .venv
RUN = $(VENV)/bin/python
PIP = $(RUN) -m pip --disable-pip-version-check
INSTALLED = $(VENV)/.installed
TEST_INSTALLED = $(VENV)/.installed-test
INSTALLING = $(VENV)/.installing

ifneq ($(words $(DEMO)),1)
$(error DEMO="$(DEMO)" must be one path without spaces, as in DEMO=runs/demo)
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-locked demo-parameters test test-integration test-portable
.PHONY: lint clean-demo

help:
	@echo "make demo        build a small corpus, train, evaluate, write the report"
	@echo "                 DEMO=$(DEMO) folder, SEED=$(SEED), SPRITES= folder of pictures"
	@echo "make test        run the test suite, but for what takes long"
	@echo "make test-integration  its tests of whole runs"
	@echo "make test-portable  its numeric tests again, as on an older processor"
	@echo "make setup       only the Python environment, in $(VENV)"
	@echo "make lint        check style with ruff"
	@echo "make clean-demo  remove $(DEMO)"

# --- environment -------------------------------------------------------------------
# A cut installation leaves INSTALLING behind, and the next one starts from nothing.
# Python compiles what is imported; --no-compile spares the many files that never are.

setup: $(INSTALLED)
	@echo "environment ready: $(VENV)/bin/python"

$(INSTALLED): requirements.lock setup.py
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: '$(PYTHON)' is not Python 3.11 or newer;" \
	    "name one: make PYTHON=/path/to/python3.11" >&2; exit 78; }
	@test ! -e $(INSTALLING) && $(PIP) --version >/dev/null 2>&1 \
	  || "$(PYTHON)" -m venv --clear $(VENV) || { \
	  echo "error: '$(PYTHON) -m venv' failed;" \
	    "on Debian and Ubuntu: apt install python3-venv" >&2; exit 78; }
	@touch $(INSTALLING)
	$(PIP) install --no-deps --no-compile -r requirements.lock
	$(PIP) install --no-deps --quiet --editable .
	@rm $(INSTALLING) && touch $@

$(TEST_INSTALLED): $(INSTALLED) requirements-test.lock
	$(PIP) install --no-deps -r requirements-test.lock
	@touch $@

# --- demo --------------------------------------------------------------------------
# Every tool appears to have done all or nothing and goes on where it was cut, so the
# targets are real files, and make must not delete them when it is interrupted.

RAW = $(DEMO)/raw/corpus.json
SHARDS = $(DEMO)/shards/build_summary.json
TOKENIZER = $(DEMO)/tokenizer.model
DEVCV = $(DEMO)/shards/devcv_done
TRAINED = $(DEMO)/instruct/done.json
EVALUATED = $(DEMO)/eval/.done
REPORT = $(DEMO)/report.html

.PRECIOUS: $(RAW) $(SHARDS) $(TOKENIZER) $(DEVCV) $(TRAINED) $(EVALUATED) $(REPORT)

# Through a variable: make -n must not run what names MAKE itself.
SUBMAKE = $(MAKE)

demo: $(INSTALLED)
	@$(RUN) -m babyvlm_jax.runtime.lock $(DEMO) $(SUBMAKE) --no-print-directory demo-locked

demo-locked: $(REPORT)
	@$(RUN) -m babyvlm_jax.report --workdir=$(DEMO) --show
	@echo "all done; make clean-demo removes $(DEMO)"

demo-parameters:
	@mkdir -p $(DEMO)
	@given='SEED=$(SEED) SPRITES=$(SPRITES)'; file=$(DEMO)/parameters; \
	  test -s $$file || { echo "$$given" > $$file.new && mv $$file.new $$file; }; \
	  test "$$given" = "$$(cat $$file)" || { \
	    echo "error: $(DEMO) was begun with $$(cat $$file), now $$given;" \
	      "give another folder, DEMO=..., or run make clean-demo" >&2; exit 78; }

$(RAW): | $(INSTALLED) demo-parameters
	$(RUN) -m data_prep.nursery --out=$(DEMO)/raw --size=demo --seed=$(SEED) \
	  $(if $(SPRITES),--sprites='$(SPRITES)')
	@touch -c $@

$(SHARDS): $(RAW)
	$(RUN) -m data_prep.build --config=configs/prep/nursery.py \
	  --config.raw=$(DEMO)/raw --config.out=$(DEMO)/shards
	@touch -c $@

$(TOKENIZER): $(SHARDS)
	$(RUN) -m babyvlm_jax.data.tokenizer --shards=$(DEMO)/shards --out=$@ \
	  --vocab-size=1024 --symbols='user:,assistant:,(a),(b),(c),(d)'
	@touch -c $@

$(DEVCV): $(SHARDS)
	$(RUN) -m data_prep.devcv build --raw=$(DEMO)/raw --out=$(DEMO)/shards \
	  --size=demo --prompts=ego4d --mirror --seed=$(SEED)
	@touch $@

$(TRAINED): $(TOKENIZER) $(DEVCV)
	$(RUN) -m babyvlm_jax.recipe --config=configs/nursery.py --workdir=$(DEMO) \
	  --config.seed=$(SEED)
	@touch -c $@

$(EVALUATED): $(TRAINED)
	$(RUN) -m babyvlm_jax.evaluate --config=configs/eval/devcv.py --workdir=$(DEMO) \
	  --config.checkpoint=$(DEMO)/instruct --config.shards=$(DEMO)/shards \
	  --config.tokenizer=$(DEMO)/tokenizer.model
	@touch $@

$(REPORT): $(EVALUATED)
	$(RUN) -m babyvlm_jax.report --workdir=$(DEMO) >/dev/null
	@touch -c $@

clean-demo:
	@test ! -e $(DEMO) || test -e $(DEMO)/parameters || { \
	  echo "error: $(DEMO) was not made by make demo; remove it yourself" >&2; \
	  exit 78; }
	rm -rf $(DEMO)

# --- checks ------------------------------------------------------------------------

# Two workers, whatever the number of cores: each compiles with all of them.
test: $(TEST_INSTALLED)
	$(RUN) -m pytest -q -n 2 --dist loadfile

# What takes seconds: whole runs, and chains of parts that `make test` tests alone.
test-integration: $(TEST_INSTALLED)
	$(RUN) -m pytest -q -n 2 --dist loadfile \
	  -m "integration and not slow and not torch and not multiprocess and not tpu_compile"

# The numeric tests as on a processor without AVX-512: numpy, OpenBLAS and XLA have
# other kernels for it, whose sums differ in the last bits.
test-portable: $(TEST_INSTALLED)
	NPY_DISABLE_CPU_FEATURES="$(ABSENT)" OPENBLAS_CORETYPE=Haswell \
	  XLA_FLAGS=--xla_cpu_max_isa=AVX2 \
	  $(RUN) -m pytest -q -n 2 --dist loadfile \
	  -m "portable and not slow and not torch and not multiprocess and not tpu_compile"

lint: $(TEST_INSTALLED)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
