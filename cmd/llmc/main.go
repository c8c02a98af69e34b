// Command llmc compiles HuggingFace checkpoints into engine plans.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"llmc/internal/cli"
	"llmc/internal/version"
)

// commands lists every subcommand.
var commands = []func() *cobra.Command{
	buildCommand,
	inspectCommand,
	verifyCommand,
	evalCommand,
	optCommand,
	renderCommand,
	targetsCommand,
	emulateCommand,
}

func main() {
	root := &cobra.Command{
		Use:     "llmc",
		Short:   "Compile HuggingFace checkpoints into engine plans",
		Version: version.Full(),
		Example: "  llmc build ./Llama-3.2-1B -o engine.plan --quant int4\n  llmc inspect engine.plan",
	}
	for _, c := range commands {
		root.AddCommand(c())
	}
	os.Exit(cli.Run(root, os.Args[1:]))
}
