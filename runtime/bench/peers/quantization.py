"""Quantization beside llama.cpp's: one checkpoint, one text, the same windows of 512 tokens of which the second half is scored; prints a table in Markdown.

    python3 runtime/bench/peers/quantization.py MODEL --llmc bin/llmc --calib calib.txt --text eval.txt --peers DIR --out DIR

DIR of --peers is what setup.sh fills: llama.cpp/bin and, for the conversion, llama.cpp-src and ref. Each row is kept in OUT/rows.json when it is done, so that a run which was broken off goes on;
--rows names those that are wanted, --prefix is put before every command.
"""

import argparse
import json
import pathlib
import re
import resource
import shlex
import subprocess
import sys
import time

# name: arguments of llmc build beside model, output and calibration
OWN = {
    "bf16": ["--quant", "bf16"],
    "int8": ["--quant", "int8"],
    "fp8": ["--quant", "fp8"],
    "int8, keys and values in int8": ["--quant", "int8", "--kv-dtype", "int8"],
    "int8, keys and values in fp8": ["--quant", "int8", "--kv-dtype", "fp8"],
    "int4-g32 rounded": ["--quant", "int4-g32"],
    "int4-g32 awq": ["--quant", "int4-g32", "--method", "awq", "--calib"],
    "int4-g32 gptq-apart": ["--quant", "int4-g32", "--method", "gptq-apart", "--calib"],
    "int4-nested gptq": ["--quant", "int4-nested", "--calib"],
    "int4-g32 gptq": ["--quant", "int4-g32", "--calib"],
    "int4-g64 gptq": ["--quant", "int4-g64", "--calib"],
    "int4-g128 gptq": ["--quant", "int4-g128", "--calib"],
    "budget 5": ["--budget", "5", "--calib"],
    "budget 5.5": ["--budget", "5.5", "--calib"],
    "budget 6": ["--budget", "6", "--calib"],
}
PEER = ["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0"]


class Failed(Exception):
    pass


def run(prefix, *command):
    """Runs a command and returns what it printed, its seconds and the largest resident size of any so far, in bytes."""
    start = time.monotonic()
    done = subprocess.run([*prefix, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        raise Failed(f"{shlex.join(map(str, command))}: exit {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout, done.stderr, time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def own(a, name):
    plan, args = a.out / "own.plan", list(OWN[name])
    if args[-1] == "--calib":
        args += [a.calib, "--calib-state", a.out / ("state " + name)] if "--method" not in args else [a.calib]
    out, *_ = run(a.prefix, a.llmc, "build", a.model, "-o", plan, "--arch", a.arch, *args, "--json")
    built = json.loads(out)
    against = ["--against", a.model] if a.kl else []
    out, *_ = run(a.prefix, a.llmc, "eval", plan, "--text", a.text, "--windows", a.windows, *against, "--json")
    plan.unlink()
    q = json.loads(out)
    return {"bits": built["bits_per_weight"], "ppl": q["ppl"], "kl": q.get("kl"), "top1": q.get("top1"), "seconds": built["seconds"], "bytes": built["peak_anon_bytes"], "memory": "anonymous"}


def figure(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise Failed(f"{pattern!r} is not in the output")
    return float(found.group(1))


def peer(a, name):
    tools, base = a.peers / "llama.cpp/bin", a.out / "bf16.gguf"
    if not base.exists():
        script = a.peers / "llama.cpp-src/vendor/llama.cpp/convert_hf_to_gguf.py"
        part = a.out / "part.gguf"
        run(a.prefix, a.peers / "ref/bin/python", script, a.model, "--outtype", "bf16", "--outfile", part)
        part.rename(base)
    file = a.out / (name + ".gguf")
    out, err, seconds, memory = run(a.prefix, tools / "llama-quantize", base, file, name, 2)
    common = ["-f", a.text, "-c", 512, "--chunks", a.windows, "-t", 2]
    row = {"bits": figure(r"quant size\s*=.*\(([\d.]+) BPW\)", out + err), "kl": None, "top1": None, "seconds": seconds, "bytes": memory, "memory": "resident"}
    if a.kl:
        logits = a.out / f"logits.{a.windows}"
        if not logits.exists():
            part = a.out / "logits.part"
            run(a.prefix, tools / "llama-perplexity", "-m", base, *common, "--kl-divergence-base", part)
            part.rename(logits)
        out, err, *_ = run(a.prefix, tools / "llama-perplexity", "-m", file, *common, "--kl-divergence-base", logits, "--kl-divergence")
        text = out + err
        row |= {"ppl": figure(r"Mean PPL\(Q\)\s*:\s*([\d.]+)", text), "kl": figure(r"Mean\s+KLD:\s*([-\d.]+)", text), "top1": figure(r"Same top p:\s*([\d.]+)", text) / 100}
    else:
        out, err, *_ = run(a.prefix, tools / "llama-perplexity", "-m", file, *common)
        row["ppl"] = figure(r"Final estimate: PPL = ([\d.]+)", out + err)
    file.unlink()
    return row


def table(rows):
    reference = rows.get("bf16", {}).get("ppl")
    print("| | bits per weight | perplexity | above bf16, % | divergence, nats | same token, % | seconds to build | memory, MB |\n|---|---|---|---|---|---|---|---|")
    for name, r in rows.items():
        above = f"{100 * (r['ppl'] / reference - 1):+.2f}" if reference else ""
        kl = "" if r["kl"] is None else f"{r['kl']:.4f}"
        top = "" if r["top1"] is None else f"{100 * r['top1']:.1f}"
        print(f"| {name} | {r['bits']:.2f} | {r['ppl']:.3f} | {above} | {kl} | {top} | {r['seconds']:.0f} | {r['bytes'] / 1e6:.0f} {r['memory']} |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=pathlib.Path)
    for name in ("--llmc", "--calib", "--text", "--out"):
        p.add_argument(name, type=pathlib.Path, required=True)
    p.add_argument("--peers", type=pathlib.Path, help="without it there are no rows of llama.cpp")
    p.add_argument("--arch", default="native")
    p.add_argument("--windows", type=int, default=64)
    p.add_argument("--kl", action="store_true", help="measure divergence too, which takes twice as long")
    p.add_argument("--rows", help="names, separated by semicolons (default: all)")
    p.add_argument("--prefix", type=shlex.split, default=[])
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    kept = a.out / "rows.json"
    rows = json.loads(kept.read_text()) if kept.exists() else {}
    todo = {name: own for name in OWN} | ({"llama.cpp " + name: peer for name in PEER} if a.peers else {})
    wanted = [w.strip() for w in a.rows.split(";")] if a.rows else list(todo)
    failed = 0
    for name in wanted:
        if name not in todo:
            p.error(f"--rows: there is no {name!r}, there are {'; '.join(todo)}")
        if name in rows:
            continue
        try:
            rows[name] = todo[name](a, name.removeprefix("llama.cpp "))
        except Failed as e:
            print(f"{name}: {e}", file=sys.stderr)
            failed = 1
            continue
        kept.write_text(json.dumps(rows, indent=1))
    table({name: rows[name] for name in todo if name in rows})
    return failed


if __name__ == "__main__":
    sys.exit(main())
