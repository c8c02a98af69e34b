package gpubench

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"llmc/internal/cli"
)

// Result is what a run measured, in the form of its file.
type Result struct {
	Device     string    `json:"device"`
	Capability int       `json:"capability"` // 10*major + minor
	CUDA       string    `json:"cuda"`       // the newest that the driver serves
	Driver     string    `json:"driver"`     // its own version
	Memory     int64     `json:"memory"`     // bytes that were free
	Date       string    `json:"date"`
	Version    string    `json:"version"` // of llmc
	CPUs       int       `json:"cpus"`
	Torch      *Torch    `json:"torch,omitempty"`
	Goals      []Goal    `json:"goals,omitempty"`
	Sections   []Section `json:"sections"`
}

// Torch is what the figures of torch were measured with.
type Torch struct {
	Version string `json:"version"`
	CUDA    string `json:"cuda"`
}

// Section is a part of a run that had a process of its own.
type Section struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error,omitempty"` // why there is not more
	Rows    []Row   `json:"rows"`
}

// Row is one figure. Fields that say nothing for its kind are zero.
type Row struct {
	Kind   string `json:"kind"`             // "copy", "read", "product", "attention", "launch", "model", "build", or "torch" and what it computes
	Name   string `json:"name,omitempty"`   // of launches: what weights they read
	Model  string `json:"model,omitempty"`  // of shapes
	Format string `json:"format,omitempty"` // of weights
	Kernel string `json:"kernel,omitempty"`

	Tokens    int   `json:"tokens,omitempty"`    // of a step
	Sequences int   `json:"sequences,omitempty"` // of a step
	Context   int   `json:"context,omitempty"`   // positions of each sequence
	N         int64 `json:"n,omitempty"`         // outputs of a product
	K         int64 `json:"k,omitempty"`         // its inputs
	Heads     int   `json:"heads,omitempty"`
	KVHeads   int   `json:"kv_heads,omitempty"`
	Dim       int   `json:"dim,omitempty"`

	Micros  float64 `json:"us,omitempty"` // of one launch, or of a decode step
	GBs     float64 `json:"gb_per_s,omitempty"`
	TFlops  float64 `json:"tflop_per_s,omitempty"`
	OfCopy  float64 `json:"of_copy,omitempty"`  // gb_per_s as a fraction of the copy's of the same run
	OfTorch float64 `json:"of_torch,omitempty"` // torch's time as a fraction of this one: above 1, this is faster

	Prompt     int     `json:"prompt,omitempty"`
	Gen        int     `json:"gen,omitempty"`
	PrefillTPS float64 `json:"prefill_tps,omitempty"`
	DecodeTPS  float64 `json:"decode_tps,omitempty"`
	HostMicros float64 `json:"host_us,omitempty"` // what the host does for a decode step
	IdleMicros float64 `json:"idle_us,omitempty"` // when the device does nothing for a decode step that is waited for
	Seconds    float64 `json:"seconds,omitempty"` // of a build, of loading
	Note       string  `json:"note,omitempty"`
}

// each calls visit with every row.
func (r *Result) each(visit func(row *Row)) {
	for i := range r.Sections {
		for j := range r.Sections[i].Rows {
			visit(&r.Sections[i].Rows[j])
		}
	}
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// path is the file of a run in a directory: named for the device and the day.
func (r *Result) path(dir string) string {
	device := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(r.Device), "-"), "-")
	day, _, _ := strings.Cut(r.Date, "T")
	return filepath.Join(dir, device+"-"+day+".json")
}

// write puts the file in place of the one before, whole.
func (r *Result) write(path string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return cli.WriteFile(path, func(w io.Writer) error { _, err := w.Write(append(text, '\n')); return err })
}

// Read reads a file of an earlier run.
func Read(path string) (*Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &Result{}
	return r, json.Unmarshal(text, r)
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }
