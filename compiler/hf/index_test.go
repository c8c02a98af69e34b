package hf

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
)

// Whatever the bytes are: a typed error, or shards that stay inside the directory.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":1},"weight_map":{"x":"a.safetensors","y":"sub/b.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"x":"../a.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"x":"a/../../b.safetensors"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		ix, err := parseIndex(bytes.NewReader(text))
		if err != nil {
			if e := (*Error)(nil); !errors.As(err, &e) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		for tensor, shard := range ix.shardOf {
			rel, err := filepath.Rel("/model", filepath.Join("/model", shard))
			if err != nil || !filepath.IsLocal(rel) || filepath.IsAbs(shard) {
				t.Fatalf("tensor %q is taken from %q", tensor, shard)
			}
		}
	})
}
