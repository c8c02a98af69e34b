package gpubench

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // the script
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
)

//go:embed peer.py
var torchScript string

// torchCases are the launches of the models that torch has something for, each once.
func torchCases(specs []spec, copied int64) []Row {
	cases := []Row{{Kind: "copy", N: copied}}
	seen := map[Row]bool{}
	add := func(r Row) {
		if !seen[r] {
			seen[r] = true
			cases = append(cases, r)
		}
	}
	for _, s := range specs {
		q, kv := int64(s.heads*s.dim), int64(s.kvHeads*s.dim)
		hidden, inner := int64(s.hidden), int64(s.intermediate)
		layer := [][2]int64{{q + 2*kv, hidden}, {hidden, q}, {2 * inner, hidden}, {hidden, inner}}
		product := func(tokens int, sizes ...[2]int64) {
			for _, size := range sizes {
				add(Row{Kind: "product", Format: formats[s.format], Tokens: tokens, N: size[0], K: size[1]})
			}
		}
		for _, d := range s.decodes {
			product(d.sequences, append(layer, [2]int64{int64(s.vocab), hidden})...)
			add(Row{Kind: "attention", Tokens: d.sequences, Sequences: d.sequences, Context: d.context, Heads: s.heads, KVHeads: s.kvHeads, Dim: s.dim})
		}
		for _, tokens := range s.prefills {
			product(tokens, layer...)
			add(Row{Kind: "attention", Tokens: tokens, Sequences: 1, Context: tokens, Heads: s.heads, KVHeads: s.kvHeads, Dim: s.dim})
		}
	}
	return cases
}

// caseOf is the case that a row is compared with.
func caseOf(r *Row) Row {
	switch r.Kind {
	case "product":
		return Row{Kind: r.Kind, Format: formats[r.Format], Tokens: r.Tokens, N: r.N, K: r.K}
	case "attention":
		return Row{Kind: r.Kind, Tokens: r.Tokens, Sequences: r.Sequences, Context: r.Context, Heads: r.Heads, KVHeads: r.KVHeads, Dim: r.Dim}
	}
	return Row{}
}

// measureTorch times the cases with torch, if python3 has it.
func measureTorch(ctx context.Context, python string, cases []Row, found func(Torch) error, emit func(Row) error) error {
	if err := exec.CommandContext(ctx, python, "-c", "import torch").Run(); err != nil {
		return errors.New("no " + python + " with torch: nothing is compared with it")
	}
	input, err := json.Marshal(cases)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, python, "-c", torchScript)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var answer struct {
			Torch
			Case  *int    `json:"case"`
			Us    float64 `json:"us"`
			Error string  `json:"error"`
		}
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			return fmt.Errorf("torch: %q: %w", lines.Text(), err)
		}
		if answer.Case == nil {
			err = found(answer.Torch)
		} else if *answer.Case >= 0 && *answer.Case < len(cases) {
			row := cases[*answer.Case]
			row.Kind, row.Micros, row.Note = "torch "+row.Kind, answer.Us, answer.Error
			if row.Kind == "torch copy" && answer.Us > 0 {
				row.GBs = 2 * float64(row.N) / answer.Us / 1e3
			}
			err = emit(row)
		}
		if err != nil {
			return err
		}
	}
	if err := cmd.Wait(); err != nil {
		text := bytes.TrimSpace(said.Bytes())
		return fmt.Errorf("torch: %w: %s", err, text[max(0, bytes.LastIndexByte(text, '\n')+1):])
	}
	return nil
}
