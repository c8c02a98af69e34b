// Command llmc compiles HuggingFace checkpoints into engine plans.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"llmc/cmd/registry"
	"llmc/internal/cli"
	"llmc/internal/version"
)

// commands lists every subcommand.
var commands = []func() *cobra.Command{
	withPlans(buildCommand, "base"),
	withPlans(inspectCommand),
	withPlans(verifyCommand),
	withPlans(evalCommand),
	withPlans(diffCommand),
	withPlans(refitCommand),
	withPlans(simulateCommand),
	optCommand,
	renderCommand,
	targetsCommand,
	emulateCommand,
	gpubenchCommand,
	pushCommand,
	pullCommand,
	copyCommand,
	listCommand,
	signCommand,
	verifySignatureCommand,
}

// withPlans lets a command take references in place of plans.
func withPlans(command func() *cobra.Command, flags ...string) func() *cobra.Command {
	return func() *cobra.Command { return registry.Plans(command(), registry.Whole, flags...) }
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
