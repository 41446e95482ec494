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
build: ## compile the handler into dist/handler
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o dist/handler ./handler

.PHONY: package
package: ## write dist/posthorn-linux-GOARCH.zip to deploy (GOARCH=amd64 or arm64)
	@GOARCH= go run ./handler/local package -arch $(GOARCH)

.PHONY: emulator
emulator: ## compile the emulator of ACS Email into ./emulator
	@go build -o emulator ./handler/local/emulator/cmd/emulator

.PHONY: test
test: setup ## run all tests, with Azurite and real clients
	@POSTHORN_TEST_REQUIRE_AZURITE=1 POSTHORN_TEST_REQUIRE_CLIENTS=1 go test ./...

.PHONY: sim
sim: ## simulate much longer than the tests do, and print how costs grow (more than an hour)
	@go test ./handler/gateway -run Sim -sim.seeds=1000 -rapid.checks=2000 -timeout 6h
	@go test ./handler/gateway -run SimScale -sim.table -timeout 2h -v

PKG ?= ./handler/decide/record
N ?= 60
SEED ?= 1
ARGS ?= -short

.PHONY: mutants
mutants: ## break PKG in N ways, one at a time, and list the faults that its tests miss
	@go run ./handler/test/mutants -n $(N) -seed $(SEED) -args "$(ARGS)" $(PKG)

.PHONY: generate
generate: ## write golden files and generated pages anew
	@go test ./handler -run 'Golden|Generated' -update

# The linters are compiled by the Go that is here; that takes two minutes once.
GOLANGCI = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: check
check: ## formatting, vet, linters, races, go.mod, pages and imports
	@test -z "$$(gofmt -l handler)" || { echo "not formatted:"; gofmt -l handler; exit 1; }
	@go vet ./...
	@cd handler/test/goclients && go vet ./... && go mod tidy -diff
	@go mod tidy -diff
	@go run $(GOLANGCI) run ./...
	@go test -race -short ./...
	@git diff --exit-code -- docs handler/imports.golden go.mod go.sum

.PHONY: bench
bench: ## print the figures of attachments and speed, each beside its baseline
	@go test -run '^$$' -bench . -timeout 30m ./handler/accept/wire ./handler/bench
