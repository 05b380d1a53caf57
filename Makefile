# SPDX-License-Identifier: Apache-2.0
# `make up` and `make test` are all that a newcomer needs; the rest are steps of them.

.DEFAULT_GOAL := help
.PHONY: help up down join test build check fuzz lab lab-down bench bench-control budget bench-derp sanitize clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## Build, start a coordination server, a relay and this node; show the status
	@Scripts/up

down: ## Stop what `make up` or `make join` started and leave nothing behind
	@Scripts/down

join: ## Join this machine to a tailnet: make join LOGIN_SERVER=URL AUTH_KEY=KEY
	@LOGIN_SERVER='$(LOGIN_SERVER)' AUTH_KEY='$(AUTH_KEY)' Scripts/join

test: ## Run every test
	@Scripts/test

build: ## Build the release binaries into .build-release
	@Scripts/build-release

check: ## Format, headers, arrows between modules, links: seconds
	@Scripts/check

fuzz: ## Look for input that ends a parser: make fuzz TARGET=name SECONDS=60; lists them without
	@Scripts/fuzz '$(TARGET)' '$(or $(SECONDS),60)'

sanitize: ## Run the data path's tests and the corpora under the address sanitizer: make sanitize KIND=thread
	@Scripts/sanitize '$(or $(KIND),address)'

lab: ## Bring up a small internet in network namespaces and leave it running
	@Scripts/build-release
	@Scripts/lab/lab up
	@Scripts/lab/tailnet up

lab-down: ## Remove the small internet
	@Scripts/lab/tailnet down; Scripts/lab/lab down

bench: ## Measure against wireguard-go in the same run: make bench FIGURES="tcp udp"
	@Scripts/bench $(FIGURES)

bench-control: ## Load the coordination server with simulated nodes: make bench-control NODES="1000 5000"
	@Scripts/build-release
	@python3 Tests/Benchmarks/bench_control.py $(NODES)

bench-derp: ## Measure the relay, beside the one that MARTLET_RIVAL_RELAY starts: make bench-derp FIGURES="idle storm"
	@MARTLET_BENCH_PROGRAM=bench_derp.py Scripts/bench $(FIGURES)

budget: ## Count the instructions of the per-packet path against their budget
	@Scripts/build-release
	@python3 Tests/Benchmarks/instructions.py

clean: ## Remove what was built
	rm -rf .build .build-release .build-fuzz .build-sanitize-address .build-sanitize-thread
