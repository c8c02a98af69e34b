package repository

import (
	"context"
	"strings"
	"testing"
)

// Files of a repository with an ensemble over the fixture's encoders, whose embeddings are one number.
const (
	similar = `similar/config.pbtxt=backend: "llmc_step" parameters { key: "step" value { string_value: "similarity" } }`
	// chained compares what two encoders make of texts.
	chained = `chained/config.pbtxt=platform: "ensemble" input { name: "texts" data_type: TYPE_STRING dims: -1 } output { name: "scores" data_type: TYPE_FP32 dims: -1 }
		ensemble_scheduling {
			step { model_name: "a" model_version: -1 input_map { key: "text" value: "texts" } output_map { key: "embedding" value: "x" } }
			step { model_name: "b" model_version: -1 input_map { key: "text" value: "texts" } output_map { key: "embedding" value: "y" } }
			step { model_name: "similar" model_version: -1 input_map { key: "query" value: "x" } input_map { key: "documents" value: "y" } output_map { key: "scores" value: "scores" } }
		}`
)

// states are the index by name, without versions that were never there.
func (f *fixture) states() string {
	var list []string
	for _, e := range f.host.Index() {
		state := e.Name + " " + e.State
		if e.Reason != "" {
			state += " (" + e.Reason + ")"
		}
		list = append(list, state)
	}
	return strings.Join(list, "; ")
}

func (f *fixture) wantsStates(want string) {
	f.t.Helper()
	if got := f.states(); got != want {
		f.t.Errorf("%s\nwant %s\n%s", got, want, &f.log)
	}
}

const allReady = "a READY; b READY; chained READY; similar READY"

// Loading an ensemble loads what it needs; what goes makes it unavailable, what comes back available again; with its dependents it goes as a whole.
func TestEnsembleComesAndGoes(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t, Options{Mode: Explicit}, "a/1/model.plan=1", "b/1/model.plan=2", "c/1/model.plan=2", similar, chained)
	f.start()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	must(f.host.Load(ctx, "chained"))
	f.wantsStates("a READY; b READY; c ; chained READY; similar READY")
	must(f.host.Unload(ctx, "b", false))
	f.wantsStates(`a READY; b UNAVAILABLE (unloaded); c ; chained UNAVAILABLE (the model "chained" is not available: it needs the model "b", which is not loaded); similar READY`)
	must(f.host.Load(ctx, "b"))
	f.wantsStates("a READY; b READY; c ; chained READY; similar READY")
	must(f.host.Load(ctx, "c"))
	must(f.host.Unload(ctx, "chained", true))
	f.wantsStates("a UNAVAILABLE (unloaded); b UNAVAILABLE (unloaded); c READY; chained UNAVAILABLE (unloaded); similar UNAVAILABLE (unloaded)")
}

// All modes load ensembles behind what they need, whatever they are called.
func TestEnsembleAtTheStart(t *testing.T) {
	for _, o := range []Options{{Mode: None}, {Mode: Explicit, Initial: []string{"chained"}}, {Mode: Poll}} {
		f := newFixture(t, o, "a/1/model.plan=1", "b/1/model.plan=2", similar, chained)
		f.start()
		f.wantsStates(allReady)
		if o.Mode != Poll {
			continue
		}
		before := f.server.Offered("chained")[0]
		f.host.look(context.Background())
		if f.server.Offered("chained")[0] != before {
			t.Error("an ensemble of which nothing has changed was loaded anew")
		}
	}
}

// What does not fit is refused by name, and in mode poll looked at again when what it needs has changed.
func TestEnsembleThatLacksAModel(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t, Options{Mode: Poll}, "a/1/model.plan=1", similar, chained)
	f.start()
	tried := strings.Count(f.log.String(), "level=ERROR")
	f.host.look(ctx)
	if got := strings.Count(f.log.String(), "level=ERROR"); got != tried {
		t.Errorf("tried again though nothing has changed:\n%s", &f.log)
	}
	if got := f.states(); !strings.Contains(got, `it needs the model "b", which is not loaded`) {
		t.Error(got)
	}
	f.write("b/1/model.plan", "2")
	f.host.look(ctx)
	if got := f.states(); !strings.Contains(got, "chained READY") {
		t.Error(got)
	}

	f = newFixture(t, Options{Mode: None}, "a/1/model.plan=1", "b/1/model.plan=2", similar, strings.ReplaceAll(chained, `key: "embedding" value: "y"`, `key: "score" value: "y"`))
	if err := f.host.Start(ctx, f.server); err == nil || !strings.Contains(err.Error(), `ensemble "chained": step 1 (model "b"): tensor "y": the model has no output "score"; it has embedding`) {
		t.Errorf("%v", err)
	}
	circle := func(name, other string) string {
		return name + `/config.pbtxt=platform: "ensemble" input { name: "x" data_type: TYPE_STRING dims: 1 } output { name: "y" data_type: TYPE_STRING dims: 1 }
			ensemble_scheduling { step { model_name: "` + other + `" input_map { key: "x" value: "x" } output_map { key: "y" value: "y" } } }`
	}
	for _, mode := range []Mode{None, Poll} {
		f = newFixture(t, Options{Mode: mode}, "a/1/model.plan=1", circle("p", "q"), circle("q", "p"), circle("r", "p"))
		err := f.host.Start(ctx, f.server)
		if mode == None && (err == nil || !strings.Contains(err.Error(), "models need each other: p, q, p")) || mode == Poll && err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
	f.wants("a/1=1", 1)
}

func TestNodeConfig(t *testing.T) {
	remote := func(more string) string {
		return `backend: "kserve" input { name: "x" data_type: TYPE_FP32 dims: 2 } output { name: "y" data_type: TYPE_FP32 dims: 1 } ` + more
	}
	url := func(value string) string {
		return remote(`parameters { key: "url" value { string_value: "` + value + `" } }`)
	}
	for text, want := range map[string]string{
		`platform: "ensemble"`: "needs ensemble_scheduling", `ensemble_scheduling { }`: `needs platform "ensemble"`,
		`platform: "ensemble" ensemble_scheduling { } input { name: "x" data_type: TYPE_STRING dims: 1 }`:                  `ensemble "m": no step`,
		`platform: "ensemble" ensemble_scheduling { step { model_name: "a" model_version: -2 } }`:                          "model_version is -2",
		`platform: "ensemble" backend: "llmc" ensemble_scheduling { }`:                                                     "no backend",
		`platform: "ensemble" ensemble_scheduling { } instance_group { count: 1 }`:                                         "instance_group",
		`platform: "ensemble" ensemble_scheduling { } parameters { key: "k" value { string_value: "1" } }`:                 `parameter "k"`,
		`platform: "ensemble" ensemble_scheduling { } parameters { key: "max_tensor_bytes" value { string_value: "-1" } }`: "not a size",
		`backend: "llmc_step"`: `step "" is not known`, `backend: "llmc_step" max_batch_size: 2`: "max_batch_size", `backend: "llmc_step" default_model_filename: "x"`: "the model has no file",
		remote(``): "scheme", url("ftp://h:1"): "scheme", url("http://h"): "HOST:PORT", url("http://u:p@h:1"): "HOST:PORT", url("grpc://h:1/path"): "no path",
		url("http://h:1") + ` parameters { key: "ca_file" value { string_value: "/ca" } }`:         "need https or grpcs",
		url("http://h:1") + ` parameters { key: "timeout_ms" value { string_value: "0" } }`:        "milliseconds",
		url("http://h:1") + ` parameters { key: "data" value { string_value: "xml" } }`:            "neither binary nor json",
		url("http://h:1") + ` parameters { key: "max_answer_bytes" value { string_value: "3G" } }`: "below 2G",
		url("http://h:1") + ` parameters { key: "address" value { string_value: "x" } }`:           `"address" is not known`,
	} {
		if _, err := parseConfig([]byte(text), "m"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.120s: %v, want %q", text, err, want)
		}
	}
	c, err := parseConfig([]byte(url("grpc://h:1")+` max_batch_size: 4`), "m")
	if err != nil || c.node == nil {
		t.Fatal(err)
	}
}
