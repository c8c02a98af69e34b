"""Makes tiny models of the families that GGUF files are read of, with llama.cpp's converter, and what transformers computes with them.

    pip install torch==2.15.0 transformers==5.24.0 gguf sentencepiece
    python testdata/scripts/make_gguf.py LLAMA.CPP [NAME ...]

LLAMA.CPP is its source. testdata/gguf.zip: NAME.gguf without a vocabulary, NAME.json with ids and the logits of the last positions in float32. Weights are random with a
fixed seed, on a coarse grid, so that they take little room.
"""

import json
import logging
import pathlib
import re
import runpy
import sys
import tempfile
import zipfile

import torch
import transformers as t

ROOT = pathlib.Path(__file__).resolve().parents[2] / "testdata"
VOCAB, LENGTH, KEPT = 40, 24, 3
LLAMA = dict(vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64)
HEADS = {"num_key_value_heads": 2}
GEMMA = LLAMA | {"head_dim": 12}
WORDS = dict(vocab_size=VOCAB, hidden_size=16, n_layer=2, n_head=2)
FALCON = dict(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, bias=False, alibi=False)
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 8, "num_experts": 4}

CASES = {
    "llama3": (t.LlamaConfig, LLAMA | {"rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0,
                                                            "high_freq_factor": 4.0, "original_max_position_embeddings": 16}}),
    "mixtral": (t.MixtralConfig, LLAMA | {"num_local_experts": 3, "num_experts_per_tok": 2}),
    "qwen2": (t.Qwen2Config, LLAMA | {"tie_word_embeddings": True}),
    "qwen3": (t.Qwen3Config, GEMMA),
    "gemma": (t.GemmaConfig, GEMMA),
    "gemma2": (t.Gemma2Config, GEMMA | {"sliding_window": 6, "query_pre_attn_scalar": 12, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 8.0}),
    "gemma3": (t.Gemma3TextConfig, GEMMA | {"num_hidden_layers": 6, "sliding_window": 6, "query_pre_attn_scalar": 12}),
    "phi": (t.PhiConfig, LLAMA | HEADS | {"intermediate_size": 64}),
    "phi3": (t.Phi3Config, LLAMA | {"sliding_window": 7, "pad_token_id": 0}),
    "phi3-longrope": (t.Phi3Config, LLAMA | {"pad_token_id": 0, "original_max_position_embeddings": 16, "rope_parameters": {
        "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [1.0, 2.0, 3.0, 4.0], "original_max_position_embeddings": 16}}),
    "falcon7": (t.FalconConfig, FALCON | {"multi_query": True, "num_kv_heads": 1}),
    "falcon11": (t.FalconConfig, FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1}),
    "falcon40": (t.FalconConfig, FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "bloom": (t.BloomConfig, WORDS | {"seq_length": 64}),
    "gpt2": (t.GPT2Config, dict(vocab_size=VOCAB, n_embd=16, n_layer=2, n_head=2, n_positions=64, n_ctx=64)),
    "gptneox": (t.GPTNeoXConfig, {k: v for k, v in LLAMA.items() if k != "num_key_value_heads"} | {"rotary_pct": 0.25}),
    "stablelm": (t.StableLmConfig, LLAMA | {"use_qkv_bias": True}),
    "starcoder2": (t.Starcoder2Config, LLAMA | {"sliding_window": None}),
    "mpt": (t.MptConfig, dict(vocab_size=VOCAB, d_model=16, n_layers=2, n_heads=2, max_seq_len=64)),
    "olmo2": (t.Olmo2Config, LLAMA | HEADS),
    "cohere": (t.CohereConfig, LLAMA | {"logit_scale": 0.25}),
    "granite": (t.GraniteConfig, LLAMA | {"embedding_multiplier": 2.0, "attention_multiplier": 0.3, "residual_multiplier": 0.5, "logits_scaling": 4.0}),
    "qwen2moe": (t.Qwen2MoeConfig, LLAMA | EXPERTS | {"shared_expert_intermediate_size": 16}),
    "qwen3moe": (t.Qwen3MoeConfig, GEMMA | EXPERTS | {"norm_topk_prob": True}),
    "gptoss": (t.GptOssConfig, GEMMA | {"num_local_experts": 3, "num_experts_per_tok": 2, "sliding_window": 6, "intermediate_size": 16}),
}


def fill(model, generator):
    for name, p in model.named_parameters():
        grid = torch.randint(-2, 3, p.shape, generator=generator) / 4
        if p.dim() > 1:
            grid = grid * (16 / p.shape[-1]) ** 0.5
        elif re.search(r"(norm|ln_\w+|ln)\d?\.weight$", name) and "gemma" not in type(model).__name__.lower():
            grid = 1 + grid / 4
        p.data.copy_(grid)


def convert(source, folder, out):
    """Runs the converter, without vocabularies, on a folder."""
    from conversion import base, gptneox

    prepare = base.TextModel.prepare_metadata

    def without_vocabulary(self, vocab_only):
        self.set_vocab = lambda: None
        prepare(self, vocab_only)

    base.TextModel.prepare_metadata = without_vocabulary
    parameters = gptneox.GPTNeoXModel.set_gguf_parameters
    gptneox.GPTNeoXModel.set_gguf_parameters = lambda self: (self.hparams.setdefault("rotary_pct", 0.25), parameters(self))  # where transformers 5 has it otherwise
    sys.argv = ["convert_hf_to_gguf.py", "--outtype", "f32", "--outfile", str(out), str(folder)]
    try:
        runpy.run_path(str(source / "convert_hf_to_gguf.py"), run_name="__main__")
    except SystemExit as e:
        if e.code:
            raise
    base.TextModel.prepare_metadata, gptneox.GPTNeoXModel.set_gguf_parameters = prepare, parameters


def make(name, source, folder):
    config_class, values = CASES[name]
    config = config_class(**values)
    config._attn_implementation = "eager"
    model = t.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(list(CASES).index(name))
    fill(model, generator)
    ids = torch.randint(0, VOCAB, (1, LENGTH), generator=generator)
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits[0, -KEPT:]
    model.save_pretrained(folder)
    if name == "mpt":  # as the converter calls the class
        path = folder / "config.json"
        path.write_text(path.read_text().replace("MptForCausalLM", "MPTForCausalLM"))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {str(i): i for i in range(VOCAB)}}, "added_tokens": []}))  # the converter counts it
    convert(source, folder, folder / "model.gguf")
    golden = {"ids": ids[0].tolist(), "logits": [[round(float(x), 7) for x in row] for row in logits]}
    return (folder / "model.gguf").read_bytes(), json.dumps(golden)


def main():
    source = pathlib.Path(sys.argv[1]).resolve()
    names = sys.argv[2:] or list(CASES)
    sys.path[:0] = [str(source / "gguf-py"), str(source)]
    logging.disable(logging.WARNING)
    with zipfile.ZipFile(ROOT / "gguf.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                model, golden = make(name, source, pathlib.Path(folder))
            for suffix, data in (("gguf", model), ("json", golden)):
                archive.writestr(zipfile.ZipInfo(f"{name}.{suffix}"), data, zipfile.ZIP_DEFLATED, 9)
            print(name, len(model), flush=True)


if __name__ == "__main__":
    main()
