package repository

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestConfig(t *testing.T) {
	c, err := parseConfig([]byte(`
		name: "m" platform: "llmc_plan" max_batch_size: 8
		input [ { name: "text_input" data_type: TYPE_STRING dims: [ -1 ] } ]
		output { name: "text_output" data_type: TYPE_STRING dims: -1 }
		instance_group [ { count: 1 kind: KIND_AUTO } ]
		dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 2500 default_queue_policy { max_queue_size: 5 } }
		default_model_filename: "engine.plan"
		model_transaction_policy { decoupled: true }
		parameters { key: "kv_memory" value { string_value: "1G" } }
		parameters { key: "max_context" value { string_value: "512" } }  # a comment
	`), "m")
	if err != nil {
		t.Fatal(err)
	}
	if c.MaxSequences != 8 || c.KVBytes != 1<<30 || c.MaxContext != 512 || c.QueueLimit != 5 || c.QueueDelay != 2500*time.Microsecond || c.file != "engine.plan" || !slices.Equal(c.Inputs, []string{"text_input"}) {
		t.Errorf("%+v", c)
	}
	for text, want := range map[string]string{
		`sequence_batching { }`:                                                   "unknown field: sequence_batching",
		`optimization { cuda { graphs: true } }`:                                  "unknown field: optimization",
		`model_warmup { name: "w" }`:                                              "unknown field: model_warmup",
		`input { name: "x" reshape { shape: [ 1 ] } }`:                            "unknown field: reshape",
		`instance_group { gpus: [ 0 ] }`:                                          "unknown field: gpus",
		`instance_group { count: 2 }`:                                             "leave count at 1",
		`instance_group { kind: KIND_GPU }`:                                       "KIND_GPU",
		`name: "other"`:                                                           "the directory is called",
		`platform: "onnxruntime_onnx"`:                                            "onnxruntime_onnx",
		`backend: "python"`:                                                       "python",
		`response_cache { enable: true }`:                                         "response_cache",
		`default_model_filename: "../../etc/passwd"`:                              "default_model_filename",
		`default_model_filename: ".."`:                                            "default_model_filename",
		`dynamic_batching { max_queue_delay_microseconds: 18446744073709551615 }`: "at most 1m0s",
		`max_batch_size: -1`:                                                      "max_batch_size",
		`parameters { key: "gpt_model_type" value { string_value: "x" } }`:        "gpt_model_type",
		`parameters { key: "kv_memory" value { string_value: "much" } }`:          "is not a size",
		`name: "m`:                       "unexpected EOF",
		`name: "m" name: "m"`:            "non-repeated field",
		strings.Repeat("#", maxConfig+1): "at most",
	} {
		if _, err := parseConfig([]byte(text), "m"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.80s: %v, want %q", text, err, want)
		}
	}
}

func TestVersionPolicy(t *testing.T) {
	for text, want := range map[string][]int{
		"": {7}, "version_policy { latest { num_versions: 2 } }": {3, 7}, "version_policy { latest { } }": {7},
		"version_policy { all { } }": {1, 3, 7}, "version_policy { specific { versions: [ 3, 1, 3 ] } }": {1, 3},
	} {
		c, err := parseConfig([]byte(text), "m")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.choose([]int{1, 3, 7}); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v %v, want %v", text, got, err, want)
		}
	}
	c, err := parseConfig([]byte("version_policy { specific { versions: [ 2 ] } }"), "m")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.choose([]int{1, 3}); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("%v", err)
	}
}

// Directories whose names are no plain numbers above 0 are no versions, and nothing but a directory of the repository is a model.
func TestLayout(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"m/1/model.plan", "m/2/model.plan", "m/03/model.plan", "m/0/model.plan", "m/-1/model.plan", "m/next/model.plan", "file", ".hidden/1/model.plan"} {
		write(t, filepath.Join(dir, path), "x")
	}
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	if list, err := names(dir); err != nil || !slices.Equal(list, []string{"empty", "m"}) {
		t.Errorf("%v %v", list, err)
	}
	write(t, filepath.Join(dir, "m", configFile), "version_policy { all { } }")
	s, err := read(dir, "m")
	if err != nil || len(s.versions) != 2 || s.versions[1].number != 2 || s.versions[1].path != filepath.Join(dir, "m/2/model.plan") {
		t.Errorf("%+v %v", s, err)
	}
	for name, want := range map[string]string{"../" + filepath.Base(dir) + "/m": errAbsent.Error(), "m/1": errAbsent.Error(), ".hidden": errAbsent.Error(), "": errAbsent.Error(), "file": errAbsent.Error(), "empty": "no version"} {
		if _, err := read(dir, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
	if err := os.Remove(filepath.Join(dir, "m/2/model.plan")); err != nil {
		t.Fatal(err)
	}
	if _, err := read(dir, "m"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// FuzzConfig: no text makes the reader fail, and what it takes is within bounds.
func FuzzConfig(f *testing.F) {
	f.Add(`name: "m" max_batch_size: 8 version_policy { specific { versions: [ 1 ] } }`)
	f.Add(`parameters { key: "kv_memory" value { string_value: "1G" } } default_model_filename: "a"`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConfig([]byte(text), "m")
		if err != nil {
			return
		}
		if c.MaxSequences < 0 || c.MaxContext < 0 || c.KVBytes < 0 || c.file != filepath.Base(c.file) {
			t.Fatalf("%+v", c)
		}
		if some, err := c.choose([]int{1, 2, 5}); err == nil && (len(some) == 0 || !slices.IsSorted(some)) {
			t.Fatalf("%v", some)
		}
	})
}
