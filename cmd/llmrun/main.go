// Command llmrun serves plans that llmc built.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"llmc/internal/cli"
	"llmc/internal/version"
)

// commands lists every subcommand.
var commands = []func() *cobra.Command{
	serveCommand,
	generateCommand,
	logitsCommand,
	tokenizeCommand,
	detokenizeCommand,
	chatCommand,
	benchCommand,
}

func main() {
	root := &cobra.Command{
		Use:     "llmrun",
		Short:   "Serve and run engine plans built by llmc",
		Version: version.Full(),
		Example: "  llmrun serve engine.plan\n  llmrun generate engine.plan --chat \"Hello\"",
	}
	for _, c := range commands {
		root.AddCommand(c())
	}
	os.Exit(cli.Run(root, os.Args[1:]))
}
