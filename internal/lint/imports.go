// Package lint holds the repository's own rules as tests: who may import whom, sizes of files and functions, forbidden names.
package lint

// importRules says which packages of this module a package may import, longest prefix first matched by package path.
// A name ending in "/..." stands for the package and everything below it. Packages of the compile side and of the
// serve side never meet except in cmd/llmc, which hands the runtime to the compiler through engine's interfaces, and in cmd/llmrun, which has
// adapters' directories made into plans.
var importRules = []struct {
	pkg   string
	allow []string
}{
	{"internal/amx", nil},
	{"internal/dtype", nil},
	{"internal/sym", nil},
	{"internal/golden", nil},
	{"internal/lint", nil},
	{"internal/ptxas", []string{"internal/golden", "internal/cubin"}},
	{"internal/cubin", nil},
	{"internal/quant", []string{"internal/dtype", "internal/rotation"}},
	{"internal/relative", nil},
	{"internal/rotation", nil},
	{"internal/tokenizer/...", []string{"internal/tokenizer/..."}},
	{"internal/template", nil},
	{"internal/cachedir", []string{"internal/cli", "internal/retry"}},
	{"internal/chat", []string{"internal/template"}},
	{"internal/cli", nil},
	{"internal/retry", nil},
	{"internal/version", nil},
	{"internal/...", []string{"internal/..."}},

	{"engine/layout", []string{"internal/dtype", "internal/sym", "internal/quant"}},
	{"engine/sign/...", []string{"internal/cli", "engine/sign/..."}},
	{"engine/attest", []string{"internal/version", "engine/..."}},
	{"engine/oci/...", []string{"internal/cachedir", "internal/cli", "internal/retry", "internal/version", "engine/..."}},
	{"engine/...", []string{"internal/dtype", "internal/sym", "internal/quant", "internal/amx", "internal/relative", "engine/..."}},

	{"ir", []string{"internal/dtype", "internal/sym", "internal/relative", "internal/rotation"}},
	{"ir/grad", []string{"internal/dense", "internal/dtype", "internal/sym", "ir", "ir/interp"}},
	{"ir/interp", []string{"internal/dtype", "internal/sym", "internal/quant", "internal/rotation", "ir"}},
	{"passes", []string{"internal/dtype", "internal/sym", "internal/quant", "internal/rotation", "ir/..."}},
	{"codegen/ptx", []string{"internal/dtype", "internal/sym"}},
	{"codegen/...", []string{"internal/...", "engine/...", "ir/...", "passes", "codegen/..."}},
	{"compiler/buildcache", []string{"internal/cachedir", "internal/cli", "engine"}},
	{"compiler/hf", []string{"internal/..."}},
	{"compiler/hub/...", []string{"internal/...", "compiler/hf", "compiler/hub/..."}},
	{"compiler/stored", []string{"internal/...", "compiler/hf"}},
	{"compiler/gguf/...", []string{"internal/...", "compiler/hf", "compiler/stored", "compiler/gguf/..."}},
	{"compiler/models", []string{"internal/...", "ir/...", "compiler/hf", "compiler/stored"}},
	{"compiler/lora", []string{"internal/...", "engine", "ir", "compiler/hf"}},
	{"compiler/...", []string{"internal/...", "engine/...", "ir/...", "passes", "codegen/...", "compiler/..."}},

	{"runtime/kv", []string{"internal/dtype"}},
	{"runtime/sched", []string{"engine", "runtime/kv"}},
	{"runtime/sample", []string{"engine"}},
	{"runtime/comm", nil},
	{"runtime/draft", []string{"engine", "runtime/kv"}},
	{"runtime/metrics", []string{"engine", "runtime"}},
	{"runtime/device/limits", []string{"engine"}},
	{"runtime/device/wire", []string{"engine"}},
	{"runtime/device/gpu", []string{"internal/...", "engine/...", "runtime/sample", "runtime/comm", "runtime/device/..."}},
	{"runtime/device/devicetest", []string{"engine", "runtime", "runtime/comm", "runtime/sample", "runtime/sched"}},
	{"runtime/device/cpu/...", []string{"internal/dtype", "internal/sym", "internal/quant", "internal/amx", "internal/relative", "engine/...", "runtime/sample", "runtime/comm", "runtime/device/limits", "runtime/device/wire", "runtime/device/cpu/..."}},
	{"runtime/device/...", []string{"internal/...", "engine/...", "runtime/sample", "runtime/device/..."}},
	{"runtime/...", []string{"internal/...", "engine/...", "runtime/..."}},

	{"cmd/llmrun/...", []string{"internal/...", "engine/...", "runtime/...", "compiler/lora", "cmd/..."}},
	{"cmd/llmc/...", []string{"internal/...", "engine/...", "ir/...", "passes", "codegen/...", "compiler/...", "runtime/...", "cmd/..."}},
	{"cmd/...", []string{"internal/...", "engine/...", "cmd/..."}},
	{"testdata/...", []string{"internal/...", "engine/...", "runtime/...", "compiler/..."}},
}
