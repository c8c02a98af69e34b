"""Quantization beside llama.cpp's, OpenVINO's and llm-compressor's: one checkpoint, one text, the same windows of 512 tokens of which the second half is scored; prints a table in Markdown.

    python3 runtime/bench/peers/quantization.py MODEL --llmc bin/llmc --calib calib.txt --text eval.txt --peers DIR --out DIR

DIR of --peers is what setup.sh fills: llama.cpp/bin and, for the conversion, llama.cpp-src and ref; ov for OpenVINO, lc for llm-compressor. Seconds are of processors, so that other work beside it counts little, and of a peer's
quantization alone, what it looks at a text for included; turning the checkpoint into its container, at 16 bits, is not. OpenVINO computes as it does by itself (in bf16
where the processor multiplies that, inputs of products with weights of few bits in 8 bits). Each row is kept in OUT/rows.json when it is done, so that a run which was broken off goes on;
--rows names those that are wanted, --prefix is put before every command.
"""

import argparse
import json
import math
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

# name: arguments of llmc build beside model, output and calibration
OWN = {
    "bf16": ["--quant", "bf16"],
    "int8": ["--quant", "int8"],
    "fp8": ["--quant", "fp8"],
    "int8, keys and values in int8": ["--quant", "int8", "--kv-dtype", "int8"],
    "int8, keys and values in fp8": ["--quant", "int8", "--kv-dtype", "fp8"],
    "int8, keys and values in int4": ["--quant", "int8", "--kv-dtype", "int4"],
    "int8 gptq": ["--quant", "int8", "--calib"],
    "fp8 gptq": ["--quant", "fp8", "--calib"],
    "int4-g32 rounded": ["--quant", "int4-g32"],
    "int4-g32 awq": ["--quant", "int4-g32", "--method", "awq", "--calib"],
    "int4-g32 gptq-apart": ["--quant", "int4-g32", "--method", "gptq-apart", "--calib"],
    "int4-nested gptq": ["--quant", "int4-nested", "--calib"],
    "int4-g32 gptq": ["--quant", "int4-g32", "--calib"],
    "int4-g32 gptq, embedding bf16": ["--quant", "int4-g32", "--override", "*embed*=bf16", "--calib"],
    "int4-g32 gptq-tuned": ["--quant", "int4-g32", "--method", "gptq-tuned", "--calib"],
    "int4-g64 gptq": ["--quant", "int4-g64", "--calib"],
    "int4-g64 gptq-tuned": ["--quant", "int4-g64", "--method", "gptq-tuned", "--calib"],
    "int4-g128 gptq": ["--quant", "int4-g128", "--calib"],
    "int4-g128 gptq-tuned": ["--quant", "int4-g128", "--method", "gptq-tuned", "--calib"],
    "nvfp4 rounded": ["--quant", "nvfp4"],
    "nvfp4 gptq": ["--quant", "nvfp4", "--calib"],
    "mxfp4 rounded": ["--quant", "mxfp4"],
    "mxfp4 gptq": ["--quant", "mxfp4", "--calib"],
    "budget 5": ["--budget", "5", "--calib"],
    "budget 5.5": ["--budget", "5.5", "--calib"],
    "budget 6": ["--budget", "6", "--calib"],
}
# name: arguments of llama-quantize, the last is the type; keys and values are in f16 or as the name says
LLAMACPP = {
    "Q8_0": ["Q8_0"],
    "Q8_0, keys and values in Q8_0": ["Q8_0"],
    "Q8_0, keys and values in Q4_0": ["Q8_0"],
    "Q6_K": ["Q6_K"],
    "Q5_K_M": ["Q5_K_M"],
    "Q4_K_M": ["Q4_K_M"],
    "Q4_0": ["Q4_0"],
    "Q5_K_M, imatrix": ["--imatrix", "Q5_K_M"],
    "Q4_K_M, imatrix": ["--imatrix", "Q4_K_M"],
    "Q4_0, imatrix": ["--imatrix", "Q4_0"],
    "Q4_0 throughout, imatrix": ["--imatrix", "--pure", "Q4_0"],
    "IQ4_NL throughout, imatrix": ["--imatrix", "--pure", "IQ4_NL"],
}
# name: arguments of compress_openvino.py beside the model and the output
OPENVINO = {
    "fp16": [],
    "int8": ["int8"],
    "int4-g32, embedding and head int8": ["int4"],
    "int4-g32": ["int4", "--all-layers"],
    "int4-g32, awq, scale estimation": ["int4", "--all-layers", "--awq", "--scale-estimation", "--text"],
    "int4-g32, gptq": ["int4", "--all-layers", "--gptq", "--text"],
    "int4-g32, awq, scale estimation, gptq": ["int4", "--all-layers", "--awq", "--scale-estimation", "--gptq", "--text"],
    "int4-g32, awq, scale estimation, embedding and head int8": ["int4", "--awq", "--scale-estimation", "--text"],
}
# name: method of compress_llmcompressor.py; the embedding and the head stay in 16 bits
LLMCOMPRESSOR = {
    "int4-g32 rounded, embedding and head bf16": "rounded",
    "int4-g32 awq, embedding and head bf16": "awq",
    "int4-g32 gptq, embedding and head bf16": "gptq",
}
HERE = pathlib.Path(__file__).parent


class Failed(Exception):
    pass


def run(prefix, *command):
    """Runs a command and returns what it printed, the seconds it took of processors and its largest resident size in bytes."""
    with tempfile.TemporaryFile("w+", errors="replace") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        child = subprocess.Popen([*prefix, *map(str, command)], stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        said, told = out.read(), err.read()
    if child.returncode:
        raise Failed(f"{shlex.join(map(str, command))}: exit {child.returncode}: {told.strip().splitlines()[-1:]}")
    return said, told, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def own(a, name):
    plan, args = a.out / (name + ".plan"), list(OWN[name])
    if args[-1] == "--calib":
        args += [a.calib, "--calib-state", a.out / ("state " + name)] if "--method" not in args else [a.calib]
    out, _, seconds, _ = run(a.prefix, a.llmc, "build", a.model, "-o", plan, "--no-cache", "--arch", a.arch, *args, "--json")
    built = json.loads(out)
    against = ["--against", a.model] if a.kl else []
    out, *_ = run(a.prefix, a.llmc, "eval", plan, "--text", a.text, "--windows", a.windows, *against, "--json")
    plan.unlink()
    q = json.loads(out)
    return {"bits": built["bits_per_weight"], "ppl": q["ppl"], "kl": q.get("kl"), "top1": q.get("top1"), "seconds": seconds, "bytes": built["peak_anon_bytes"], "memory": "anonymous"}


def figure(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise Failed(f"{pattern!r} is not in the output")
    return float(found.group(1))


def once(file, make):
    """Makes a file that several rows read, whole or not at all: make(part) writes it."""
    if not file.exists():
        part = file.with_name("part." + file.name)
        make(part)
        part.rename(file)
    return file


def imatrix(a, base):
    """The importance matrix of the calibration text, its seconds and memory."""
    file, took = a.out / "imatrix.gguf", a.out / "imatrix.json"

    def make(part):
        *_, seconds, memory = run(a.prefix, a.peers / "llama.cpp/bin/llama-imatrix", "-m", base, "-f", a.calib, "-o", part, "-t", a.threads, "--no-ppl")
        took.write_text(json.dumps([seconds, memory]))

    return once(file, make), *json.loads(took.read_text())


def llamacpp(a, name):
    tools, script = a.peers / "llama.cpp/bin", a.peers / "llama.cpp-src/vendor/llama.cpp/convert_hf_to_gguf.py"
    base = once(a.out / "bf16.gguf", lambda part: run(a.prefix, a.peers / "ref/bin/python", script, a.model, "--outtype", "bf16", "--outfile", part))
    file, (*args, kind), before, most = a.out / (name + ".gguf"), LLAMACPP[name], 0, 0
    cache = re.search(r"values in (\w+)$", name)
    cache = ["-fa", "on", "-ctk", cache[1].lower(), "-ctv", cache[1].lower()] if cache else []
    if "--imatrix" in args:
        matrix, before, most = imatrix(a, base)
        args.insert(args.index("--imatrix") + 1, matrix)
    out, err, seconds, memory = run(a.prefix, tools / "llama-quantize", *args, base, file, kind, a.threads)
    common = ["-f", a.text, "-c", 512, "--chunks", a.windows, "-t", a.threads]
    row = {"bits": figure(r"quant size\s*=.*\(([\d.]+) BPW\)", out + err), "kl": None, "top1": None, "seconds": before + seconds, "bytes": max(most, memory), "memory": "resident"}
    if a.kl:
        logits = once(a.out / f"logits.{a.windows}", lambda part: run(a.prefix, tools / "llama-perplexity", "-m", base, *common, "--kl-divergence-base", part))
        out, err, *_ = run(a.prefix, tools / "llama-perplexity", "-m", file, *common, *cache, "--kl-divergence-base", logits, "--kl-divergence")
        text = out + err
        row |= {"ppl": figure(r"Mean PPL\(Q\)\s*:\s*([\d.]+)", text), "kl": figure(r"Mean\s+KLD:\s*([-\d.]+)", text), "top1": figure(r"Same top p:\s*([\d.]+)", text) / 100}
    else:
        out, err, *_ = run(a.prefix, tools / "llama-perplexity", "-m", file, *common, *cache)
        row["ppl"] = figure(r"Final estimate: PPL = ([\d.]+)", out + err)
    file.unlink()
    return row


def openvino(a, name):
    """A row of perplexity alone: the scorer of the peers' benchmark, which tells no logits."""
    python, environment = a.peers / "ov/bin/python", ["env", "HF_HUB_OFFLINE=1", f"OMP_NUM_THREADS={a.threads}", *a.prefix]
    export = [a.peers / "ov/bin/optimum-cli", "export", "openvino", "--model", a.model, "--task", "text-generation-with-past", "--weight-format", "fp16"]
    base, args = once(a.out / "openvino", lambda part: run(environment, *export, part)), OPENVINO[name]
    made, seconds, memory = base, 0, 0
    if args:
        made = a.out / ("openvino " + name)
        calibration = [a.calib] if args[-1] == "--text" else []
        *_, seconds, memory = run(environment, python, HERE / "compress_openvino.py", base, made, *args, *calibration)
    sizes = [(d / "openvino_model.bin").stat().st_size for d in (made, base)]
    tokenize = "import json, sys, tokenizers; print(json.dumps(tokenizers.Tokenizer.from_file(sys.argv[1]).encode(open(sys.argv[2]).read(), add_special_tokens=False).ids))"
    ids, *_ = run(environment, python, "-c", tokenize, base / "tokenizer.json", a.text)
    request = a.out / "openvino.json"
    request.write_text(json.dumps({"model": str(made), "threads": a.threads, "ids": json.loads(ids), "window": 512, "windows": a.windows}))
    out, *_ = run(environment, python, HERE / "adapt/python/peer_openvino.py", request)
    if args:
        shutil.rmtree(made)
    ppl = math.exp(figure(r'"loss": ([\d.]+)', out) / figure(r'"tokens": (\d+)', out))
    return {"bits": 16 * sizes[0] / sizes[1], "ppl": ppl, "kl": None, "top1": None, "seconds": seconds, "bytes": memory, "memory": "resident"}


def llmcompressor(a, name):
    """A row of perplexity alone, computed in f32."""
    script = [a.peers / "lc/bin/python", HERE / "compress_llmcompressor.py", a.model, LLMCOMPRESSOR[name], "--calib", a.calib, "--text", a.text]
    out, *_ = run(["env", "HF_HUB_OFFLINE=1", *a.prefix], *script, "--windows", a.windows, "--threads", a.threads)
    return {"kl": None, "top1": None, "memory": "resident"} | json.loads(out.strip().splitlines()[-1])


def read(kept):
    return json.loads(kept.read_text()) if kept.exists() else {}


def table(rows):
    reference = rows.get("bf16", {}).get("ppl")
    columns = {
        "": lambda name, r: name,
        "bits per weight": lambda _, r: f"{r['bits']:.2f}",
        "perplexity": lambda _, r: f"{r['ppl']:.3f}",
        "above bf16, %": lambda _, r: f"{100 * (r['ppl'] / reference - 1):+.2f}" if reference else "",
        "divergence, nats": lambda _, r: "" if r["kl"] is None else f"{r['kl']:.4f}",
        "same token, %": lambda _, r: "" if r["top1"] is None else f"{100 * r['top1']:.1f}",
        "processor seconds": lambda _, r: f"{r['seconds']:.0f}" if r["seconds"] else "",
        "memory, MB": lambda _, r: f"{r['bytes'] / 1e6:.0f} {r['memory']}" if r["bytes"] else "",
    }
    cells = {title: [cell(name, r) for name, r in rows.items()] for title, cell in columns.items()}
    cells = {title: column for title, column in cells.items() if not title or any(column)}
    for line in (cells, ["---"] * len(cells), *zip(*cells.values())):
        print("| " + " | ".join(line) + " |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=pathlib.Path)
    for name in ("--llmc", "--calib", "--text", "--out"):
        p.add_argument(name, type=pathlib.Path, required=True)
    p.add_argument("--peers", type=pathlib.Path, help="without it there are no rows of others")
    p.add_argument("--arch", default="native")
    p.add_argument("--windows", type=int, default=64)
    p.add_argument("--threads", type=int, default=2, help="threads of the peers: no more than --prefix leaves processors to them")
    p.add_argument("--kl", action="store_true", help="measure divergence too, which takes twice as long")
    p.add_argument("--rows", help="names, separated by semicolons (default: all)")
    p.add_argument("--prefix", type=shlex.split, default=[])
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    kept = a.out / "rows.json"
    rows = read(kept)
    todo = {name: (own, name) for name in OWN}
    if a.peers:
        todo |= {"llama.cpp " + name: (llamacpp, name) for name in LLAMACPP} | {"OpenVINO " + name: (openvino, name) for name in OPENVINO}
        todo |= {"llm-compressor " + name: (llmcompressor, name) for name in LLMCOMPRESSOR}
    wanted = [w.strip() for w in a.rows.split(";")] if a.rows else list(todo)
    failed = 0
    for name in wanted:
        if name not in todo:
            p.error(f"--rows: there is no {name!r}, there are {'; '.join(todo)}")
        if name in rows:
            continue
        try:
            measure, which = todo[name]
            rows[name] = measure(a, which)
        except Failed as e:
            print(f"{name}: {e}", file=sys.stderr)
            failed = 1
            continue
        rows = read(kept) | {name: rows[name]}
        kept.write_text(json.dumps(rows, indent=1))
    table({name: rows[name] for name in todo if name in rows})
    return failed


if __name__ == "__main__":
    sys.exit(main())
