package models

import (
	"slices"
	"testing"

	"llmc/internal/golden"
	"llmc/ir/interp"
)

// textRecording is what golden.json says of an encoder-decoder.
type textRecording struct {
	Prompts []struct {
		Name     string  `json:"name"`
		IDs      []int32 `json:"ids"`
		Start    int32   `json:"decoder_start"`
		Generate struct {
			IDs []int32 `json:"ids"`
		} `json:"generate"`
	} `json:"prompts"`
}

// The encoder's rows and the decoder's logits are those that transformers recorded, with texts encoded one by one and decoded together.
func TestEncoderDecoders(t *testing.T) {
	for _, name := range []string{"t5", "flan-t5-gated", "bart"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := golden.Shared(t, "checkpoints", name)
			var want textRecording
			recorded := recording{tensors: openRecorded(t, dir, &want)}
			m, src := load(t, dir, Options{})
			machine := interp.New(m.Module, src)
			var all interp.Batch
			for i, p := range want.Prompts {
				var batch interp.Batch
				batch.Add(i, 0, len(p.IDs), p.IDs...)
				out, err := machine.Run(EncodeFunc, &batch)
				if err != nil {
					t.Fatal(err)
				}
				compareRows(t, p.Name+".encoder", out[0].Data, recorded.elements(t, p.Name+".encoder"), 1e-3)
				all.Add(i, 0, 8, append([]int32{p.Start}, p.Generate.IDs[:7]...)...)
			}
			all.SampleAll()
			out, err := machine.Run("step", &all)
			if err != nil {
				t.Fatal(err)
			}
			rows := 8 * out[0].Cols
			for i, p := range want.Prompts {
				compareRows(t, p.Name+".dec_logits", out[0].Data[i*rows:(i+1)*rows], recorded.elements(t, p.Name+".dec_logits"), 2e-3)
			}
		})
	}
}

// compareRows compares numbers with recorded ones.
func compareRows(t *testing.T, name string, got, want []float32, most float64) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%s: %d numbers, want %d", name, len(got), len(want))
	}
	if e := slices.Max(apart(got, want)); e > most {
		t.Errorf("%s: off by %g", name, e)
	}
}

func apart(got, want []float32) []float64 {
	list := make([]float64, len(got))
	for i := range got {
		list[i] = max(float64(got[i])-float64(want[i]), float64(want[i])-float64(got[i]))
	}
	return list
}
