# `make lab` opens the course, `make test` tests it; both create .venv when it is not there yet.
PY = .venv/bin/python
ARGS =
FLOOR_TESTS = tests/notebooks/oldest.py tests/notebooks/test_widgets.py tests/core/test_explorer.py tests/latents/test_explorer.py tests/notebooks/test_colab.py
.PHONY: lab test test-oldest slides release notebooks links claims weights example bench ready constraints

lab: ready        # JupyterLab at the welcome notebook, with its token; more options: make lab ARGS="--no-browser"
	$(PY) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks/00_welcome.ipynb --LabApp.app_settings_dir=setup/lab \
	    $(if $(filter 0,$(shell id -u)),--allow-root) $(ARGS)

test: ready       # everything CI runs, a core for each worker; only a part of it: make test ARGS=tests/core
	$(PY) setup/browser.py
	OMP_NUM_THREADS=1 $(PY) -m pytest -n logical --maxprocesses 4 --dist loadfile $(ARGS)

test-oldest:      # the widget tests at the floors of all ranges, which is what Colab has
	bash setup/venv.sh .venv-oldest test floors
	.venv-oldest/bin/python -m pytest $(FLOOR_TESTS)

slides: ready     # slides/dist/: each deck as one HTML file, a PDF and a handout with the notes
	$(PY) setup/browser.py
	$(PY) slides/build.py

release: ready    # dist/: one archive for a room without a network; a part: make release ARGS="--notebooks 00_welcome --decks 0_overview"
	$(PY) setup/browser.py
	$(PY) -m setup.release $(ARGS)

notebooks: ready  # both notebooks of every source in notebooks/source/, and the lecturer's kit that follows from them
	$(PY) -m notebooks.build write
	$(PY) slides/kit.py

links: ready      # after a change of [tool.course] in pyproject.toml: every badge and clone line
	$(PY) -m notebooks.build links

claims: ready     # run every solution; record claims, minutes and memory in data/; quote them anew
	$(PY) -m notebooks.run claims
	$(PY) slides/kit.py
	$(PY) setup/pictures.py

weights: ready    # train every shipped model again from its card
	$(PY) setup/weights.py

example: ready    # Part IV in a minute: train a tiny compressor, then compress a picture; see outputs/example
	$(PY) -m course_lib.train experiment=compress_global fast=true tracker=none out=outputs/example
	$(PY) -m course_lib.infer checkpoint=outputs/example/compress_global image=data/pictures/slots_row.png out=outputs/example overwrite=true

bench: ready      # what is promised about speed and memory, as ratios measured in one run
	$(PY) setup/browser.py
	set -e; for script in bench/[a-z]*.py; do $(PY) $$script; done

ready:            # .venv with the package and all extras, at the versions of constraints.txt
	bash setup/venv.sh .venv lab,test,slides,track,clevr

constraints: ready  # newest versions that go together; names and versions only, CUDA libraries come with torch
	$(PY) -m uv pip compile pyproject.toml --all-extras --python-version 3.11 --upgrade --quiet \
	    --no-annotate --no-header --no-emit-index-url --output-file .venv/newest.txt
	grep -vE '^(nvidia-|cuda-|triton)' .venv/newest.txt > constraints.txt
