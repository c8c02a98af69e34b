// Package adapt knows the programs that are compared: where setup puts them, how each is run and asked, and what its answers mean.
package adapt

import (
	"embed"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Bench is what all runs have in common.
type Bench struct {
	Peers      string  // directory that setup fills
	Bin        string  // directory of llmc and llmrun
	Scratch    string  // directory for plans, requests and adaptors
	Checkpoint string  // directory of the model
	Model      string  // its name, by which peers' files of it are found
	Threads    int     // of every engine
	Text       string  // file that IDs are the tokens of
	IDs        []int32 // a text's token ids, of which prompts are made and perplexity is measured
	Windows    int     // of the text at most that perplexity is measured on
}

// Variant is a model in one of a peer's own formats.
type Variant struct {
	Format string // that it is compared in
	Name   string // the peer's own name of it
	Path   string // below Bench.Peers, with * for the model's name
	Also   bool   // of several in a format, one that is only run when all are asked for
}

// Case is something to be measured of a program without a server.
type Case struct {
	Metric string `json:"-"` // prefill, decode or context
	Batch  int    `json:"batch"`
	Prompt int    `json:"prompt"`
	Gen    int    `json:"gen"` // tokens of each sequence that the metric is about; none: the prompt is
	Repeat int    `json:"-"`   // in a process
}

// Size is the size of the case's metric.
func (c Case) Size() int64 {
	if c.Metric == "decode" {
		return int64(c.Batch)
	}
	return int64(c.Prompt)
}

// rate is tokens a second of the case, of the seconds that prompts and the tokens after them took.
func (c Case) rate(prefill, decode float64) float64 {
	if c.Gen == 0 {
		return float64(c.Batch*c.Prompt) / prefill
	}
	return float64(c.Batch*c.Gen) / decode
}

// Command is a program with its arguments and what it has in its environment.
type Command struct{ Args, Env []string }

// Found is what a line of a program's output says.
type Found struct {
	Case  int // of those that it was asked for
	Value float64
	Share float64 // of the bandwidth
	First bool    // the first token has come
	Begin bool    // of the case
	Error string  // why there is no value
}

// Serving says how a server is started.
type Serving struct {
	Port    int
	Slots   int  // sequences together
	Context int  // positions of each
	Eager   bool // steps are next to nothing: who compiles them for minutes need not
}

// Peer is a program that is compared. What a peer has not is nil.
type Peer struct {
	Name     string
	Needs    string // below Bench.Peers
	Variants []Variant
	Weights  []string // patterns of the files of a variant that is a directory
	Package  string   // of Python, whose version is the peer's
	Single   bool     // a process measures one case
	Measure  func(b *Bench, v Variant, cases []Case) (Command, error)
	Parse    func(line string, cases []Case) ([]Found, error)
	Start    func(b *Bench, v Variant) (Command, error) // makes one token
	Serve    func(b *Bench, v Variant, s Serving) (Command, error)
	Once     bool           // the server takes so long to start that one does for all loads: what it reserves does not depend on their sizes
	Extra    map[string]any // fields of requests to the server
	Quality  func(b *Bench, v Variant) (Command, error)
	Said     func(line string) (perplexity float64, ok bool)
	Version  func(b *Bench) string
}

// Window is how many tokens a window has that perplexity is measured on: the first half is context only, the second half is scored.
const Window = 512

// Peers lists all programs; the first is this project's.
var Peers = []Peer{own, llamaCpp, openVINO, onnxRuntime, cTranslate2, vLLM, transformers}

// Installed tells whether setup has put the peer there.
func (p *Peer) Installed(b *Bench) bool {
	return p.Needs == "" || exists(filepath.Join(b.Peers, p.Needs))
}

// Path is where the variant lies.
func (b *Bench) Path(v Variant) string {
	return filepath.Join(b.Peers, strings.ReplaceAll(v.Path, "*", b.Model))
}

// Prepared tells whether the peer's form of the model is there.
func (p *Peer) Prepared(b *Bench, v Variant) bool { return p.Name == own.Name || p.Bytes(b, v) > 0 }

// Bytes is what the weights of the variant take on disk.
func (p *Peer) Bytes(b *Bench, v Variant) int64 {
	path := b.path(p, v)
	patterns := []string{path}
	if len(p.Weights) > 0 {
		patterns = nil
		for _, w := range p.Weights {
			patterns = append(patterns, filepath.Join(path, w))
		}
	}
	var sum int64
	for _, pattern := range patterns {
		files, _ := filepath.Glob(pattern)
		for _, f := range files {
			if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() {
				sum += info.Size()
			}
		}
	}
	return sum
}

func (b *Bench) path(p *Peer, v Variant) string {
	if p.Name == own.Name {
		return b.Plan(v)
	}
	return b.Path(v)
}

func (b *Bench) threads() string { return strconv.Itoa(b.Threads) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

//go:embed python/*.py
var adaptors embed.FS

// request is what an adaptor reads.
type request struct {
	Peers      string  `json:"peers"`
	Model      string  `json:"model"`
	Checkpoint string  `json:"checkpoint"`
	Variant    string  `json:"variant"`
	Threads    int     `json:"threads"`
	Context    int     `json:"context"` // positions that the cases need
	Repeat     int     `json:"repeat"`
	Seconds    float64 `json:"seconds"` // after which a case is not repeated any more
	Cases      []Case  `json:"cases"`
	IDs        []int32 `json:"ids"`
	Window     int     `json:"window"`
	Windows    int     `json:"windows"` // whose perplexity is wanted, instead of cases
}

const (
	adaptorRepeat  = 3
	adaptorSeconds = 1.0
	leastContext   = 512
)

// adaptor returns the command that runs a Python program of this package in a peer's environment.
func (b *Bench) adaptor(environment, program string, v Variant, cases []Case) (Command, error) {
	r := b.request(v)
	r.Cases = append(r.Cases, cases...)
	for _, c := range cases {
		r.Context = max(r.Context, c.Prompt+c.Gen+2)
	}
	return b.runAdaptor(environment, program, r)
}

// scorer returns the command that runs such a program to measure perplexity.
func (b *Bench) scorer(environment, program string, v Variant) (Command, error) {
	r := b.request(v)
	r.Context, r.Windows = Window+2, b.Windows
	return b.runAdaptor(environment, program, r)
}

func (b *Bench) request(v Variant) *request {
	return &request{Peers: b.Peers, Model: b.Path(v), Checkpoint: b.Checkpoint, Variant: v.Name, Threads: b.Threads, Context: leastContext, Repeat: adaptorRepeat,
		Seconds: adaptorSeconds, Cases: []Case{}, IDs: b.IDs, Window: Window}
}

func (b *Bench) runAdaptor(environment, program string, r *request) (Command, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return Command{}, err
	}
	file := filepath.Join(b.Scratch, "request.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return Command{}, err
	}
	return b.program(environment, program, file)
}

// program returns the command that runs a Python program of this package, which may use the adaptors' common part.
func (b *Bench) program(environment, program string, args ...string) (Command, error) {
	for _, name := range []string{program, "adaptor.py"} {
		content, err := adaptors.ReadFile("python/" + name)
		if err != nil {
			return Command{}, err
		}
		if err := os.WriteFile(filepath.Join(b.Scratch, name), content, 0o644); err != nil {
			return Command{}, err
		}
	}
	return Command{Args: append([]string{filepath.Join(b.Peers, environment, "bin", "python"), filepath.Join(b.Scratch, program)}, args...), Env: b.python()}, nil
}

// python is the environment of Python programs: nothing is fetched, no more threads than others have.
func (b *Bench) python() []string {
	return []string{"HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1", "PYTHONDONTWRITEBYTECODE=1", "OMP_NUM_THREADS=" + b.threads()}
}

// said is a line of an adaptor.
type said struct {
	First   bool
	Begin   *int
	Case    *int
	Prefill float64 `json:"prefill_s"`
	Decode  float64 `json:"decode_s"`
	Loss    float64 // of Tokens tokens, nats
	Tokens  int
	Error   string
}

// saidLoss reads what an adaptor says of its model's loss on the text, as perplexity.
func saidLoss(line string) (float64, bool) {
	text, ok := strings.CutPrefix(line, "PEER ")
	var s said
	if !ok || json.Unmarshal([]byte(text), &s) != nil || s.Tokens <= 0 || s.Loss <= 0 {
		return 0, false
	}
	return math.Exp(s.Loss / float64(s.Tokens)), true
}

// parseAdaptor reads a line of an adaptor, among whatever else libraries print.
func parseAdaptor(line string, cases []Case) ([]Found, error) {
	text, ok := strings.CutPrefix(line, "PEER ")
	if !ok {
		return nil, nil
	}
	var s said
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, fmt.Errorf("an adaptor's line %.100q: %w", line, err)
	}
	switch {
	case s.First:
		return []Found{{First: true}}, nil
	case s.Begin != nil && inside(*s.Begin, cases):
		return []Found{{Case: *s.Begin, Begin: true}}, nil
	case s.Case != nil && inside(*s.Case, cases) && s.Error != "":
		return []Found{{Case: *s.Case, Error: s.Error}}, nil
	case s.Case != nil && inside(*s.Case, cases) && s.Prefill > 0 && (s.Decode > 0 || cases[*s.Case].Gen == 0):
		return []Found{{Case: *s.Case, Value: cases[*s.Case].rate(s.Prefill, s.Decode)}}, nil
	}
	return nil, fmt.Errorf("an adaptor's line says nothing: %.100q", line)
}

func inside(i int, cases []Case) bool { return i >= 0 && i < len(cases) }
