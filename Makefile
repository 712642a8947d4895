# The commands of the project. Each target creates the environments that it needs. Works with GNU make 3.81 and later.

PORT ?= 8000
EMULATOR_PORT ?= 4566
STAGE ?=
STOCK ?=
FRONT ?= rest
FAST ?= off
YES ?=

# The first supported interpreter. Choose another with PYTHON=/path/to/python3.
WANTED = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c '$(WANTED)' 2>/dev/null && { echo "$$name"; break; }; done)

VENV = .venv/.ready
EMULATOR = .venv-emulator/.ready
SCAN = .venv-scan/.ready
AWSCLI = .venv-awscli/.ready
NODE = .venv-node/.ready
BIN = .venv/bin
IN_NODE = .venv-node/bin/node
TEST_WEB = $(IN_NODE) --test --test-isolation=none --test-force-exit --test-reporter=dot tests/web/*.test.js
SOURCES = app.py chalicelib tools
JAVASCRIPT = chalicelib/web tests/web eslint.config.js

PROVISION = $(BIN)/python -m tools.stage.provision --stage "$(STAGE)" $(if $(YES),--yes)
# After this, Chalice deploys or packages the bundle, or with STOCK=1 its own package.
BUNDLE = $(BIN)/python -m tools.bundle --stage "$(STAGE)" $(if $(STOCK),--stock)

.PHONY: help run test coverage test-unit test-integration test-e2e simulate fuzz lint scan format deploy package named clean
.PHONY: openapi clients environments hashes hooks policies smoke restore test-browser screenshots
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' Makefile

run: $(VENV) $(EMULATOR) ## Run everything on this machine, at http://127.0.0.1:8000 (other ports: PORT=, EMULATOR_PORT=)
	@exec $(BIN)/python -m tools.laptop.run --port $(PORT) --emulator-port $(EMULATOR_PORT)

test: $(VENV) $(EMULATOR) $(AWSCLI) $(NODE) ## Run all tests except the browser tests
	@$(TEST_WEB)
	@$(BIN)/python -m pytest tests/integration tests/unit -n auto --dist loadfile --no-loadscope-reorder
	@$(BIN)/python -m pytest tests/simulation -n auto --dist worksteal
	@$(BIN)/python -m pytest tests/e2e -n 3 --dist loadfile --no-loadscope-reorder

test-unit: $(VENV) $(NODE) ## Run the tests without I/O, in seconds
	@$(TEST_WEB)
	@$(BIN)/python -m pytest tests/unit -n auto --dist worksteal

test-integration: $(VENV) ## Run the tests with AWS in memory (moto)
	@$(BIN)/python -m pytest tests/integration -n auto --dist loadfile --no-loadscope-reorder

coverage: $(VENV) ## Check how much of the code the unit and integration tests cover
	@$(BIN)/python -m pytest tests/integration tests/unit -n auto --dist loadfile --no-loadscope-reorder --cov --cov-report=term-missing:skip-covered

simulate: $(VENV) ## Simulate random faults, in virtual time (HISTORIES=300 SEED=0 WORKERS=1 TRACE=all)
	@$(BIN)/python -m tests.simulation --histories "$(or $(HISTORIES),300)" --workers "$(or $(WORKERS),1)" \
		--seed "$(or $(SEED),0)" --trace "$(or $(TRACE),last)"

test-e2e: $(VENV) $(EMULATOR) $(AWSCLI) $(NODE) ## Run the tests with the packaged app in the emulator
	@$(BIN)/python -m pytest tests/e2e -n 3 --dist loadfile --no-loadscope-reorder

test-browser: $(VENV) $(EMULATOR) ## Test the console in Chromium, which is installed if there is none
	@$(BIN)/python -m tools.find_chromium
	@$(BIN)/python -m pytest tests/browser -n 2 --dist loadfile

screenshots: $(VENV) $(EMULATOR) ## Take the screenshots in docs/screenshots/ again, with the browser tests
	@$(BIN)/python -m tools.find_chromium
	@SCREENSHOTS=1 $(BIN)/python -m pytest tests/browser -k "photographs or both_versions or failed_lines or from_an_example or visit_with_javascript"

fuzz: $(VENV) $(EMULATOR) ## Send random requests, and report responses that the OpenAPI document does not describe (EXAMPLES=200 SEED=random)
	@FUZZ_EXAMPLES="$(or $(EXAMPLES),200)" FUZZ_SEED="$(or $(SEED),random)" $(BIN)/python -m pytest -s tests/e2e/test_contract.py

lint: $(VENV) $(NODE) ## Check style, format and types of Python and JavaScript
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict $(SOURCES)
	@$(IN_NODE) .venv-node/node_modules/eslint/bin/eslint.js --max-warnings 0 $(JAVASCRIPT)
	@$(IN_NODE) .venv-node/node_modules/typescript/bin/tsc --project jsconfig.json

scan: $(VENV) $(SCAN) ## Find insecure settings in the templates and workflows (checkov, zizmor)
	@$(BIN)/python -m tools.infrastructure_scan

format: $(VENV) ## Format the code and sort imports
	@$(BIN)/ruff check --fix --select I .
	@$(BIN)/ruff format .

openapi: $(VENV) ## Write chalicelib/openapi.json after a change of routes, models or errors
	@$(BIN)/python -m tools.openapi

clients: $(VENV) $(NODE) openapi ## Generate a Python and a TypeScript client of the API, in out/clients/
	@$(BIN)/python -m tools.clients

policies: $(VENV) ## Write the IAM policies of all stages from infra/policies.json, without calling AWS
	@$(BIN)/python -m tools.stage.policies

hashes: $(VENV) ## Write requirements-hashes.txt after a change of requirements.txt, with the hashes from PyPI
	@$(BIN)/python -m tools.wheel_hashes

hooks: ## Let git run lint before each commit, and the unit tests before each push
	@git config core.hooksPath .githooks

deploy: named $(VENV) openapi ## Deploy a stage to your AWS account: make deploy STAGE=dev (YES=1: do not ask)
	@$(PROVISION)
	@$(BUNDLE)
	@$(BIN)/chalice deploy --stage "$(STAGE)"
	@$(PROVISION) # The address to which the sign-in page returns is known now.

# Chalice needs a region to package, but does not write it into the artifact, which fits any region.
package: named $(VENV) openapi ## Write out/ (template and zip) for CloudFormation: make package STAGE=prod (FRONT=http: an HTTP API; FAST=snapstart, FAST=provisioned: faster starts)
	@case "$(FRONT)" in rest | http) ;; *) echo "FRONT is '$(FRONT)': it must be rest or http." >&2; exit 1;; esac
	@case "$(FAST)" in off | snapstart | provisioned) ;; *) echo "FAST is '$(FAST)': it must be off, snapstart or provisioned." >&2; exit 1;; esac
	@$(BIN)/python -c 'from tools.stage import provision; print(provision.describe_access("$(STAGE)"))'
	@$(BUNDLE)
	@AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} $(BIN)/chalice package --stage "$(STAGE)" \
		--merge-template infra/package.json out
	@test "$(FRONT)" = rest || $(BIN)/python -m tools.stage.http_api_conversion out/sam.json
	@test "$(FAST)" = off || $(BIN)/python -m tools.stage.fast_start "$(FAST)" out/sam.json
	@$(BIN)/python -m tools.stage.search_index_state > out/index-declaration # .ci/deploy compares it with that of the stage
	@echo "Wrote out/sam.json and out/deployment.zip: deploy them as the stack vitrine-$(STAGE) (docs/deploying.md)."

# URL, TOKEN and FIELDS are passed in the environment: make exports the variables of its command line.
smoke: $(VENV) ## Run the smoke test against a deployed stage: make smoke URL=https://… TOKEN=… FIELDS=…
	@$(BIN)/python -m tools.smoke

restore: $(VENV) ## Restore the items and pictures of an export: make restore URL=https://… TOKEN=… FILES="items.ndjson pictures.zip"
	@$(BIN)/python -m tools.restore_export "$(URL)" $(FILES)

named:
	@test -n "$(STAGE)" || { echo "The stage is missing: make $(MAKECMDGOALS) STAGE=dev" >&2; exit 1; }

environments: $(VENV) $(EMULATOR) $(SCAN) $(AWSCLI) $(NODE) ## Create the environments for lint, scan and test, in parallel with -j 4

clean: ## Delete everything that make created, including the data of the local stage
	@rm -rf .venv .venv-emulator .venv-scan .venv-awscli .venv-node .local out .chalice/deployments
	@rm -rf .venv-bench node_modules bench/node_modules bench/node/node_modules # left out by make new
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# A venv is created again when its requirements change, so nothing of an older set remains.
define make_venv
	@test -n "$(PYTHON)" || { echo "Vitrine needs Python 3.11 to 3.14: install one, or run make with PYTHON=/path/to/python3." >&2; exit 1; }
	@"$(PYTHON)" -c '$(WANTED)' 2>/dev/null || { echo "$(PYTHON) is not Python 3.11 to 3.14: run make with PYTHON=/path/to/python3." >&2; exit 1; }
	@"$(PYTHON)" -m tools.create_venv $(@D) $(1)
	@touch $@
endef

$(VENV): requirements.txt requirements-dev.txt
	$(call make_venv,requirements-dev.txt)

$(EMULATOR): requirements-emulator.txt
	$(call make_venv,requirements-emulator.txt)

$(SCAN): requirements-scan.txt
	$(call make_venv,requirements-scan.txt)

# pip installs Node and npm, so that they need not be on the machine.
$(NODE): requirements-node.txt package-lock.json
	$(call make_venv,requirements-node.txt)
	@cp package.json package-lock.json $(@D)
	@cd $(@D) && PATH="$$PWD/bin:$$PATH" npm ci --silent --no-audit --no-fund --ignore-scripts || { rm .ready; \
		echo "Installing the packages of package-lock.json failed." >&2; exit 1; }

$(AWSCLI): requirements-awscli.txt
	$(call make_venv,requirements-awscli.txt)

# left out by make new: begin
# What follows is about this project itself, and is no part of a project that is made from it.

BENCH = .venv-bench/.ready
SOURCES += bench
JAVASCRIPT += bench
.PHONY: new recipes test-project bench bench-images

new: $(VENV) ## Make a project of your own from this one: make new NAME=shop (DEST=../shop; DRY_RUN=1 only lists the files)
	@$(BIN)/python -m tools.template.new_project --name "$(NAME)" $(if $(DEST),--destination "$(DEST)") $(if $(DRY_RUN),--dry-run)

recipes: $(VENV) $(EMULATOR) $(AWSCLI) $(NODE) ## Apply each recipe of docs/adapting.md to a copy of the project, and run lint and test there (ONLY=fields,route TARGETS="lint test-unit")
	@$(BIN)/python -m tools.template.recipe_checks $(if $(ONLY),--only "$(ONLY)") $(if $(TARGETS),--targets "$(TARGETS)")

test-project: $(VENV) $(EMULATOR) $(NODE) ## Test this project's own pages, recipes and benchmarks, and make new
	@$(BIN)/python -m tools.find_chromium
	@$(BIN)/python -m pytest tests/project -n 2 --dist loadfile $(if $(LEAVE_OUT),--ignore "$(LEAVE_OUT)")

bench: $(VENV) $(BENCH) ## Measure cold starts, overhead, scale and cost (TURNS=11, ONLY=cold,ablation,overhead,urls,traces,scale,find,consumer,cost,visits)
	@$(BIN)/python -m bench.run $(if $(TURNS),--turns "$(TURNS)") $(if $(ONLY),--only "$(ONLY)")

bench-images: $(VENV) ## Measure the thumbnails, compared with sharp, and the consumer (RUNS=31, ONLY=jpeg,consumer)
	@$(BIN)/python -m bench.thumbnails $(if $(RUNS),--runs "$(RUNS)") $(if $(ONLY),--only "$(ONLY)")

$(BENCH): requirements-bench.txt
	$(call make_venv,requirements-bench.txt)
	@$(@D)/bin/python -m compileall -q $(@D)/lib # As in Lambda: what is measured must not compile the runtime client.
# left out by make new: end
