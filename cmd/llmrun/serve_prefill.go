package main

import (
	"github.com/spf13/cobra"

	"llmc/internal/cli"
	"llmc/runtime"
	"llmc/runtime/metrics"
	"llmc/runtime/prefill"
	"llmc/runtime/server"
)

// prefillFlags say where prompts are computed.
type prefillFlags struct {
	forOthers bool
	options   prefill.Options
	client    *prefill.Client // nil: prompts are computed here
}

func (f *prefillFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.forOthers, "serve-prefill", false, "compute prompts for other servers of the same plan, which ask with --prefill-url")
	flags.StringSliceVar(&f.options.Servers, "prefill-url", nil, "servers started with --serve-prefill, such as http://10.0.0.7:8000, that compute long prompts of this one; what they do not send is computed here")
	flags.IntVar(&f.options.MinTokens, "prefill-min-tokens", prefill.DefaultMinTokens, "tokens of a prompt that have to be unknown here for --prefill-url to be asked")
	flags.DurationVar(&f.options.Timeout, "prefill-timeout", prefill.DefaultTimeout, "how long --prefill-url may take for a prompt, its queue included")
	flags.StringVar(&f.options.Files.Token, "prefill-key-file", "", "file with the API key of --prefill-url")
	flags.StringVar(&f.options.Files.CA, "prefill-ca-file", "", "certificates that an https --prefill-url is checked by (default: the system's)")
}

// check refuses what no server could be asked with, and prepares to ask.
func (f *prefillFlags) check(cmd *cobra.Command) (err error) {
	if len(f.options.Servers) == 0 {
		return needs(cmd, "prefill-url", "prefill-min-tokens", "prefill-timeout", "prefill-key-file", "prefill-ca-file")
	}
	switch {
	case f.options.MinTokens < 1:
		return cli.Usagef("--prefill-min-tokens is %d: must be at least 1", f.options.MinTokens)
	case f.options.Timeout <= 0:
		return cli.Usagef("--prefill-timeout is %v: must be above 0", f.options.Timeout)
	}
	if f.client, err = prefill.New(f.options); err != nil {
		return cli.Usagef("--prefill-url: %v", err)
	}
	return nil
}

// count tells of what comes from elsewhere.
func (f *prefillFlags) count(registry *metrics.Registry) {
	if f.client == nil {
		return
	}
	for _, row := range []struct {
		name, help string
		of         func(prefill.Figures) uint64
	}{
		{"remote_prefill_taken_total", "Prompts whose pages of KV cache came from another server.", func(f prefill.Figures) uint64 { return f.Taken }},
		{"remote_prefill_failed_total", "Prompts some of whose pages did not come, and were computed here.", func(f prefill.Figures) uint64 { return f.Failed }},
		{"remote_prefill_busy_total", "Prompts that were computed here because no other server, or no room in the KV cache, was free.", func(f prefill.Figures) uint64 { return f.Busy }},
		{"remote_prefill_pages_total", "Pages of KV cache that came from other servers.", func(f prefill.Figures) uint64 { return f.Pages }},
		{"remote_prefill_bytes_total", "Bytes of these pages.", func(f prefill.Figures) uint64 { return f.Bytes }},
	} {
		registry.Count(row.name, row.help, func() uint64 { return row.of(f.client.Figures()) })
	}
}

// prefiller has a model's prompts computed elsewhere; nil: that is not asked for.
func (s *serving) prefiller(loaded *runtime.Loaded, e *runtime.Engine) server.Prefiller {
	if s.flags.client == nil {
		return nil
	}
	return &prefill.Local{Client: s.flags.client, Engine: e, Plan: loaded.Plan.Digest(), Log: s.log}
}
