package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"llmc/internal/cli"
)

// options are the flags.
type options struct {
	bin, demo, encoder string
	length             time.Duration
	clients, streams   int
	connections, turns int
	rounds             int
	seed               uint64
	server             []string // further flags of llmrun serve
	out                io.Writer
	dir                string // for plans and adapters; removed at the end
}

// runs lists what can be run. Each starts its own server.
var runs = []struct {
	name, about string
	run         func(ctx context.Context, o *options) error
}{
	{"soak", "random traffic of all APIs with clients that misbehave, for --for", soak},
	{"load", "--streams streams at a time of a model that takes next to no time: what the host costs", load},
	{"kill", "SIGKILL under load and a new start, --rounds times", kill},
	{"drain", "SIGTERM under load: no stream may be cut", drain},
	{"resets", "--connections connections that are opened and reset beside streams", resets},
	{"deaf", "clients that read nothing of long answers beside streams", deaf},
	{"constraints", "requests with new schemas beside streams", constraints},
}

func main() {
	o := options{out: os.Stdout}
	root := &cobra.Command{Use: "soak", Short: "Run llmrun under traffic and faults", Example: "  make soak SOAK=10m\n  go run ./runtime/server/soak drain --bin bin"}
	flags := root.PersistentFlags()
	flags.StringVar(&o.bin, "bin", "bin", "directory of llmc and llmrun")
	flags.StringVar(&o.demo, "model", "testdata/demo", "checkpoint of the layout and sizes of the bundled model")
	flags.StringVar(&o.encoder, "encoder", "", "checkpoint of an encoder to ask for embeddings too (default: none)")
	flags.DurationVar(&o.length, "for", time.Hour, "how long traffic goes on")
	flags.IntVar(&o.clients, "clients", 24, "clients at a time")
	flags.IntVar(&o.streams, "streams", 1000, "streams at a time, of load")
	flags.IntVar(&o.connections, "connections", 10_000, "connections, of resets")
	flags.IntVar(&o.turns, "turns", 3, "turns of what goes on beside streams, of resets, deaf and constraints")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds, of kill")
	flags.StringSliceVar(&o.server, "server", nil, "further flags of llmrun serve, such as --server=--threads,1")
	flags.Uint64Var(&o.seed, "seed", 1, "what clients do is drawn from it")
	for _, r := range runs {
		root.AddCommand(&cobra.Command{Use: r.name, Short: r.about, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.dir, err = os.MkdirTemp("", "soak"); err != nil {
				return err
			}
			defer os.RemoveAll(o.dir)
			if o.bin, err = filepath.Abs(o.bin); err != nil {
				return err
			}
			if err := r.run(cmd.Context(), &o); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			o.say("%s: passed", r.name)
			return nil
		}})
	}
	os.Exit(cli.Run(root, os.Args[1:]))
}

func (o *options) say(format string, args ...any) { fmt.Fprintf(o.out, format+"\n", args...) }
