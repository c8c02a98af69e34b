package emu

import (
	"errors"
	"strings"
	"testing"
)

// TestEarly wants a kernel that may run while the launch before it ends to leave alone what that may write, until it has waited.
func TestEarly(t *testing.T) {
	const text = `.version 8.0
.target sm_90
.address_size 64
.visible .entry k(.param .u64 weights, .param .u64 x) {
	.reg .b64 %w, %x;
	.reg .b32 %v;
	ld.param.u64 %w, [weights];
	ld.param.u64 %x, [x];
	ld.global.u32 %v, [%w];
	BEFORE
	griddepcontrol.wait;
	AFTER
	st.global.u32 [%x], %v;
	ret;
}
`
	for _, c := range []struct {
		before, after string
		early         bool
		fault         bool
	}{
		{"ld.global.nc.u32 %v, [%w];", "ld.global.u32 %v, [%x];", true, false},
		{"ld.global.u32 %v, [%x];", "", true, true},
		{"st.global.u32 [%x], %v;", "", true, true},
		{"red.global.add.u32 [%x], %v;", "", true, true},
		{"", "ld.global.nc.u32 %v, [%x];", true, true},
		{"st.global.u32 [%x], %v;", "ld.global.nc.u32 %v, [%x];", false, false},
	} {
		m, err := Load(strings.NewReplacer("BEFORE", c.before, "AFTER", c.after).Replace(text))
		if err != nil {
			t.Fatal(err)
		}
		kernel, err := m.Kernel("k")
		if err != nil {
			t.Fatal(err)
		}
		memory := NewMemory()
		weights, err := memory.Wrap("weights", []byte{1, 0, 0, 0}, true)
		if err != nil {
			t.Fatal(err)
		}
		x, err := memory.Wrap("x", make([]byte, 4), false)
		if err != nil {
			t.Fatal(err)
		}
		config := Config{Grid: [3]uint32{1, 1, 1}, Block: [3]uint32{1, 1, 1}, Args: []uint64{weights.Addr(), x.Addr()}, Early: c.early}
		_, err = kernel.Launch(t.Context(), memory, config, Options{})
		var fault *Fault
		if c.fault != (errors.As(err, &fault) && fault.Kind == TooEarly) || !c.fault && err != nil {
			t.Errorf("%q, %q, early %v: %v", c.before, c.after, c.early, err)
		}
	}
}
