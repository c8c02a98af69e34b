package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"llmc/cmd/registry"
	"llmc/compiler/lora"
	"llmc/engine"
	"llmc/internal/cli"
	"llmc/runtime"
	"llmc/runtime/server"
)

// defaultMaxLoras is how many adapters may be loaded at once where adapters are asked for and no number is.
const defaultMaxLoras = 8

// adapterFlags say which adapters are served beside models.
type adapterFlags struct {
	plans, modules []string
	enabled        bool
	most, rank     int

	named []namedAdapter
}

// namedAdapter is an adapter that the command line names.
type namedAdapter struct {
	Name string `json:"name"`
	Path string `json:"path"`
	Base string `json:"base_model_name"`
}

func (f *adapterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.plans, "adapter", nil, "NAME=PATH of a LoRA adapter to serve beside the model under that name, a plan that llmc build --adapter wrote or a directory in PEFT's layout; may be given several times")
	flags.StringArrayVar(&f.modules, "lora-modules", nil, "the same as --adapter; further NAME=PATH may follow, and JSON as vLLM takes it")
	flags.BoolVar(&f.enabled, "enable-lora", false, "let adapters be loaded and unloaded while serving (POST /v1/load_lora_adapter), though none is named; whoever may call the API may then name paths of this machine")
	flags.IntVar(&f.most, "max-loras", 0, "adapters loaded at once; above 0 it asks for --enable-lora (default 8 where adapters are asked for)")
	flags.IntVar(&f.rank, "max-lora-rank", 0, "rank of an adapter at most (default: what the plan was built for, or 64)")
}

// check reads the names; args are the command's, of which those that name adapters behind --lora-modules are taken out.
func (f *adapterFlags) check(args []string) (plans []string, err error) {
	for _, arg := range args {
		if _, statErr := os.Stat(arg); len(f.modules) > 0 && strings.Contains(arg, "=") && statErr != nil {
			f.modules = append(f.modules, arg)
		} else {
			plans = append(plans, arg)
		}
	}
	for _, list := range []struct {
		flag   string
		values []string
	}{{"--adapter", f.plans}, {"--lora-modules", f.modules}} {
		for _, text := range list.values {
			a, ok := parseAdapter(text)
			if !ok {
				return nil, cli.Usagef("%s %q: expected NAME=PATH", list.flag, text)
			}
			f.named = append(f.named, a)
		}
	}
	switch {
	case f.most < 0:
		return nil, cli.Usagef("--max-loras is %d: must not be below 0", f.most)
	case f.rank < 0 || f.rank > engine.MaxAdapterRank:
		return nil, cli.Usagef("--max-lora-rank is %d: must be within 1..%d, or 0 for the default", f.rank, engine.MaxAdapterRank)
	case f.most > 0 && len(f.named) > f.most:
		return nil, cli.Usagef("--max-loras is %d, and %d adapters are named", f.most, len(f.named))
	}
	if f.most == 0 && (f.enabled || len(f.named) > 0) {
		f.most = max(defaultMaxLoras, len(f.named))
	}
	return plans, nil
}

// parseAdapter reads NAME=PATH, or an object with name, path and perhaps base_model_name.
func parseAdapter(text string) (a namedAdapter, ok bool) {
	if strings.HasPrefix(text, "{") {
		err := json.Unmarshal([]byte(text), &a)
		return a, err == nil && a.Name != "" && a.Path != ""
	}
	a.Name, a.Path, ok = strings.Cut(text, "=")
	return a, ok && a.Name != "" && a.Path != ""
}

// limit asks for room for adapters beside a plan that generates.
func (f *adapterFlags) limit(path string, s *engine.Settings) error {
	if f.most == 0 {
		return nil
	}
	info, err := planInfo(path)
	if err != nil {
		return err
	}
	if info.Encoder == nil && info.Source == nil {
		s.MaxAdapters, s.AdapterRank = f.most, f.rank
	}
	return nil
}

// openAdapter opens an adapter for a model's plan: its plan, or one that is made of a directory and kept in a file without a name until it is unloaded.
func openAdapter(ctx context.Context, base *engine.Plan, path string, trust *registry.Trust) (plan *engine.Plan, err error) {
	if err := trust.Check(path); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return engine.Open(path)
	}
	dir, err := os.MkdirTemp("", "llmrun-adapter-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	out := filepath.Join(dir, "adapter.plan")
	if _, err := lora.Build(ctx, lora.Options{Dir: path, Base: base, Out: out}); err != nil {
		return nil, err
	}
	return engine.Open(out)
}

// adaptersOf lets a server load adapters beside a model.
func adaptersOf(loaded *runtime.Loaded, e *runtime.Engine, trust *registry.Trust) *server.Adapters {
	limits, _ := loaded.Model.Limits()
	if limits.MaxAdapters == 0 {
		return nil
	}
	return &server.Adapters{Host: e, Most: limits.MaxAdapters, Open: func(ctx context.Context, path string) (*engine.Plan, error) {
		return openAdapter(ctx, loaded.Plan, path, trust)
	}}
}

// loadNamed loads the adapters that the command line names.
func (f *adapterFlags) loadNamed(ctx context.Context, srv *server.Server) error {
	for _, a := range f.named {
		if err := srv.LoadAdapter(ctx, a.Base, a.Name, a.Path, false); err != nil {
			return err
		}
	}
	return nil
}

// oneAdapter is the flag of commands that run one request.
type oneAdapter struct{ path string }

func (f *oneAdapter) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "adapter", "", "LoRA adapter to run with the model: a plan that llmc build --adapter wrote, or a directory in PEFT's layout")
}

// limit asks for room for it, as much as its rank takes. What is wrong with it is said when it is loaded.
func (f *oneAdapter) limit(s *engine.Settings) {
	if f.path == "" {
		return
	}
	s.MaxAdapters = 1
	if info, err := planInfo(f.path); err == nil && info.Adapter != nil {
		s.AdapterRank = info.Adapter.Rank
	} else if rank, err := lora.Rank(f.path); err == nil {
		s.AdapterRank = min(rank, engine.MaxAdapterRank)
	}
}

// load loads it into an engine; nil: there is none.
func (f *oneAdapter) load(ctx context.Context, base *engine.Plan, e *runtime.Engine) (*runtime.Adapter, error) {
	if f.path == "" {
		return nil, nil
	}
	plan, err := openAdapter(ctx, base, f.path, registry.TrustOf(ctx))
	if err != nil {
		return nil, err
	}
	a, err := e.LoadAdapter(plan)
	if err != nil {
		return nil, errors.Join(err, plan.Close())
	}
	return a, nil
}

// with lets all sequences of a model have it; close takes it away again.
func (f *oneAdapter) with(ctx context.Context, loaded *runtime.Loaded) (model engine.Model, closer func() error, err error) {
	none := func() error { return nil }
	if f.path == "" {
		return loaded.Model, none, nil
	}
	host, ok := loaded.Model.(engine.AdapterModel)
	if !ok {
		return nil, none, engine.ErrNoAdapters
	}
	plan, err := openAdapter(ctx, loaded.Plan, f.path, registry.TrustOf(ctx))
	if err != nil {
		return nil, none, err
	}
	if err := host.LoadAdapter(1, plan); err != nil {
		return nil, none, errors.Join(err, plan.Close())
	}
	return engine.WithAdapter(host, 1), func() error {
		host.UnloadAdapter(1)
		return plan.Close()
	}, nil
}
