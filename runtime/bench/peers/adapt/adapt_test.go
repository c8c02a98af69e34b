package adapt

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/internal/golden"
)

// recorded are the cases that the recorded lines were asked for.
var recorded = []Case{
	{Metric: "prefill", Batch: 1, Prompt: 512, Repeat: 3},
	{Metric: "decode", Batch: 1, Prompt: 32, Gen: 128, Repeat: 3},
	{Metric: "decode", Batch: 4, Prompt: 32, Gen: 128, Repeat: 1},
}

// What programs have printed, each line with what is read from it.
func TestParseRecordedLines(t *testing.T) {
	golden.Each(t, "testdata/*.txtar", func(t *testing.T, a *golden.Archive) {
		i := slices.IndexFunc(Peers, func(p Peer) bool { return p.Name == strings.TrimSpace(a.Input(t, "peer")) })
		if i < 0 {
			t.Fatal("no such peer")
		}
		var got strings.Builder
		for line := range strings.Lines(a.Input(t, "lines")) {
			found, err := Peers[i].Parse(strings.TrimSuffix(line, "\n"), recorded)
			text, _ := json.Marshal(found)
			got.Write(text)
			if err != nil {
				got.WriteString(" " + err.Error())
			}
			got.WriteString("\n")
		}
		a.Check(t, "found", got.String())
	})
}

func TestPerplexities(t *testing.T) {
	for _, c := range []struct {
		peer *Peer
		line string
		want float64
	}{
		{&own, `{"ppl":26.122,"tokens":16384}`, 26.122},
		{&own, `{"ppl":0}`, 0},
		{&llamaCpp, `PEER {"loss": 0.6931471805599453, "tokens": 1}`, 2},
		{&vLLM, `PEER {"loss": 1571.0271010664985, "tokens": 512}`, 21.507727878700127},
		{&openVINO, `{"loss": 1, "tokens": 1}`, 0},
		{&openVINO, `PEER {"loss": NaN, "tokens": 512}`, 0},
		{&openVINO, `PEER {"loss": 0.0, "tokens": 0}`, 0},
		{&openVINO, `PEER {"first": true}`, 0},
	} {
		if got, ok := c.peer.Said(c.line); ok != (c.want > 0) || ok && math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%q: %v, %v", c.line, got, ok)
		}
	}
}

func TestConversions(t *testing.T) {
	text := "5.00\t1000\tllama.cpp m hf-to-bf16\n0.50\t2000\tllama.cpp m q8_0\n9\t1\tllama.cpp m-large q8_0\nx\t1\tllama.cpp m q4_0\n" +
		"16.5\t10\topenvino m int8\n17.5\t20\topenvino m int8\n"
	got := llamaCpp.ReadConversions(text, "m")
	if len(got) != 2 || got["q8_0"] != (Converted{5.5, 2000 << 10}) || got["bf16"] != (Converted{5, 1000 << 10}) {
		t.Errorf("llama.cpp: %+v", got)
	}
	if got := openVINO.ReadConversions(text, "m"); len(got) != 1 || got["int8"].Seconds != 17.5 {
		t.Errorf("OpenVINO: %+v", got)
	}
	if got := own.ReadConversions("1\t1\t m int8\n", "m"); len(got) != 0 {
		t.Errorf("own: %+v", got)
	}
}

// Every peer has a command for every case, with the model in it, and what it lacks is found out before it is run.
func TestCommands(t *testing.T) {
	dir := t.TempDir()
	b := &Bench{Peers: filepath.Join(dir, "peers"), Bin: "bin", Scratch: dir, Checkpoint: "model", Model: "m", Threads: 2, IDs: make([]int32, 100), Windows: 7}
	for i := range Peers {
		p := &Peers[i]
		if p.Installed(b) != (p.Needs == "") || p.Prepared(b, p.Variants[0]) != (p.Name == own.Name) {
			t.Errorf("%s: installed in an empty directory", p.Name)
		}
		for _, v := range p.Variants {
			model := b.path(p, v)
			for _, c := range recorded {
				command, err := p.Measure(b, v, []Case{c})
				if err != nil {
					t.Fatal(err)
				}
				if p.Single && !slices.Contains(command.Args, model) {
					t.Errorf("%s: no %s in %q", p.Name, model, command.Args)
				}
				if !p.Single {
					checkRequest(t, command, model, c)
				}
			}
			if _, err := p.Start(b, v); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
			if p.Serve != nil {
				command, err := p.Serve(b, v, Serving{Port: 1234, Slots: 3, Context: 512})
				if err != nil || !slices.Contains(command.Args, "1234") || !slices.Contains(command.Args, model) {
					t.Errorf("%s: %q, %v", p.Name, command.Args, err)
				}
			}
			if command, err := p.Quality(b, v); err != nil || p.Said == nil || p.Name != own.Name && !asksForWindows(t, command, model) {
				t.Errorf("%s: perplexity is measured by %q, %v", p.Name, command.Args, err)
			}
		}
	}
}

// checkRequest looks at what an adaptor would read.
func checkRequest(t *testing.T, c Command, model string, asked Case) {
	t.Helper()
	for _, file := range c.Args[1:] {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile(c.Args[2])
	if err != nil {
		t.Fatal(err)
	}
	var r request
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.Model != model || len(r.Cases) != 1 || r.Cases[0].Batch != asked.Batch || r.Context < asked.Prompt+asked.Gen+2 || len(r.IDs) != 100 || r.Threads != 2 {
		t.Errorf("request %+v", r)
	}
}

// asksForWindows looks at what an adaptor would read that measures perplexity.
func asksForWindows(t *testing.T, c Command, model string) bool {
	t.Helper()
	text, err := os.ReadFile(c.Args[2])
	if err != nil {
		t.Fatal(err)
	}
	var r request
	return json.Unmarshal(text, &r) == nil && r.Model == model && r.Windows == 7 && r.Window == Window && r.Context > Window && len(r.Cases) == 0
}

func TestVersions(t *testing.T) {
	dir := t.TempDir()
	b := &Bench{Peers: dir, Bin: dir}
	if v := openVINO.Version(b); v != "" {
		t.Errorf("OpenVINO %q, where there is none", v)
	}
	if err := os.MkdirAll(filepath.Join(dir, "ov/lib/python3.11/site-packages/openvino_genai-2026.4.1.0.dist-info"), 0o755); err != nil {
		t.Fatal(err)
	}
	if v := openVINO.Version(b); v != "2026.4.1.0" {
		t.Errorf("OpenVINO %q", v)
	}
}

func TestBytes(t *testing.T) {
	dir := t.TempDir()
	b := &Bench{Peers: dir, Model: "m"}
	for name, n := range map[string]int{"ovm/m-int4/openvino_model.bin": 100, "ovm/m-int4/openvino_tokenizer.bin": 7, "gguf/m.q8_0.gguf": 50} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if n := openVINO.Bytes(b, openVINO.Variants[0]); n != 100 {
		t.Errorf("OpenVINO: %d", n)
	}
	for _, v := range llamaCpp.Variants {
		if got, want := llamaCpp.Bytes(b, v), map[string]int64{"q8_0": 50}[v.Name]; got != want {
			t.Errorf("%s: %d, want %d", v.Name, got, want)
		}
	}
}

func TestParseOwnCommands(t *testing.T) {
	if b, ok := ParseBuild(`{"plan":"x","seconds":1.5,"peak_anon_bytes":5,"parameters":9}`); !ok || b.Seconds != 1.5 || b.Parameters != 9 {
		t.Errorf("build %+v, %v", b, ok)
	}
	if _, ok := ParseBuild("reading"); ok {
		t.Error("a line of progress is a build")
	}
	flops, err := ParseFlops(`{"programs":[{"launches":[{"steps":[{"flops":1},{"flops":10}]},{"steps":[{"flops":2},{"flops":20}]},{}]},{"launches":[{"steps":[{"flops":99}]}]}]}`)
	if err != nil || flops != 30 {
		t.Errorf("flops %v, %v", flops, err)
	}
	for _, bad := range []string{"", "{}", `{"programs":[{"launches":[]}]}`} {
		if _, err := ParseFlops(bad); err == nil {
			t.Errorf("%q has operations", bad)
		}
	}
	list, err := ParseRoofline(`{"threads":2,"read":[{"bytes":1073741824,"bytes_per_second":25e9}],"peaks":[{"name":"f32 fma","target":"x86-64-v3","ops_per_second":2e11}]}`)
	if err != nil || len(list) != 2 || list[0].Size != 1024 || list[0].Value != 25 || list[1].Variant != "f32 fma" || math.Abs(list[1].Value-200) > 1e-9 {
		t.Errorf("roofline %+v, %v", list, err)
	}
	if _, err := ParseRoofline("x"); err == nil {
		t.Error("x is a roofline")
	}
}
