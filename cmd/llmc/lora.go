package main

import (
	"context"

	"github.com/spf13/cobra"

	"llmc/compiler"
	"llmc/compiler/hf"
	"llmc/internal/cli"
)

// addLora gives a command the flag for adapters that are merged into its MODEL.
func (f *modelFlags) addLora(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.lora, "lora", nil, "LoRA adapter in PEFT's layout, a directory or org/name[@revision] of the Hub, to merge into the weights; several are merged in order")
}

// adapters finds the adapters.
func (f *modelFlags) adapters(ctx context.Context, progress *cli.Progress) ([]compiler.Adapter, error) {
	var found []compiler.Adapter
	for _, name := range f.lora {
		from, err := f.find(ctx, name, hf.NeedAdapter, progress)
		if err != nil {
			return nil, err
		}
		found = append(found, compiler.Adapter{Dir: from.Dir, Repo: from.Repo, Commit: from.Commit})
	}
	return found, nil
}
