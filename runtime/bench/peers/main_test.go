package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"llmc/internal/clitest"
	"llmc/runtime/bench/peers/adapt"
	"llmc/runtime/bench/peers/sample"
)

func TestMain(m *testing.M) { clitest.Main(m, main) }

func TestReportOfAFile(t *testing.T) {
	page := clitest.Run(t, "", "--report", "report/testdata/samples.jsonl").Done(t)
	if !strings.Contains(page, "## smollm2-135m, int4") || !strings.Contains(page, "llama.cpp q4_0-pure | 1.62") {
		t.Errorf("page %s", page)
	}
	page = clitest.Run(t, "", "--report", "report/testdata/samples.jsonl", "--own", "int4-a8", "--readme").Done(t)
	if strings.Contains(page, "| int4 | 325") || !strings.Contains(page, "| int4-a8 | 310") || strings.Contains(page, "Limits") {
		t.Errorf("page %s", page)
	}
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(bad, []byte("{\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	clitest.Run(t, "", "--report", bad).Refused(t, 1, bad, "line 1")
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		exit int
		args []string
		want string
	}{
		{2, []string{"--only", "nobody"}, `"nobody" is none of llmrun, llama.cpp`},
		{2, []string{"--formats", "int3"}, `"int3" is none of int4`},
		{2, []string{"--own", "int5"}, `"int5" is none of int4, int4-a8`},
		{2, []string{"--what", "luck"}, `"luck" is none of limits`},
		{2, []string{"--rounds", "0"}, "--rounds is 0"},
		{2, []string{"--clients", "4,0"}, "--clients is 0"},
		{2, []string{"--noise", "NaN"}, "--noise is NaN"},
		{2, []string{"--streams", "0"}, "--streams is 0"},
		{2, []string{"--windows", "65"}, "--windows is 65"},
		{2, []string{"x"}, "unknown command"},
		{1, []string{"--peers", "nowhere", "--samples", t.TempDir()}, "no checkpoint smollm2-135m"},
	} {
		clitest.Run(t, "", c.args...).Refused(t, c.exit, c.want)
	}
}

// fakeRun is a run that measures nothing by itself.
func fakeRun(out io.Writer) *run {
	return &run{options: &options{rounds: 2, retries: 2, noise: 0.1}, out: out, progress: io.Discard, gaveUp: map[string]bool{}, known: map[taken]bool{}}
}

// Noisy samples are taken anew, and only those, a bounded number of times.
func TestNoisySamplesAreTakenAnew(t *testing.T) {
	var out bytes.Buffer
	r := fakeRun(&out)
	quiet, noisy := sample.Key{Peer: "a", Metric: "decode", Size: 1}, sample.Key{Peer: "a", Metric: "decode", Size: 8}
	attempts := 0
	j := job{name: "a", run: func(_ context.Context, want wanted) (samples []sample.Sample, err error) {
		if attempts++; attempts > 1 && (want(quiet) || !want(noisy)) {
			t.Error("asked for what is known")
		}
		for _, k := range []sample.Key{quiet, noisy} {
			if want(k) {
				samples = append(samples, sample.Sample{Key: k, Value: 1, Foreign: map[bool]float64{true: 0.5}[k == noisy]})
			}
		}
		return samples, nil
	}}
	if err := r.do(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	list, err := sample.Read(&out)
	if err != nil || attempts != 3 || len(list) != 4 {
		t.Errorf("%d attempts, samples %+v, %v", attempts, list, err)
	}
}

// A run goes on where others stopped: what is known of a round is not taken again, of what does not vary one round says all, and failures are no knowledge.
func TestGoesOn(t *testing.T) {
	r := fakeRun(io.Discard)
	a, b, failed := sample.Key{Peer: "a", Metric: "decode", Size: 1}, sample.Key{Peer: "a", Metric: "decode", Size: 8}, sample.Key{Peer: "a", Metric: "start"}
	fixed, machine := sample.Key{Peer: "a", Metric: "ppl", Size: 64}, sample.Key{Peer: sample.Machine, Metric: "read", Size: 1024}
	for _, s := range []sample.Sample{{Key: a}, {Key: b}, {Key: a, Round: 1}, {Key: fixed, Round: 1}, {Key: failed, Failed: "gone"}, {Key: machine}} {
		r.learn(s)
	}
	r.what = []string{"limits"}
	for _, c := range []struct {
		name  string
		job   job
		round int
		want  bool
	}{
		{"a round that is known", job{keys: []sample.Key{a, b}}, 0, false},
		{"a size that is not", job{keys: []sample.Key{a, b}}, 1, true},
		{"what does not vary", job{keys: []sample.Key{fixed}, once: true}, 0, false},
		{"what failed", job{keys: []sample.Key{failed}}, 0, true},
		{"the machine, known", job{again: true}, 0, false},
		{"the machine", job{again: true}, 1, true},
	} {
		if r.round = c.round; r.due(c.job) != c.want {
			t.Errorf("%s: due %v", c.name, !c.want)
		}
	}
}

// A job that fails keeps what it has, tells why there is no more, and is not run again.
func TestFailedJobs(t *testing.T) {
	var out bytes.Buffer
	r := fakeRun(&out)
	got, lost := sample.Key{Peer: "a", Metric: "start"}, sample.Key{Peer: "a", Metric: "decode", Size: 8}
	j := job{name: "a", keys: []sample.Key{got, lost}, run: func(context.Context, wanted) ([]sample.Sample, error) {
		return []sample.Sample{{Key: got, Value: 1, Foreign: 0.9}}, errors.New("gone")
	}}
	if err := r.do(t.Context(), j); err != nil || !r.gaveUp["a"] {
		t.Errorf("%v, gave up %v", err, r.gaveUp)
	}
	if list, err := sample.Read(&out); err != nil || len(list) != 2 || list[0].Failed != "" || list[1].Key != lost || list[1].Failed != "gone" {
		t.Errorf("samples %+v, %v", list, err)
	}
}

// Each round another peer begins, format by format.
func TestTurned(t *testing.T) {
	jobs := []job{{peer: "machine"}, {format: "int4", peer: "a", name: "1"}, {format: "int4", peer: "a", name: "2"}, {format: "int4", peer: "b"}, {format: "int4", peer: "c"}, {format: "int8", peer: "a"}}
	seen := ""
	for range 4 {
		for _, j := range jobs {
			seen += j.peer[:1] + j.name
		}
		seen += " "
		jobs = turned(jobs)
	}
	if want := "ma1a2bca mbca1a2a mca1a2ba ma1a2bca "; seen != want {
		t.Errorf("order %q, want %q", seen, want)
	}
}

func TestCases(t *testing.T) {
	r := &run{options: &options{what: []string{"prefill", "decode", "long"}, batches: []int{8, 1}}, context: 2048}
	var got []string
	for _, c := range r.cases() {
		got = append(got, c.Metric)
	}
	if !slices.Equal(got, []string{"prefill", "decode", "decode"}) { // the model has no room for long ones
		t.Errorf("cases %v", got)
	}
	if r.context = 8192; len(r.cases()) != 5 {
		t.Errorf("cases %v", r.cases())
	}
}

func TestShareOfPeak(t *testing.T) {
	r := &run{flops: map[string]float64{"bf16": 512e9}, peaks: map[string]float64{"f32": 4e11}}
	v := adapt.Variant{Format: "bf16", Name: "bf16"}
	if got := r.shareOfPeak(v, 100); got != 0.25 { // no bf16 instructions here
		t.Errorf("share %v", got)
	}
	r.peaks["bf16"] = 1e12
	if got := r.shareOfPeak(v, 100); got != 0.1 {
		t.Errorf("share %v", got)
	}
}

// A server that ends is not waited for, and its last words are told.
func TestServerThatEnds(t *testing.T) {
	r := &run{options: &options{limit: time.Minute, clients: []int{1}}, bench: adapt.Bench{IDs: []int32{1, 2, 3}}}
	p := &adapt.Peer{Name: "a", Serve: func(*adapt.Bench, adapt.Variant, adapt.Serving) (adapt.Command, error) {
		return adapt.Command{Args: []string{"sh", "-c", "echo no such model >&2; exit 3"}}, nil
	}}
	all := func(sample.Key) bool { return true }
	r.what = []string{"stream"}
	_, err := r.load(t.Context(), p, adapt.Variant{}, r.loads(p, adapt.Variant{}), all)
	if err == nil || !strings.Contains(err.Error(), "the server has ended: exit status 3: no such model") {
		t.Errorf("error %v", err)
	}
	none := func(sample.Key) bool { return false }
	if samples, err := r.load(t.Context(), p, adapt.Variant{}, r.loads(p, adapt.Variant{}), none); err != nil || samples != nil {
		t.Errorf("samples %v, %v of a server that nothing is asked of", samples, err)
	}
}

// What a program does not say of a case is an error; so is one that only one case of several ends with.
func TestCasesThatFail(t *testing.T) {
	r := &run{options: &options{limit: time.Minute}}
	p := adapt.Peer{Name: "a", Single: true,
		Measure: func(_ *adapt.Bench, _ adapt.Variant, cases []adapt.Case) (adapt.Command, error) {
			script := map[int]string{1: "echo 12", 2: "true", 3: "echo why >&2; exit 1"}[cases[0].Batch]
			return adapt.Command{Args: []string{"sh", "-c", script}}, nil
		},
		Parse: func(line string, _ []adapt.Case) ([]adapt.Found, error) {
			value, err := strconv.ParseFloat(line, 64)
			return []adapt.Found{{Value: value}}, err
		}}
	cases := []adapt.Case{{Metric: "decode", Batch: 1}, {Metric: "decode", Batch: 2}, {Metric: "decode", Batch: 3}}
	samples, err := r.measureCases(t.Context(), &p, adapt.Variant{}, cases, func(k sample.Key) bool { return true })
	if err != nil || len(samples) != 3 || samples[0].Value != 12 || !strings.Contains(samples[1].Failed, "nothing was said") || !strings.Contains(samples[2].Failed, "exit status 1: why") {
		t.Errorf("samples %+v, %v", samples, err)
	}
}
