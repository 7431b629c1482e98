# Each target sets up what it needs (see tools/bootstrap.sh): Python 3.11 or newer and make are enough.

VENV ?= .venv
export VENV
BIN := $(VENV)/bin
OUT ?= runs/micro

.PHONY: help demo test test-all doctest lint format train-micro docs docs-serve docs-images clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: ## segment a real image with the bundled model; results in demo-output/
	@tools/bootstrap.sh demo
	$(BIN)/napari-samhq demo -o demo-output --overwrite $(ARGS)

test: ## run the tests, GUI tests included (ARGS="-k name" for some of them)
	@tools/bootstrap.sh test
	tools/with-display.sh $(BIN)/python -m pytest -m "not slow" $(ARGS)

test-all: ## run the slow tests too
	@tools/bootstrap.sh test
	tools/with-display.sh $(BIN)/python -m pytest $(ARGS)

doctest: ## run the examples in the docstrings
	@tools/bootstrap.sh test
	$(BIN)/python -m pytest --doctest-modules src/napari_samhq $(ARGS)

lint: ## check style, types and the direction of imports
	@tools/bootstrap.sh lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: ## bring the code into the house style
	@tools/bootstrap.sh lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

train-micro: ## train the bundled model: make train-micro DATA=folder (ARGS=--resume to go on)
	@test -n "$(DATA)" || { echo "Say where the images are: make train-micro DATA=folder" >&2; exit 2; }
	@tools/bootstrap.sh demo
	$(BIN)/python -m napari_samhq.training.micro --data "$(DATA)" --out "$(OUT)" $(ARGS)

docs: ## build the documentation's site into site/; a warning fails
	@tools/bootstrap.sh docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict $(ARGS)

docs-serve: ## show the site at http://127.0.0.1:8000, and build it anew on each change
	@tools/bootstrap.sh docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve $(ARGS)

docs-images: ## make the pictures in docs/images again, from the real window
	@tools/bootstrap.sh test
	tools/with-display.sh $(BIN)/python docs/make_screenshots.py $(ARGS)
	$(BIN)/napari-samhq evaluate src/napari_samhq/data/nuclei.png src/napari_samhq/data/nuclei_labels.png \
		-o build/evaluation --worst 6 --overwrite
	cp build/evaluation/worst.png docs/images/worst-objects.png

clean: ## remove what the targets made
	rm -rf $(VENV) demo-output build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
