# One command each; `make` alone prints them. The work is CMake's (CMakePresets.json) and ninja's.

space := $() $()
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
export NINJA_STATUS := [%f/%t %es]${space}

T ?=
S ?= 60
J ?= $(shell nproc)
KILLS ?= 1000
STATES ?= 500
MINUTES ?= 60
SEED ?= 20261122
TRIES ?= 1
CTEST := ctest --output-on-failure --no-label-summary --no-tests=error -j $(J) --repeat until-pass:$(TRIES) $(if $(T),-R "$(T)",)
NINJA := ninja -j $(J)
SOURCES := git ls-files '*.cpp' '*.hpp'

help:  ## print the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

run: build  ## start the standalone stack with a sink and send real mail through it (ONCE=1: and stop)
	@ONCE=$(ONCE) deploy/run/demo

build: build/release/build.ninja  ## build the executables into build/release/bin
	@$(NINJA) -C build/release executables

test: build/release/build.ninja  ## build everything and run all tests (T=smtp: only those named like that; TRIES=2)
	@$(NINJA) -C build/release
	@cd build/release && $(CTEST)

check: build/dev/build.ninja  ## the fast loop: unit tests, layers, headers, without optimisation (T=…)
	@$(NINJA) -C build/dev unit_tests all_verify_interface_header_sets
	@cd build/dev && $(CTEST) -L unit

asan: build/asan/build.ninja  ## all tests but those of speed under the address and undefined-behaviour sanitizers (T=…)
tsan: build/tsan/build.ninja  ## the same under the thread sanitizer (T=…)
asan tsan:
	@$(NINJA) -C build/$@
	@rm -f build/$@/reports/*
	@failed=0; $(CTEST) --preset $@ || failed=1; tests/sanitizers/reports build/$@/reports && [ $$failed = 0 ]

fuzz:  ## fuzz one entry point for S seconds: make fuzz F=address S=60 (without F: list them)
	@cmake/install-dependencies build fuzz
	@tests/fuzz/run "$(F)" "$(S)"

up:  ## start the cluster in containers: four services, RabbitMQ, PostgreSQL, Kafka … (IMAGES=debian: without a registry)
	@JOBS=$(J) deploy/compose/stack up

smoke:  ## send mail through the cluster of `make up`, and see its reports come
	@cmake/install-dependencies smoke
	@deploy/compose/stack smoke

down:  ## stop the cluster of `make up` (CLEAN=1: and remove its mail)
	@deploy/compose/stack down

format:  ## apply .clang-format to every source
	@cmake/install-dependencies format
	@$(SOURCES) | xargs clang-format -i

tidy: build/dev/build.ninja  ## run clang-tidy over every source
	@cmake/install-dependencies tidy
	@$(NINJA) -C build/dev
	@$(SOURCES) | grep '\.cpp$$' | xargs -P $(J) -n 4 clang-tidy-16 -p build/dev --quiet

bench: build/release/build.ninja  ## compare with a bare forwarder and Postfix (QUICK=1, N=5, ARGS=--help)
	@cmake/install-dependencies build bench
	@$(NINJA) -C build/release executables
	@tests/bench/run $(if $(QUICK),--quick) $(if $(N),--runs $(N)) $(ARGS)

dkim-survey: build/release/build.ninja  ## all verifiers of DKIM over N generated messages (N=2000 SEED=1)
	@cmake/install-dependencies build verifiers
	@$(NINJA) -C build/release executables
	@python3 -W ignore::ResourceWarning tests/e2e/dkim_survey.py $(if $(N),--messages $(N)) $(if $(SEED),--seed $(SEED))

bench-connections: build/release/build.ninja  ## idle connections and slow senders (ARGS=--help)
	@cmake/install-dependencies build
	@$(NINJA) -C build/release executables
	@tests/bench/connections $(ARGS)

bench-instructions: build/release/build.ninja  ## what a message costs in instructions, against its budget (ARGS=--help)
	@cmake/install-dependencies build
	@$(NINJA) -C build/release executables
	@tests/bench/instructions --check $(ARGS)

bench-backlog bench-latency bench-slow-sync bench-scaling bench-outbound: build/release/build.ninja
	@cmake/install-dependencies build
	@$(NINJA) -C build/release executables postfleet_faults
	@tests/bench/$(subst -,_,$(@:bench-%=%)) $(ARGS)

bench-backlog:  ## a million messages for a dead host: memory, rates beside it, restart, delivery (ARGS=--help)
bench-latency:  ## high-priority mail and small jobs beside bulk mail (ARGS=--help)
bench-slow-sync:  ## the rate that is left when every sync takes 5 ms longer (ARGS=--help)
bench-outbound:  ## five thousand connections to the outside at once (ARGS=--help)
bench-scaling:  ## the cost of a message by queues, virtual MTAs, recipients, size, backlog (ARGS=--help)

bench-cluster: build/release/build.ninja  ## mail through the whole cluster with RabbitMQ beside it: rates, CPU by service, latency (ARGS=--help)
	@cmake/install-dependencies build
	@$(NINJA) -C build/release executables queue_load
	@tests/bench/cluster/run $(ARGS)

bench-grpc: build/release/build.ninja  ## submission by gRPC beside SMTP: rates, CPU per message (ARGS=--help)
	@cmake/install-dependencies build
	@$(NINJA) -C build/release executables
	@tests/bench/grpc/run $(ARGS)

torture: build/release/build.ninja  ## 1,000 kills, 500 power losses, every fault (KILLS=…, STATES=…, SEED=…, OTHER=an older postfleet)
	@$(NINJA) -C build/release executables postfleet_faults
	@tests/torture/kills --kills $(KILLS) --seed $(SEED) --results build/torture/kills.json
	@tests/torture/power_loss --states $(STATES) --seed $(SEED) --results build/torture/power_loss.json
	@POSTFLEET_LARGE_MESSAGES=1000 tests/torture/faults_test.py
	@tests/torture/upgrade --spool tests/golden/spool/spool-1.tar.xz $(if $(OTHER),--other "$(OTHER)" --turns 20)
	@tests/torture/provider --results build/torture/provider.json

torture-cluster: build/release/build.ninja  ## a hundred kills of services, RabbitMQ and PostgreSQL under load, and nothing lost (KILLS=…, SEED=…)
	@$(NINJA) -C build/release executables
	@tests/cluster/torture --kills $(if $(filter command line environment,$(origin KILLS)),$(KILLS),110) --seed $(SEED) --progress --results build/torture/cluster.json

soak: build/release/build.ninja  ## an hour of mixed mail and faults: nothing grows, nothing is missing (MINUTES=…)
	@$(NINJA) -C build/release executables
	@tests/torture/soak --minutes $(MINUTES) --seed $(SEED)

docs: build  ## write the generated reference pages again
	@docs/generate

clean:  ## remove everything that was built
	rm -rf build

# Looks every time (it takes 30 ms) and installs only what is missing.
dependencies:
	@cmake/install-dependencies build

build/%/build.ninja: CMakePresets.json | dependencies
	@mkdir -p build
	@echo "Configuring build/$*"
	@cmake --preset $* >build/configure-$*.log 2>&1 || { cat build/configure-$*.log; exit 1; }

export IMAGES NO_BUILD CLEAN
.PHONY: dependencies help run build test check asan tsan fuzz up smoke down format tidy bench bench-connections bench-backlog bench-latency bench-slow-sync bench-scaling bench-outbound bench-cluster bench-grpc torture torture-cluster soak dkim-survey docs clean
