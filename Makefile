# Go and Node.js 20 or newer are all that these need. `make help` lists them.

GOARCH ?= amd64

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what the tests need from npm: Azurite and mail clients
	@go run ./handler/local setup

.PHONY: run
run: ## start everything on this machine; Ctrl-C ends it
	@echo "Compiling ..."
	@go build -o .local/bin/local ./handler/local && exec .local/bin/local run

.PHONY: func
func: ## the same under Azure Functions Core Tools, where they are installed
	@echo "Compiling ..."
	@go build -o .local/bin/local ./handler/local && exec .local/bin/local func

.PHONY: reset
reset: ## forget all local data; refuses while a run uses it
	@go run ./handler/local reset

.PHONY: build
build: ## compile the handler into dist/handler, the operator's program into dist/posthorn
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o dist/handler ./handler
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o dist/posthorn ./handler/operate

.PHONY: package
package: ## write dist/posthorn-linux-GOARCH.zip to deploy (GOARCH=amd64 or arm64)
	@GOARCH= go run ./handler/local package -arch $(GOARCH)

.PHONY: release
release: ## write dist/release, all files of VERSION=v1.2.3, which this commit must be tagged with
	@go run ./handler/local/release -version "$(VERSION)"

.PHONY: emulator
emulator: ## compile the emulator of ACS Email into ./emulator
	@go build -o emulator ./handler/local/emulator/cmd/emulator

# Some of it: make test PKG=./handler/mail ARGS='-run Domain'
# The tests of the product wait more than they compute, so they begin first.
ALL = ./handler/test ./...
# These compile programs, or take about a minute each: `make check` runs them, and `make test` does not.
LONG = TestPlantedBugsAreFound|TestSimScale|TestWritesStayFewHoweverManyInstances|TestShardsUseTheLimitWhileMessagesWait|TestWhatBreaksAfterAPassIsSeen|TestProgramsSayTheVersionOfTheTag

# Simulations allocate much and keep little: a collector that begins late takes a third off
# their time. The limit bounds what it leaves; the programs under test never see either. The
# race detector needs several times the memory, so there it begins as usual.
COLLECT = GOGC=800 GOMEMLIMIT=400MiB

.PHONY: quick
quick: ## run what takes no long time and no programs, in a minute
	@$(COLLECT) go test -short $(ARGS) $(or $(PKG),$(ALL))

# -count=1: these tests build the product in a process of its own, of which go
# test's cache knows nothing. `make check` vets. STRICT=-strict fails where a test was skipped.
.PHONY: test
test: setup ## run the tests, with Azurite and real clients, in four minutes
	@$(COLLECT) POSTHORN_TEST_REQUIRE_AZURITE=1 POSTHORN_TEST_REQUIRE_CLIENTS=1 \
	  go run ./handler/test/skips $(STRICT) -- -count=1 -vet=off -ldflags=-w -timeout 20m -skip '$(LONG)' $(ARGS) $(or $(PKG),$(ALL))

# The first seed comes from the clock; make sim FIRST=... SEEDS=... repeats a run.
SEEDS ?= 100
ifndef FIRST
FIRST := $(shell date +%s)
endif

.PHONY: sim
sim: setup ## simulate with seeds that were never tried; SEEDS=1000 takes more than an hour
	@echo "make sim FIRST=$(FIRST) SEEDS=$(SEEDS) repeats this run."
	@$(COLLECT) go test ./handler/gateway -count=1 -run Sim -skip TestSimScale -timeout 6h \
	  -sim.first=$(FIRST) -sim.seeds=$(SEEDS) -rapid.seed=$(FIRST) -rapid.checks=$(SEEDS)0
	@$(COLLECT) go test ./handler/decide/quota -count=1 -timeout 6h -sim.first=$(FIRST) -rapid.seed=$(FIRST) -rapid.checks=$(SEEDS)
	@$(COLLECT) go test ./handler/decide/quota/window -count=1 -rapid.seed=$(FIRST) -rapid.checks=$(SEEDS)00
	@$(COLLECT) go test ./handler/api/hook -count=1 -run MakesMarkup -markup.every
	@go test ./handler/test -count=1 -run 'TestProduct/with_storage/together/callers_that_hang_up' -hangups=1000

.PHONY: scale
scale: ## print how costs grow with instances and limits; takes a quarter of an hour
	@go test ./handler/gateway -count=1 -run SimScale -sim.table -timeout 2h -v

N ?= 60
SEED ?= 1

.PHONY: mutants
mutants: ## break PKG in N ways, one at a time, and list the faults that its tests miss
	@go run ./handler/test/mutants -n $(N) -seed $(SEED) -args "$(or $(ARGS),-short)" $(or $(PKG),./handler/decide/record)

.PHONY: lines
lines: ## count the product's lines by folder; SINCE="COMMIT ..." adds columns
	@go run ./handler/test/lines $(SINCE)

.PHONY: rename
rename: ## give the module another path, and the repository its address: MODULE=example.com/acme/mailer
	@go run ./handler/local/rename -module "$(MODULE)" -repository "$(REPOSITORY)"

.PHONY: generate
generate: ## write golden files and generated pages anew
	@go test ./handler -run 'Golden|Generated' -update

# The linters are compiled by the Go that is here; that takes two minutes once.
GOLANGCI = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# The race detector has nothing to see in packages without a lock and a goroutine,
# nor in long tests of one goroutine. Compiling them for it takes most of the time.
SINGLE = MakesMarkupOfItsOwn|JSONTestSuite|NaughtyStrings
CALM = /(infra|release|version|postmark|resend|sendgrid|trigger|check|spool|mail|settings|limits|sdk|queue|table|pack|bench|test|require|skips)$$
RACED = go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | grep -Ev '$(CALM)'

.PHONY: warm
warm: ## compile what `make check` compiles, and look with the linters
	@go run $(GOLANGCI) run ./... >/dev/null 2>&1 || true
	@CGO_ENABLED=1 go test -race -short -vet=off -ldflags=-w -run '^$$' $$($(RACED)) >/dev/null 2>&1 || true

.PHONY: check
check: ## formatting, vet, linters, long tests, races, go.mod, pages and imports
	@test -z "$$(gofmt -l handler infra)" || { echo "not formatted:"; gofmt -l handler infra; exit 1; }
	@go vet ./...
	@cd handler/test/goclients && go vet ./... && go mod tidy -diff
	@go mod tidy -diff
	@go run $(GOLANGCI) run ./...
	@$(COLLECT) go test -count=1 -ldflags=-w -run '$(LONG)' ./handler/gateway ./handler/decide/quota ./handler/test ./handler/local/release
	@CGO_ENABLED=1 go test -race -short -vet=off -ldflags=-w -skip '$(SINGLE)' $$($(RACED))
	@git diff --exit-code -- docs handler/imports.golden go.mod go.sum

.PHONY: vulns
vulns: ## look for known vulnerabilities in what the code calls; asks vuln.go.dev
	@go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

.PHONY: bench
bench: ## print the figures of attachments and speed, each beside its baseline
	@go test -run '^$$' -bench . -timeout 30m ./handler/accept/wire ./handler/bench
