package hf

import (
	"encoding/json"
	"os"
	"testing"

	"llmc/internal/dtype"
)

// A file that the safetensors library wrote: numbers come back, other types are known by name and raw bytes.
func TestEveryElementType(t *testing.T) {
	f, err := OpenFile("testdata/dtypes.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := os.ReadFile("testdata/dtypes.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string][]float64
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(f.Names()) != len(want) {
		t.Errorf("%d tensors, want %d", len(f.Names()), len(want))
	}
	for name, numbers := range want {
		x := f.Tensor(name)
		if x == nil || x.Elements() != int64(len(numbers)) {
			t.Errorf("%s: %v", name, x)
			continue
		}
		if _, err := dtype.FromSafetensors(name); err == nil && x.Stored != name {
			t.Errorf("%s is stored as %s", name, x.Stored)
		}
		got := make([]float32, len(numbers))
		err := x.ReadRows(got, 0, x.Rows())
		if x.CheckFloat() != nil {
			wantError(t, err, name, "holds "+x.Stored)
			if err := x.ReadRaw(make([]byte, x.Bytes()), 0, x.Rows()); err != nil {
				t.Error(err)
			}
			continue
		}
		if err != nil {
			t.Error(err)
		}
		for i, v := range numbers {
			if got[i] != float32(v) {
				t.Errorf("%s[%d] = %g, want %g", name, i, got[i], v)
			}
		}
	}
}
