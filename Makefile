# The targets that people use: setup build demo test lint bench install clean.
# LIBTORCH=DIR or FROM=system|python|wheel|download chooses a libtorch; else the
# one of the last build stays, and at first scripts/libtorch.sh finds or brings one.
# BUILD=DIR builds beside build/: another libtorch without losing the first.

BUILD   := build
PREFIX  ?= /usr/local
GO      ?= go
CONFIG  := configs/badnets.yaml
SEEDS   ?= 0,1,2
KILLS   ?= 20
MUTATIONS ?= 1000
FUZZTIME ?= 1m
TESTFLAGS ?=
# Begun first, so that no core waits for one of them in the end.
LONGEST := ./pipeline ./pipeline/sweep ./pipeline/defense ./pipeline/zoo ./pipeline/model
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
# Of everything, so that tests and scripts find compiled what the build compiled.
export GOFLAGS := $(shell $(GO) env GOFLAGS 2>/dev/null) -trimpath
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# One binary of each kind; the Go side loads the library through its rpath, when it needs it.
LIBRARY := $(BUILD)/libtorchbridge.so
GO_LINK := -ldflags "-X main.version=$(VERSION)"

.PHONY: all setup build demo data test lint asan race bench attacks removal relapse kills mutations faults fuzz pace install uninstall clean help
all: build

help: ## what the targets do
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup: ## check what is needed, find or bring libtorch
	@scripts/prerequisites.sh
	@mkdir -p $(BUILD)
	@if [ -z "$(FROM)$(LIBTORCH)" ] && [ -f "$$(cat $(BUILD)/libtorch.dir 2>/dev/null)/include/torch/script.h" ]; then \
	  echo "libtorch: $$(cat $(BUILD)/libtorch.dir), as before" >&2; \
	else \
	  scripts/libtorch.sh --from $(or $(FROM),auto) > $(BUILD)/libtorch.dir.new && mv $(BUILD)/libtorch.dir.new $(BUILD)/libtorch.dir; \
	fi

build: setup ## libtorchbridge.so and ulrl
	@cmake -S . -B $(BUILD) -DLIBTORCH="$$(cat $(BUILD)/libtorch.dir)" --log-level=STATUS $(CMAKE_FLAGS) > $(BUILD)/cmake.log || { cat $(BUILD)/cmake.log; exit 1; }
	@grep 'libtorch:' $(BUILD)/cmake.log || true
	cmake --build $(BUILD) --parallel $(JOBS)
	$(GO) build $(GO_LINK) -o $(BUILD)/ulrl ./cmd/ulrl

data: ## Fashion-MNIST, where the config's data are not there
	@scripts/fashion-mnist.sh

demo: build data ## train a backdoored model if there is none, clean it, into runs/demo
	@test -f models/badnets/backdoored.pt || $(BUILD)/ulrl attack -c $(CONFIG)
	$(BUILD)/ulrl run -c $(CONFIG) --set output=runs/demo --force

test: build ## every test
	-@scripts/test-needs.sh
	$(BUILD)/torchbridge_test
	scripts/libtorch_test.sh
	LD_LIBRARY_PATH=$(abspath $(BUILD)) $(GO) test -count=1 -timeout 15m $(TESTFLAGS) $(LONGEST) ./...

race: build ## the Go tests under the race detector and cgo's strict pointer checks
	GOEXPERIMENT=cgocheck2 $(GO) test -race -count=1 -timeout 30m ./torchbridge ./pipeline/runstore ./pipeline/dataset ./cmd/ulrl

asan: setup ## the C interface's tests under AddressSanitizer
	@cmake -S . -B $(BUILD)-asan -DLIBTORCH="$$(cat $(BUILD)/libtorch.dir)" -DTB_SANITIZE=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo > /dev/null
	cmake --build $(BUILD)-asan --parallel $(JOBS)
	ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 LSAN_OPTIONS=suppressions=scripts/lsan.supp $(BUILD)-asan/torchbridge_test

lint: build ## gofmt, vet, staticcheck, golangci-lint, shellcheck
	@scripts/lint.sh

bench: build ## a training step and an evaluation pass beside PyTorch eager
	@scripts/bench.sh

attacks: build data ## every attack over SEEDS (0,1,2), and the table of docs/results (hours)
	$(GO) run ./scripts/attacks -seeds $(SEEDS)

removal: build data ## four methods over the models of make attacks, and the table of docs/results (hours)
	$(GO) run ./scripts/removal -seeds $(SEEDS)

relapse: build data ## how much of the backdoors comes back in the models of make removal, from 0 to 50 poisoned samples (hours)
	$(GO) run ./scripts/removal -seeds $(SEEDS) -relapse 0,1,10,50 -methods ft-sam,ulrl

kills: build data ## KILLS (20) of a small sweep and its workers; what it comes to must be the same
	$(GO) run ./scripts/kills -kills $(KILLS)

mutations: build data ## MUTATIONS (1000) damaged model files: each must end in a verdict
	$(GO) run ./scripts/mutations -n $(MUTATIONS)

fuzz: ## every parser of foreign bytes, FUZZTIME (1m) each
	@FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

faults: build data ## full disks, lost folders, hung and killed workers, no memory: each must end in one line
	$(GO) run ./scripts/faults

pace: build data ## the sweep of the twelve configs against the same runs one by one, over the models of make attacks
	$(GO) run ./scripts/pace

install: build ## into PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib
	install -m 755 $(BUILD)/ulrl $(DESTDIR)$(PREFIX)/bin/ulrl
	cmake --install $(BUILD) --prefix $(DESTDIR)$(PREFIX)

uninstall: ## out of PREFIX again
	rm -f $(DESTDIR)$(PREFIX)/bin/ulrl $(DESTDIR)$(PREFIX)/lib/libtorchbridge.so

clean: ## what was built (not third_party, models and runs)
	rm -rf $(BUILD) $(BUILD)-asan
