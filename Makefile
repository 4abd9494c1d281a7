# Two commands matter: `make run` (a server on http://localhost:8000) and `make test` (everything, real browsers too).
# Each target installs what it lacks, says so, and is quick the second time: stamps remember what has been done.

PYTHON ?= python3
PORT   ?= $(or $(MADOI_PORT),8000)
DATA   ?= $(or $(MADOI_DATA),data)
T      ?=

venv    := .venv
bin     := $(venv)/bin
node    := static/node_modules/.installed
client  := live/web/client/index.html
obs     := tests/obs/node_modules/.installed
sources := $(shell find static -name node_modules -prune -o -type f ! -name '*.tsbuildinfo' -print 2>/dev/null)
say      = @printf '\033[1m» %s\033[0m\n'

.PHONY: help run demo test faults check format build clean system client bench-fanout bench-media bench-lines bench-join bench-rooms bench-commands bench-resume audit sbom lock
.DEFAULT_GOAL := help

help: ## What can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

run: $(venv)/.runtime $(client) ## The server on http://localhost:8000, data under ./data
	$(say) "madoi serve (http://localhost:$(PORT), data in $(DATA), stop with Ctrl-C)"
	@exec $(bin)/madoi serve --port $(PORT) --data $(DATA)

demo: $(venv)/.runtime $(client) ## A session full of life to look at
	$(say) "madoi demo (http://localhost:$(PORT), stop with Ctrl-C)"
	@exec $(bin)/madoi demo --port $(PORT)

test: system $(venv)/.development $(client) $(obs) ## All tests, real browsers included (T=tests/web for a part)
	$(say) "vitest (the client's own tests)"
	@cd static && npm test --silent
	$(say) "pytest (browsers in one lane, server and media tests in the other)"
	@$(bin)/python -m pytest --numprocesses 2 --no-loadscope-reorder $(T)

check: $(venv)/.development $(node) ## Static checks: ruff, mypy, import contracts, TypeScript, Biome, fresh generated files
	$(say) "ruff"
	@$(bin)/ruff check . && $(bin)/ruff format --check .
	$(say) "mypy --strict"
	@$(bin)/mypy
	$(say) "import contracts"
	@$(bin)/lint-imports
	$(say) "generated files are fresh"
	@$(bin)/madoi protocol --check
	$(say) "TypeScript and Biome"
	@cd static && npm run --silent check

format: $(venv)/.development ## Let ruff put the Python code in order
	@$(bin)/ruff check --fix . ; $(bin)/ruff format .

build: $(venv)/.development $(client) ## dist/*.whl with the built client, dist/*.tar.gz that builds without Node
	$(say) "wheel and sdist into dist/"
	@$(bin)/python -m build

faults: system $(venv)/.development ## Kills, cuts and floods with real processes: nothing acknowledged is lost (part of make test)
	$(say) "faults (the last line says what was lost)"
	@$(bin)/python -m tests.faults

bench-fanout: $(venv)/.runtime ## µs of CPU per packet and viewer of both fan-out bodies (docs/benchmarks.md)
	@$(bin)/python benchmarks/fanout.py

bench-media: $(venv)/.runtime ## Madoi's two bodies and Janus in turn: µs of CPU per packet and viewer (takes minutes; apt install janus)
	@test "$$(id -u)" != 0 || $(bin)/python benchmarks/media.py 1500 --apart --only native
	@$(bin)/python benchmarks/media.py

bench-lines: system $(venv)/.development $(client) ## Picture and sound on bad lines, in real browsers (root; docs/benchmarks.md)
	@$(bin)/python benchmarks/lines.py

bench-join: system $(venv)/.development $(client) ## From the click to the first frame, and 300 joins in two seconds (docs/benchmarks.md)
	@$(bin)/python benchmarks/join.py

bench-rooms: system $(venv)/.development ## What one delivery costs beside Socket.IO, ws, uWebSockets, nchan (docs/benchmarks.md)
	@$(bin)/python -m benchmarks.rooms

bench-commands: system $(venv)/.development ## Acknowledged commands a second, on disk, with both stores
	@$(bin)/python -m benchmarks.commands

bench-resume: $(venv)/.development ## 2,000 pages lose their line and come back at once
	@$(bin)/python -m benchmarks.resume

lock: $(venv)/audit/.installed ## requirements.lock anew from pyproject.toml, every file with its hash
	@$(venv)/audit/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --upgrade \
	  --output-file requirements.lock pyproject.toml

audit: $(venv)/audit/.installed ## Ask the advisory databases about every package; what could not be asked about fails, too
	@$(PYTHON) .ci/audit $(CURDIR)/$(venv)/audit/bin/pip-audit

sbom: $(venv)/audit/.installed $(node) ## dist/sbom-server.json and dist/sbom-client.json (CycloneDX)
	@mkdir -p dist
	@$(venv)/audit/bin/cyclonedx-py requirements --output-reproducible --output-file dist/sbom-server.json requirements.lock
	@cd static && npm sbom --sbom-format cyclonedx --omit=dev > ../dist/sbom-client.json
	$(say) "dist/sbom-server.json, dist/sbom-client.json"

client: $(client) ## The client's files, built into live/web/client

clean: ## Forget everything that was installed or built (never ./data)
	rm -rf $(venv) static/node_modules tests/obs/node_modules live/web/client live/*/*.so dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(venv)/.created:
	$(say) "a Python environment in ./$(venv)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Madoi needs Python 3.11 or newer (set PYTHON=…)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get install -y -qq python3-venv; } \
	  || { echo "Please install: apt install python3-venv"; exit 1; }
	@test -x $(bin)/python || $(PYTHON) -m venv $(venv)
	@$(bin)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(venv)/.runtime: pyproject.toml hatch_build.py live/media/native/fanout.c live/gateway/native/broadcast.c | $(venv)/.created
	$(say) "Madoi and the Python packages that it runs on"
	@$(bin)/python -m pip install --quiet --editable .
	@touch $@

$(venv)/.development: pyproject.toml | $(venv)/.runtime
	$(say) "the Python packages that tests and checks need"
	@$(bin)/python -m pip install --quiet --group dev
	@touch $@

$(venv)/audit/.installed: | $(venv)/.created
	$(say) "what locks, audits and lists the packages, in an environment of its own"
	@$(PYTHON) -m venv $(venv)/audit && $(venv)/audit/bin/python -m pip install --quiet 'uv>=0.9,<1' 'pip-audit>=2.9,<3' 'cyclonedx-bom>=7,<8'
	@touch $@

$(node): static/package-lock.json
	@command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' \
	  || { echo "Madoi's client is built by Node 20 or newer with npm: please install them"; exit 1; }
	$(say) "the client's packages (npm ci)"
	@cd static && npm ci --no-fund --no-audit --loglevel=error
	@touch $@

$(obs): tests/obs/package-lock.json | $(node)
	$(say) "libdatachannel, which the tests publish with as OBS does (npm ci)"
	@cd tests/obs && npm ci --no-fund --no-audit --loglevel=error
	@touch $@

$(client): $(sources) | $(node)
	$(say) "the client (Vite)"
	@cd static && npm run --silent build
	@touch $@

# What the tests drive besides Python: a real Redis, two real browsers, a font for 日本語, and (for root only: without
# them the Python body is tested alone, by aiortc, and no relay) what the native fan-out is compiled with, GStreamer, coturn.
system:
	@missing=""; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	command -v chromium     >/dev/null || missing="$$missing chromium"; \
	command -v firefox-esr  >/dev/null || missing="$$missing firefox-esr"; \
	fc-list :lang=ja 2>/dev/null | grep -q . || missing="$$missing fonts-noto-cjk"; \
	if [ "$$(id -u)" = 0 ]; then \
	  command -v turnserver >/dev/null || missing="$$missing coturn"; \
	  command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	  test -f /usr/include/openssl/evp.h || missing="$$missing libssl-dev"; \
	  test -f "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" || missing="$$missing python3-dev"; \
	  /usr/bin/python3 -c 'import gi; gi.require_version("GstWebRTC", "1.0")' 2>/dev/null \
	    || missing="$$missing python3-gi gir1.2-gst-plugins-bad-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-nice"; \
	fi; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ]; then echo "Please install what the tests need: sudo apt install$$missing"; exit 1; fi; \
	printf '\033[1m» apt install%s\033[0m\n' "$$missing"; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing fontconfig
