package ptxas

import (
	"context"
	"testing"

	"llmc/internal/cubin"
)

// TestAssembleRegisters wants of assembled code what the assembler prints.
func TestAssembleRegisters(t *testing.T) {
	const text = `.version 7.8
.target sm_80
.address_size 64
.visible .entry few(.param .u64 p) { .reg .b64 %a; .reg .b32 %r; ld.param.u64 %a, [p]; cvta.to.global.u64 %a, %a; mov.u32 %r, %tid.x; st.global.u32 [%a], %r; ret; }
.visible .entry none() { ret; }
`
	for _, a := range Find(t) {
		image, _, err := a.Assembler.Assemble(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := cubin.Registers(image)
		if err != nil {
			t.Fatal(err)
		}
		used := a.Assemble(t, text, "sm_80")
		for _, u := range used {
			if got[u.Entry] != u.Registers || u.Registers == 0 {
				t.Errorf("ptxas %s, %s: %d registers, the code says %d", a.Release, u.Entry, u.Registers, got[u.Entry])
			}
		}
		if len(got) != len(used) {
			t.Errorf("ptxas %s: code of %d entries, there are %d", a.Release, len(got), len(used))
		}
	}
}
