package compiler_test

import (
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime/device/emu"
)

// GPU programs with an adapter beside the model are as near to what transformers recorded as CPUs' programs of the same format with it beside them, or merged
// in, and nearer by far than without it.
func TestEmulatedAdaptersAreWhatTransformersGives(t *testing.T) {
	base, adapter, g := adapted(t)
	for _, c := range []struct {
		target, format string
		long           bool
	}{
		{"sm80", "bf16", false}, {"sm89", "fp8", false}, {"sm90", "int8-w8a8", false}, {"sm80", "int8-w8a8", true}, {"sm90", "bf16", true}, {"sm90", "int4", true},
	} {
		if c.long && !thorough() {
			continue
		}
		merged, info := openBuilt(t, compiler.Options{Model: base, Lora: []compiler.Adapter{adapter}, Quant: c.format})
		onCPU, _ := unmerged(t, compiler.Options{Model: base, Quant: c.format, LoraRank: 8}, adapter.Dir)
		beside, _ := unmergedOn(t, emu.Device{}, compiler.Options{Model: base, Quant: c.format, LoraRank: 8, Archs: []string{c.target}}, adapter.Dir)
		for i, p := range g.Prompts {
			if i > 1 && !thorough() {
				break
			}
			want := g.tensor(t, p.Name+".logits")
			_, ofMerged := relative(forward(t, merged, info.Vocab, p.IDs, false)[0], want)
			_, ofCPU := relative(forward(t, engine.WithAdapter(onCPU, 1), info.Vocab, p.IDs, false)[0], want)
			_, ofBeside := relative(forward(t, engine.WithAdapter(beside, 1), info.Vocab, p.IDs, false)[0], want)
			_, ofPlain := relative(forward(t, beside, info.Vocab, p.IDs, false)[0], want)
			t.Logf("%s %s %s: rms %.4f merged on a CPU, %.4f beside there, %.4f beside, %.4f without", c.target, c.format, p.Name, ofMerged, ofCPU, ofBeside, ofPlain)
			if ofBeside > 2*max(ofMerged, ofCPU)+0.01 || ofPlain < 1.5*ofBeside {
				t.Errorf("%s %s %s: logits beside the model are off by %.4f, on a CPU by %.4f, merged by %.4f, without the adapter by %.4f", c.target, c.format, p.Name, ofBeside, ofCPU, ofMerged, ofPlain)
			}
		}
	}
}
