package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"llmc/internal/cli"
	"llmc/runtime/repository"
)

// repositoryFlags say which models come and go.
type repositoryFlags struct {
	directory, mode string
	initial         []string
	every           time.Duration
	seconds, places int
}

func (f *repositoryFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.directory, "model-repository", "", "directory of models in Triton's layout, MODEL/VERSION/model.plan, each with or without a config.pbtxt")
	flags.StringVar(&f.mode, "model-control-mode", string(repository.None), "what loads and unloads models of the repository: none (all are loaded at the start), explicit (requests of clients with a key) or poll (the directory, as it changes)")
	flags.StringArrayVar(&f.initial, "load-model", nil, "model to load at the start in mode explicit; may be given several times, * is all")
	flags.IntVar(&f.seconds, "repository-poll-secs", 15, "seconds between two looks at the repository in mode poll")
	flags.IntVar(&f.places, "max-models", 0, "models that --kv-memory is divided among (default: those of the start, and in modes explicit and poll one more, so that one can take the place of another)")
	cli.CompleteFlag(cmd, "model-control-mode", repository.Modes...)
}

func (f *repositoryFlags) check(cmd *cobra.Command) error {
	if f.directory == "" {
		if err := needs(cmd, "model-repository", "model-control-mode", "load-model", "repository-poll-secs"); err != nil {
			return err
		}
	}
	switch {
	case !slices.Contains(repository.Modes, f.mode):
		return cli.Usagef("--model-control-mode is %q: must be one of %s", f.mode, strings.Join(repository.Modes, ", "))
	case len(f.initial) > 0 && f.mode != string(repository.Explicit):
		return cli.Usagef("--load-model is for --model-control-mode explicit; in mode %s all are loaded", f.mode)
	case f.seconds < 1:
		return cli.Usagef("--repository-poll-secs is %d: must be at least 1", f.seconds)
	case f.places < 0:
		return cli.Usagef("--max-models is %d: must be at least 1, or 0 for the default", f.places)
	}
	f.every = time.Duration(f.seconds) * time.Second
	return nil
}

// args takes plans, of which there may be none beside a repository.
func (f *repositoryFlags) args(cmd *cobra.Command, args []string) error {
	if f.directory != "" {
		return nil
	}
	return cobra.MinimumNArgs(1)(cmd, args)
}

// hosting says which models there are and how they are loaded.
func (f *serveFlags) hosting(plans []string, s *serving) repository.Options {
	o := repository.Options{
		Dir: f.directory, Mode: repository.Mode(f.mode), Initial: f.initial, KVBytes: int64(f.kvMemory), Places: f.places, Load: s.load, Log: s.log,
	}
	for _, path := range plans {
		o.Fixed = append(o.Fixed, repository.Plan{Name: f.modelName(path), Path: path})
	}
	return o
}
