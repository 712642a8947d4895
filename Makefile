# What a person does with Vitrine. Each target makes what it needs first. Works with GNU make 3.81 and later.

PORT ?= 8000
EMULATOR_PORT ?= 4566
STAGE ?=
STOCK ?=

# The first interpreter that will do; name another with PYTHON=/path/to/python3.
WANTED = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c '$(WANTED)' 2>/dev/null && { echo "$$name"; break; }; done)

VENV = .venv/.ready
EMULATOR = .venv-emulator/.ready
SCAN = .venv-scan/.ready
BENCH = .venv-bench/.ready
AWSCLI = .venv-awscli/.ready
NODE = .venv-node/.ready
HOOKS = .venv-hooks/.ready
BIN = .venv/bin
IN_NODE = .venv-node/bin/node
TEST_WEB = $(IN_NODE) --test --test-isolation=none --test-force-exit --test-reporter=dot tests/web/*.test.js
SOURCES = app.py chalicelib tools bench

# What Chalice deploys or packages after this is the bundle, or with STOCK=1 whatever Chalice makes by itself.
BUNDLE = $(BIN)/python -m tools.bundle --stage "$(STAGE)" $(if $(STOCK),--stock)

.PHONY: help run test test-unit test-integration test-e2e simulate fuzz lint scan format deploy package named clean
.PHONY: environments bench bench-images bench-laptop hashes hooks policies smoke test-browser screenshots
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' Makefile

run: $(VENV) $(EMULATOR) ## Run all of it here, on http://127.0.0.1:8000 (PORT=, EMULATOR_PORT= for others)
	@exec $(BIN)/python -m tools.laptop.run --port $(PORT) --emulator-port $(EMULATOR_PORT)

test: $(VENV) $(EMULATOR) $(AWSCLI) $(NODE) ## Run every test but those in a browser, with the coverage gate
	@$(TEST_WEB)
	@$(BIN)/python -m pytest tests/integration tests/unit -n auto --dist loadfile --no-loadscope-reorder --cov --cov-report= --cov-fail-under=0
	@$(BIN)/python -m pytest tests/simulation
	@$(BIN)/python -m pytest tests/e2e -n 3 --dist loadfile --no-loadscope-reorder --cov --cov-append --cov-report=term-missing:skip-covered

test-unit: $(VENV) $(NODE) ## Run the tests that do no I/O: seconds
	@$(TEST_WEB)
	@$(BIN)/python -m pytest tests/unit

test-integration: $(VENV) ## Run the tests on AWS in memory (moto)
	@$(BIN)/python -m pytest tests/integration

simulate: $(VENV) ## Run random histories full of faults, in virtual time (HISTORIES=300 SEED=0 WORKERS=1 TRACE=all)
	@$(BIN)/python -m tests.simulation --histories "$(or $(HISTORIES),300)" --workers "$(or $(WORKERS),1)" \
		--seed "$(or $(SEED),0)" --trace "$(or $(TRACE),last)"

test-e2e: $(VENV) $(EMULATOR) $(AWSCLI) $(NODE) ## Run the tests on the packaged app in the emulator
	@$(BIN)/python -m pytest tests/e2e -n 3 --dist loadfile --no-loadscope-reorder

bench: $(VENV) $(BENCH) ## Measure cold starts, overhead, scale and cost (TURNS=11, ONLY=cold,warm,scale,consumer,cost, PLAIN=1)
	@$(BIN)/python -m bench.run $(if $(TURNS),--turns "$(TURNS)") $(if $(ONLY),--only "$(ONLY)") $(if $(PLAIN),--plain)

test-browser: $(VENV) $(EMULATOR) ## Run the console in a real browser, which is installed if there is none
	@$(BIN)/python -m tools.chromium
	@$(BIN)/python -m pytest tests/browser -n 2 --dist loadfile

screenshots: $(VENV) $(EMULATOR) ## Make the pictures in docs/screenshots/ anew, by the same tests
	@$(BIN)/python -m tools.chromium
	@SCREENSHOTS=1 $(BIN)/python -m pytest tests/browser -k "photographs or theirs_and_yours or lines_that_are_bad or tried_from"

bench-images: $(VENV) ## Measure thumbnails beside sharp's, and the consumer (RUNS=31, ONLY=jpeg,consumer)
	@$(BIN)/python -m bench.images $(if $(RUNS),--runs "$(RUNS)") $(if $(ONLY),--only "$(ONLY)")

bench-laptop: $(VENV) $(EMULATOR) ## Drop many photographs at once into a `make run` of its own (NUMBERS=100)
	@$(BIN)/python -m bench.laptop $(NUMBERS)

fuzz: $(VENV) $(EMULATOR) ## Look for requests that the API answers otherwise than its document says (EXAMPLES=200 SEED=random)
	@FUZZ_EXAMPLES="$(or $(EXAMPLES),200)" FUZZ_SEED="$(or $(SEED),random)" $(BIN)/python -m pytest -s tests/e2e/test_contract.py

lint: $(VENV) $(NODE) ## Check style, format and types of Python and JavaScript
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict $(SOURCES)
	@$(IN_NODE) .venv-node/node_modules/eslint/bin/eslint.js --max-warnings 0 chalicelib/web tests/web eslint.config.js
	@$(IN_NODE) .venv-node/node_modules/typescript/bin/tsc --project jsconfig.json

scan: $(VENV) $(SCAN) ## Look for what is unsafe in the templates and the workflows (checkov, zizmor)
	@$(BIN)/python -m tools.security_scan

format: $(VENV) ## Format the code and put imports in order
	@$(BIN)/ruff check --fix --select I .
	@$(BIN)/ruff format .

policies: $(VENV) ## Write the policies of all stages anew, from infra/policies.json: asks AWS nothing
	@$(BIN)/python -m tools.stage.policies

hashes: $(VENV) ## Write requirements-hashes.txt anew, after a change of requirements.txt: asks PyPI
	@$(BIN)/python -m tools.wheel_hashes

hooks: $(HOOKS) ## Have git run lint before each commit, and the unit tests before each push
	@.venv-hooks/bin/pre-commit install

deploy: named $(VENV) ## Put a stage into your AWS account, its resources first: make deploy STAGE=dev
	@$(BIN)/python -m tools.stage.provision --stage "$(STAGE)"
	@$(BUNDLE)
	@$(BIN)/chalice deploy --stage "$(STAGE)"
	@$(BIN)/python -m tools.stage.provision --stage "$(STAGE)" # Now it is known where the sign-in page leads back to.

# Chalice asks for a region when it packages, and writes none: the artifact fits any.
package: named $(VENV) ## Write out/ (template and zip) for a CloudFormation pipeline: make package STAGE=prod
	@$(BIN)/python -c 'from tools.stage import provision; print(provision.describe_access("$(STAGE)"))'
	@$(BUNDLE)
	@AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} $(BIN)/chalice package --stage "$(STAGE)" \
		--merge-template infra/package.json out
	@echo "Wrote out/sam.json and out/deployment.zip: deploy them as the stack vitrine-$(STAGE) (docs/deploying.md)."

# URL, TOKEN and FIELDS reach it as they are, by the environment: make hands on what stands on its command line.
smoke: $(VENV) ## Run the smoke test against a deployed stage: make smoke URL=https://… TOKEN=… FIELDS=…
	@$(BIN)/python -m tools.smoke

named:
	@test -n "$(STAGE)" || { echo "Say which stage: make $(MAKECMDGOALS) STAGE=dev" >&2; exit 1; }

environments: $(VENV) $(EMULATOR) $(SCAN) $(AWSCLI) $(NODE) ## Make all that lint, scan and test need, side by side with -j 4

clean: ## Remove everything that was made here, the local stage's data included
	@rm -rf .venv .venv-emulator .venv-scan .venv-bench .venv-awscli .venv-node .venv-hooks .local out .chalice/deployments
	@rm -rf bench/node_modules bench/node/node_modules
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# A venv is made anew when its requirements change: nothing of an older set stays behind in it. Bytecode is left to the
# first import, since most of what is installed is never imported: that is a quarter of the time.
define make_venv
	@test -n "$(PYTHON)" || { echo "Vitrine needs Python 3.11 to 3.14: install one, or name it with make PYTHON=/path/to/python3." >&2; exit 1; }
	@"$(PYTHON)" -c '$(WANTED)' 2>/dev/null || { echo "$(PYTHON) is no Python 3.11 to 3.14: name one with make PYTHON=/path/to/python3." >&2; exit 1; }
	@echo "Setting up $(@D) ($$("$(PYTHON)" --version)): a minute or two, once"
	@rm -rf $(@D)
	@"$(PYTHON)" -m venv $(@D) >/dev/null 2>&1 || { rm -rf $(@D); \
		echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@{ $(@D)/bin/python -m pip install --disable-pip-version-check --progress-bar off --no-compile -r $(1) 2>&1; echo $$? >$(@D)/.status; } \
		| while IFS= read -r line; do echo "$$line" >>$(@D)/.log; printf .; done; echo
	@test "$$(cat $(@D)/.status)" = 0 || { grep -i error $(@D)/.log; \
		echo "$(1) could not be installed: $(@D)/.log has all that pip said." >&2; exit 1; }
	@touch $@
endef

$(VENV): requirements.txt requirements-dev.txt
	$(call make_venv,requirements-dev.txt)

$(EMULATOR): requirements-emulator.txt
	$(call make_venv,requirements-emulator.txt)

$(SCAN): requirements-scan.txt
	$(call make_venv,requirements-scan.txt)

$(BENCH): requirements-bench.txt
	$(call make_venv,requirements-bench.txt)
	@$(@D)/bin/python -m compileall -q $(@D)/lib # As in Lambda: what is measured must not compile the runtime client.

$(HOOKS): requirements-hooks.txt
	$(call make_venv,requirements-hooks.txt)

# Node and npm are installed by pip, so that no machine needs them.
$(NODE): requirements-node.txt package-lock.json
	$(call make_venv,requirements-node.txt)
	@cp package.json package-lock.json $(@D)
	@cd $(@D) && PATH="$$PWD/bin:$$PATH" npm ci --silent --no-audit --no-fund --ignore-scripts || { rm .ready; \
		echo "Installing the packages of package-lock.json failed." >&2; exit 1; }

$(AWSCLI): requirements-awscli.txt
	$(call make_venv,requirements-awscli.txt)
