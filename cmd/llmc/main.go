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
	diffCommand,
	refitCommand,
	optCommand,
	renderCommand,
	targetsCommand,
	emulateCommand,
	gpubenchCommand,
	cli.PlannedCommand("push PLAN REF", "Store a plan in a registry", copyFile, "  llmc push engine.plan registry.example/models/engine:v1"),
	cli.PlannedCommand("pull REF -o PLAN", "Fetch a plan from a registry", copyFile, "  llmc pull registry.example/models/engine:v1 -o engine.plan"),
	cli.PlannedCommand("sign REF --key K", "Sign a plan in a registry", compareDigest, "  llmc sign registry.example/models/engine:v1 --key key.pem"),
	cli.PlannedCommand("verify-signature REF --key K", "Check the signature of a plan in a registry", compareDigest,
		"  llmc verify-signature registry.example/models/engine:v1 --key key.pub"),
}

const (
	copyFile      = "a plan is one file, move it as any other and check it with 'llmc verify'"
	compareDigest = "compare the digest that 'llmc inspect' prints, it covers every byte of the plan"
)

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
