package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"llmc/compiler/hf"
	"llmc/compiler/hub"
	"llmc/engine"
	"llmc/internal/cli"
)

// source is where a checkpoint lies, and which state of which repository of the Hub it is, if it is one.
type source struct{ Dir, Repo, Commit string }

// modelFlags say how the MODEL of a command is found.
type modelFlags struct {
	offline bool
	lora    []string // adapters, of commands that merge them
	family  string   // a family file
}

// modelHelp ends the help of commands that take a MODEL.
const modelHelp = "\n\nMODEL is a directory in HuggingFace layout, a .gguf file, or org/name[@revision] of the Hub: what is needed of it is downloaded into the cache that the Hub's own client uses. " +
	"HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_ENDPOINT and HF_HUB_OFFLINE are read as that client reads them."

func (f *modelFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.offline, "offline", false, "take models of the Hub from the cache alone")
	cmd.Flags().StringVar(&f.family, "family", "", "file that says what a model of a family that is not built in computes; docs/family-files.md describes it")
}

// find returns the checkpoint that model names. A directory goes before a repository of the same name.
func (f *modelFlags) find(ctx context.Context, model string, need hf.Need, progress *cli.Progress) (source, error) {
	if _, err := os.Stat(model); !errors.Is(err, fs.ErrNotExist) || !hub.IsRef(model) {
		return source{Dir: model}, nil
	}
	ref, err := hub.ParseRef(model)
	if err != nil {
		return source{}, cli.Usagef("%w", err)
	}
	return f.fetch(ctx, ref, need, progress)
}

// findFor is find for a checkpoint that a plan is compared with: of the repository that the plan was built from it is the same commit, unless another
// revision is asked for.
func (f *modelFlags) findFor(ctx context.Context, plan *engine.Plan, model string, progress *cli.Progress) (source, error) {
	if p, err := plan.Provenance(); err == nil && p.Model == model && p.Revision != "" {
		if _, err := os.Stat(model); errors.Is(err, fs.ErrNotExist) && hub.IsRef(model) {
			model += "@" + p.Revision
		}
	}
	return f.find(ctx, model, hf.NeedModel, progress)
}

func (f *modelFlags) fetch(ctx context.Context, ref hub.Ref, need hf.Need, progress *cli.Progress) (source, error) {
	settings, err := hub.Environment()
	if err != nil {
		return source{}, err
	}
	settings.Offline = settings.Offline || f.offline
	client := hub.New(settings)
	client.Progress = progress
	snapshot, err := client.Fetch(ctx, ref, need)
	if err != nil {
		return source{}, err
	}
	return source{snapshot.Dir, snapshot.Repo, snapshot.Commit}, nil
}
