# Ingot's targets. `make` alone lists them. Every target does its own set-up.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --warn-undefined-variables

export CGO_ENABLED := 0
BIN     := build/bin
TOOLS   := $(CURDIR)/build/tools
IMAGE   := build/assets/agent-amd64
IMAGE_ARM64 := build/assets/agent-arm64
TESTOS  := build/assets/testos-amd64
TALOS   := build/assets/talos-amd64
PHASES  := $(CURDIR)/build/phases.tsv
MODULES := . metal-controller/ingot metal-controller/talos-providers
SERVERS ?= 3
FUZZTIME ?= 10s
SEEDS ?= 10000
RACK ?= 1000
SAMPLE ?=
SLICE ?= apid
TALOS_apid       := TestMaintenance|TestConfig|TestEarlyTrust
TALOS_install    := $(TALOS_apid)|TestImages|TestInstall
TALOS_kubernetes := $(TALOS_install)|TestNode
RUN ?=
SKIP ?=
LDFLAGS := -s -w
# Scenarios of arm64 need an image and an emulator of their own.
E2E_ARM64 := $(if $(findstring ARM64,$(SKIP)),,$(if $(RUN),$(findstring ARM64,$(RUN)),ARM64))

GOLANGCI       := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.8.0
CONTROLLER_GEN := sigs.k8s.io/controller-tools/cmd/controller-gen@v0.22.0
PROTOC_GO      := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11
PROTOC_GRPC    := google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.1

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  \1\t\2/' | expand -t 14

.PHONY: run
run: ## Show the main job: a virtual rack registers, a server is accepted, wiped, claimed and runs, live (SERVERS=3)
	@.ci/setup run
	@$(MAKE) images
	@$(BIN)/ingot lab --servers $(SERVERS) --story

.PHONY: test
test: ## Run all tests that need no virtual machine
	@.ci/setup test
	@$(MAKE) build kubectl
	@for m in $(MODULES); do echo "== go test $$m"; (cd $$m && INGOT_BIN=$(CURDIR)/$(BIN)/ingot go test -timeout 25m ./...); done

.PHONY: e2e
e2e: ## Run the scenarios on the virtual rack: real firmware, real protocols (RUN=TestName for one, SKIP=TestName|TestName)
	@.ci/setup $(if $(E2E_ARM64),e2e-arm64,e2e)
	@$(MAKE) images $(if $(E2E_ARM64),images-arm64)
	@INGOT_BIN=$(CURDIR)/$(BIN)/ingot INGOT_AGENT_IMAGE=$(CURDIR)/$(IMAGE) INGOT_AGENT_IMAGE_ARM64=$(CURDIR)/$(IMAGE_ARM64) INGOT_TESTOS_IMAGE=$(CURDIR)/$(TESTOS) go test -tags e2e -count=1 -timeout 60m -v -p 1 -run '$(or $(RUN),.)' -skip '$(or $(SKIP),^$$)' ./sfyra-tests/rack/... ./sfyra-tests/guest/... ./sfyra-tests/scenarios/...

.PHONY: e2e-clusterapi
e2e-clusterapi: build kubectl ## Run the slow tests with the real core of Cluster API, clusterctl and the Talos providers (RUN=TestName for one)
	@.ci/setup test
	@INGOT_BIN=$(CURDIR)/$(BIN)/ingot go test -tags e2e -count=1 -timeout 60m -v -run '$(or $(RUN),^(TestMachineHealthCheck|TestMove|TestPause|TestScaleFromZeroCapacity|TestSpreadRollout|TestTalosProviders)$$)' ./metal-controller/setup

.PHONY: talos
talos: ## Build the test guest of the real Talos into build/assets: SLICE=apid, install or kubernetes (the first time 10, 11 or 21 CPU-minutes, then seconds)
	@.ci/setup talos
	@go run ./sfyra-tests/talos/mkguest --slice $(SLICE) --out $(TALOS)

.PHONY: e2e-talos
e2e-talos: talos ## Boot the real Talos in virtual machines, SLICE as above; with kubernetes Ingot provisions one too (RUN=TestName for one)
	@rm -f $(PHASES)
	@INGOT_PHASES=$(PHASES) INGOT_TALOS_GUEST=$(CURDIR)/$(TALOS) go test -tags e2e_talos -count=1 -timeout 80m -v -run '$(or $(RUN),$(TALOS_$(SLICE)))' ./sfyra-tests/talos
ifeq ($(SLICE),kubernetes)
	@$(MAKE) images
	@INGOT_BIN=$(CURDIR)/$(BIN)/ingot INGOT_AGENT_IMAGE=$(CURDIR)/$(IMAGE) INGOT_PHASES=$(PHASES) INGOT_TALOS_GUEST=$(CURDIR)/$(TALOS) go test -tags e2e,e2e_talos -count=1 -timeout 150m -v -run '$(or $(RUN),TestTalosJoins|TestClusterLifecycle)' ./sfyra-tests/scenarios
	@.ci/phases $(PHASES)
endif

.PHONY: bench
bench: ## Measure DHCP, TFTP, HTTP, BMC, claims, API and whole boots beside a floor measured in the same run
	@.ci/setup e2e
	@$(MAKE) images
	@INGOT_BIN=$(CURDIR)/$(BIN)/ingot INGOT_AGENT_IMAGE=$(CURDIR)/$(IMAGE) INGOT_TESTOS_IMAGE=$(CURDIR)/$(TESTOS) .ci/bench

.PHONY: sim
sim: ## Attack the decision core under virtual time: SEEDS=n of 2 to 8 servers, one seed of RACK=1000 servers; SEED=n plays one again
	@.ci/setup test
	@mkdir -p $(BIN); go build -o $(BIN)/sim ./sfyra-tests/sim
ifdef SEED
	@$(BIN)/sim --seed $(SEED) --trace
else
	@$(BIN)/sim --seeds $(SEEDS)
	@$(BIN)/sim --seed 1 --servers $(RACK)
endif

.PHONY: mutants
mutants: ## Plant small faults in the pure packages and count what tests and simulator notice (SAMPLE=n tries only so many of each)
	@.ci/setup test
	@.ci/mutants $(SAMPLE)

.PHONY: fuzz
fuzz: ## Fuzz every parser of outside bytes, FUZZTIME each (KEEP=n keeps n inputs of each that were new, as test data)
	@.ci/fuzz $(FUZZTIME)

.PHONY: attack
attack: build ## Run the attack suite: the cases of sfyra-tests/attack/index.go that need no virtual machine
	@.ci/setup test
	@INGOT_BIN=$(CURDIR)/$(BIN)/ingot go run ./sfyra-tests/attack

.PHONY: lint
lint: ## Check format, vet and linters in every module
	@.ci/setup lint
	@test -x $(TOOLS)/golangci-lint || { echo "lint: building golangci-lint (a few minutes, once)"; GOBIN=$(TOOLS) go install $(GOLANGCI); }
	@echo "== golangci-lint ."; $(TOOLS)/golangci-lint run --config $(CURDIR)/.ci/golangci.yml ./...
	@# Linters that look into all dependencies would look into all of Kubernetes; go vet does that with cached facts. The replaces are those of k8s.io/kubernetes.
	@# Its own packages only, for the same reason; the replace is that of the providers' own modules.
	@echo "== golangci-lint metal-controller/talos-providers"; cd metal-controller/talos-providers && go vet ./... && $(TOOLS)/golangci-lint run --config $(CURDIR)/.ci/golangci.yml --disable staticcheck,unused,bodyclose,govet,gomoddirectives ./...
	@echo "== golangci-lint metal-controller/ingot"; cd metal-controller/ingot && go vet ./... && $(TOOLS)/golangci-lint run --config $(CURDIR)/.ci/golangci.yml --disable staticcheck,unused,bodyclose,govet,gomoddirectives ./...

.PHONY: generate
generate: ## Generate deep copies, CRD manifests, Cluster API's manifests and protocol code again (needs Debian's protobuf-compiler)
	@GOBIN=$(TOOLS) go install $(CONTROLLER_GEN)
	@GOBIN=$(TOOLS) go install $(PROTOC_GO)
	@GOBIN=$(TOOLS) go install $(PROTOC_GRPC)
	@$(TOOLS)/controller-gen object paths=./crds/...
	@$(TOOLS)/controller-gen crd paths=./crds/metal/... paths=./crds/infrastructure/... output:crd:dir=crds/manifests/crd
	@cd metal-controller/ingot && go run ./clusterapi/upstream/mkmanifests --out clusterapi/upstream
	@cd metal-controller/talos-providers && go test -count=1 -run '^TestManifests$$' . -rewrite
	@for p in agent/protocol/agent.proto pxe-server/protocol/pxe.proto; do \
	  PATH="$(TOOLS):$$PATH" protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative $$p; done

.PHONY: build
build: ## Build the programs into build/bin
	@echo "build: programs into $(BIN) (the first time compiles Kubernetes: a few minutes)"
	@mkdir -p $(BIN)
	@go build -ldflags '$(LDFLAGS)' -o $(BIN)/ ./agent ./pxe-server ./metal-controller ./metal-controller/cmd/kubectl-ingot
	@cd metal-controller/ingot && go build -ldflags '$(LDFLAGS)' -o ../../$(BIN)/ingot .
	@cd metal-controller/talos-providers && go build -ldflags '$(LDFLAGS)' -o ../../$(BIN)/talos-providers .

.PHONY: kubectl
kubectl: ## Build the real kubectl from its module, for tests
	@mkdir -p $(BIN)
	@cd metal-controller/ingot && go build -ldflags '$(LDFLAGS)' -o ../../$(BIN)/kubectl k8s.io/kubernetes/cmd/kubectl

.PHONY: images
images: build testos ## Build the boot images of the agent and of the test OS into build/assets
	@echo "images: agent image into $(IMAGE) (the first time downloads a kernel and firmware: about 150 MB)"
	@go run ./boot-assets/initramfs/mkimage --arch amd64 --agent $(BIN)/agent --out $(IMAGE)

.PHONY: images-arm64
images-arm64: ## Build the agent's boot image for arm64 servers into build/assets; `ingot up` finds it there
	@echo "images-arm64: agent image into $(IMAGE_ARM64) (the first time downloads a kernel: about 90 MB)"
	@mkdir -p $(BIN); GOARCH=arm64 go build -ldflags '$(LDFLAGS)' -o $(BIN)/agent-arm64 ./agent
	@go run ./boot-assets/initramfs/mkimage --arch arm64 --agent $(BIN)/agent-arm64 --out $(IMAGE_ARM64)

.PHONY: testos
testos: ## Build the test OS that scenarios install: the agent's kernel with a small program
	@echo "testos: test OS into $(TESTOS) (of the same downloads as the agent's image)"
	@mkdir -p $(BIN); go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN)/testos ./sfyra-tests/guest
	@go run ./boot-assets/initramfs/mkimage --arch amd64 --agent $(BIN)/testos --modules sfyra-tests/guest/modules.list \
	  --kernel-as payload/vmlinuz --add payload/bootx64.efi=boot-assets/ipxe/bin/ipxe.efi --out $(TESTOS)

.PHONY: clean
clean: ## Remove what was built
	@rm -rf build
