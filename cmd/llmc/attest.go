package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"llmc/engine"
	"llmc/engine/attest"
	"llmc/engine/oci"
	"llmc/engine/sign"
	"llmc/internal/cli"
)

// attachFlags say what a push stores beside a plan.
type attachFlags struct {
	wanted  map[string]*bool // by kind
	builder string
	key     string
}

func (f *attachFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.wanted = map[string]*bool{}
	for _, k := range attest.Kinds {
		f.wanted[k.Name] = flags.Bool(k.Name, false, "attach "+k.Doc)
	}
	flags.StringVar(&f.builder, "builder-id", "", "URI of what has built the plan, for --provenance: a workflow of a CI, say (default: "+attest.LocalBuilder+")")
	flags.StringVar(&f.key, "key", "", "private key that signs the plan, and what is attached: a PEM file, or env://NAME; see 'llmc sign'")
}

// read reads the key and makes what is to be attached, before anything is sent.
func (f *attachFlags) read(plan *engine.Plan) (a oci.Attach, err error) {
	for _, k := range attest.Kinds {
		if *f.wanted[k.Name] {
			a.Kinds = append(a.Kinds, k)
		}
	}
	if a.Builder = f.builder; f.builder != "" {
		if err := attest.CheckBuilder(f.builder); err != nil {
			return a, cli.Usagef("--builder-id %q: %w", f.builder, err)
		}
	}
	if f.key != "" {
		if a.Key, err = sign.ReadPrivateKey(f.key); err != nil {
			return a, err
		}
	}
	for _, k := range a.Kinds {
		if _, err := k.Make(plan, a.Builder); err != nil {
			return a, fmt.Errorf("%s: %w", plan.Path(), err)
		}
	}
	return a, nil
}

// attestationFlags say which statement about a plan a pull fetches.
type attestationFlags struct{ kind, key string }

func (f *attestationFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.kind, "attestation", "", "fetch what is said of the plan in place of the plan: provenance (SLSA, an in-toto statement) or sbom (SPDX)")
	flags.StringVar(&f.key, "key", "", "public key that must have signed the --attestation: a PEM file, or env://NAME (default: nobody need have)")
	cli.CompleteFlag(cmd, "attestation", attest.Names()...)
}

// pull writes a statement, or the document in it, to a file.
func (f *attestationFlags) pull(cmd *cobra.Command, r *registryFlags, ref oci.Ref, out string) error {
	kind, err := attest.Find(f.kind)
	if err != nil {
		return cli.Usagef("--attestation: %w", err)
	}
	var key *sign.PublicKey
	if f.key != "" {
		if key, err = sign.ReadPublicKey(f.key); err != nil {
			return err
		}
	}
	found, err := r.Client(cli.NewProgress()).Attestation(cmd.Context(), ref, kind, key)
	if err != nil {
		return err
	}
	var document any = found.Predicate
	if kind.Statement {
		document = found.Statement
	}
	if err := cli.WriteFile(out, func(w io.Writer) error { return cli.PrintJSON(w, document) }); err != nil {
		return err
	}
	if r.asJSON {
		return cli.PrintJSON(cmd.OutOrStdout(), found)
	}
	by := "not checked: give --key"
	if key != nil {
		by = "of " + key.Name
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s%*s%s\nsignature %s\n", found.Reference, kind.Name, max(1, 10-len(kind.Name)), "", out, by)
	return err
}
