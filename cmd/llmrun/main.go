// Command llmrun serves plans that llmc built.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"llmc/cmd/registry"
	"llmc/internal/cli"
	"llmc/internal/version"
	"llmc/runtime"
)

// commands lists every subcommand.
var commands = []func() *cobra.Command{
	withPlans(serveCommand, "draft", "adapter", "lora-modules"),
	withPlans(generateCommand, "draft", "adapter"),
	withPlans(logitsCommand, "adapter"),
	withPlans(tokenizeCommand),
	withPlans(detokenizeCommand),
	withPlans(chatCommand, "adapter"),
	withPlans(benchCommand, "draft"),
}

// withPlans lets a command take references in place of plans: what the targets of this machine need of them. A policy may ask for signatures of all.
func withPlans(command func() *cobra.Command, flags ...string) func() *cobra.Command {
	return func() *cobra.Command { return registry.SignedPlans(command(), machineTargets, flags...) }
}

// machineTargets are those of the device that a command runs on; --target narrows them.
func machineTargets(cmd *cobra.Command) ([]string, error) {
	device := "auto"
	if flag := cmd.Flags().Lookup("device"); flag != nil {
		device = flag.Value.String()
	}
	if flag := cmd.Flags().Lookup("target"); flag != nil && flag.Value.String() != "" {
		return []string{flag.Value.String()}, nil
	}
	return runtime.Targets(device)
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
