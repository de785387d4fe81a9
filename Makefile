# `make help` lists what there is. Every target sets up what it needs first; set-up is idempotent.
SHELL := /bin/bash
PYTHON ?= python3
MINUTES ?= 7
ROBOTS ?= 2
TASK ?= restock
AREA ?=
ENV := source env.sh &&
CORES := src/lwd_policy_node/lwd_policy_node src/lwd_recorder/lwd_recorder src/lwd_learner/lwd_learner \
         src/lwd_sim/lwd_sim src/lwd_bringup/lwd_bringup
CHECKED := src tools bench

.DEFAULT_GOAL := help
.PHONY: setup demo test test-long test-faults lint format bench soak clean help

setup:  ## make .venv, ROS 2 (wheels, unless Jazzy is sourced) and build the packages
	@$(PYTHON) tools/setup/environment.py

demo: setup  ## the whole loop on simulated G1s; MINUTES=7 ROBOTS=2 TASK=restock
	@$(ENV) exec ros2 run lwd_bringup demo --online-minutes $(MINUTES) --robots $(ROBOTS) --task $(TASK) $(ARGS)

test: setup  ## all tests but the long ones and the fault suite
	@$(ENV) OMP_NUM_THREADS=1 python -m pytest -m 'not long and not faults' $(CHECKED) $(ARGS)

test-long: setup  ## the tests that take minutes
	@$(ENV) python -m pytest -m long --timeout 3600 $(CHECKED) $(ARGS)

test-faults: setup  ## kill, fill, break and disconnect recorder and uploader; needs root (mounts); 5 minutes
	@$(ENV) OMP_NUM_THREADS=1 python -m pytest -m faults --timeout 900 src/lwd_recorder $(ARGS)

lint: setup  ## ruff (style, imports, docstrings) and mypy --strict on the cores
	@$(ENV) ruff check $(CHECKED) && ruff format --check $(CHECKED) && python tools/check/types.py

format: setup  ## let ruff rewrite what it can
	@$(ENV) ruff check --fix $(CHECKED); ruff format $(CHECKED)

bench: setup  ## measure: AREA=sim|robot|recorder|replay|learner|weights
	@$(ENV) python -m tools.bench $(AREA)

soak: setup  ## a fleet of light robots under faults, and a report; ROBOTS=16 MINUTES=60
	@$(ENV) exec ros2 run lwd_bringup soak --robots $(if $(filter file,$(origin ROBOTS)),16,$(ROBOTS)) \
	  --minutes $(if $(filter file,$(origin MINUTES)),60,$(MINUTES)) $(ARGS)

clean:  ## remove what set-up and checks made; runs/ (bags, replay, signing keys) stays
	rm -rf .venv build install log .mypy_cache .ruff_cache .pytest_cache .hypothesis

help:  ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
