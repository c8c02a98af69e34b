package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"llmc/engine"
	"llmc/engine/oci"
	"llmc/engine/sign"
	"llmc/internal/cli"
)

// keyHelp ends the help of commands that take a key.
const keyHelp = "\n\nKeys are ECDSA over P-256 in PEM, as 'cosign generate-key-pair' and 'openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256' make them: a file, or env://NAME for a variable that holds one. " +
	"The password of an encrypted one is in " + sign.PasswordVariable + "."

func signCommand() *cobra.Command {
	var f registryFlags
	var key string
	cmd := &cobra.Command{
		Use:   "sign REF|PLAN --key KEY",
		Short: "Sign a plan in a registry, or in a file, as cosign does",
		Long: "Sign a plan in a registry: the digest of its index, which covers all its targets. 'cosign verify --key' accepts the signature, which lies beside the plan. " +
			"Of a plan in a file, the signature is written to PLAN" + sign.FileSuffix + ", which 'cosign verify-blob --bundle' accepts." + keyHelp + refHelp,
		Example: "  llmc sign registry.example/models/engine:v1 --key key.pem\n  COSIGN_PASSWORD=... llmc sign registry.example/models/engine@sha256:... --key cosign.key\n  llmc sign engine.plan --key key.pem",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, err := sign.ReadPrivateKey(key)
			if err != nil {
				return err
			}
			if isFile(args[0]) {
				return f.signFile(cmd, args[0], secret)
			}
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			out, err := f.Client(cli.NewProgress()).Sign(cmd.Context(), ref, secret)
			if err != nil {
				return err
			}
			return f.printSigned(cmd, out, map[bool]string{true: "added", false: "of this key, there already"}[out.Added])
		},
	}
	f.addKeyed(cmd, &key, "private key to sign with")
	return cmd
}

// addKeyed adds flags of commands that need a key.
func (f *registryFlags) addKeyed(cmd *cobra.Command, key *string, help string) {
	cli.CompleteArgs(cmd, cli.PlanArg)
	f.add(cmd)
	cmd.Flags().StringVar(key, "key", "", help+": a PEM file, or env://NAME")
	_ = cmd.MarkFlagRequired("key")
}

// isFile tells a plan in a file from a reference.
func isFile(name string) bool {
	if oci.IsRef(name) {
		return false
	}
	_, err := os.Stat(name)
	return err == nil
}

func (f *registryFlags) printSigned(cmd *cobra.Command, out *oci.Signed, state string) error {
	if f.asJSON {
		return cli.PrintJSON(cmd.OutOrStdout(), out)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\nsignature %s, %s\n", out.Reference, out.Signature, state)
	return err
}

// signFile writes the signature of a plan beside it.
func (f *registryFlags) signFile(cmd *cobra.Command, path string, key *sign.PrivateKey) error {
	plan, err := engine.Open(path) // nothing else is signed
	if err != nil {
		return err
	}
	defer plan.Close()
	bundle, err := key.SignFile(io.NewSectionReader(plan, 0, plan.Header().FileSize))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	out := &oci.Signed{Reference: path, Digest: plan.Digest(), Signature: path + sign.FileSuffix, Added: true}
	if err := cli.WriteFile(out.Signature, func(w io.Writer) error { _, err := w.Write(append(bundle, '\n')); return err }); err != nil {
		return err
	}
	return f.printSigned(cmd, out, "written")
}

func verifySignatureCommand() *cobra.Command {
	var f registryFlags
	var key string
	cmd := &cobra.Command{
		Use:   "verify-signature REF|PLAN --key KEY",
		Short: "Check that a key has signed a plan in a registry or in a file",
		Long: "Check that a key has signed what a reference names, by 'llmc sign' or 'cosign sign --key'; or a plan in a file, whose signature is PLAN" + sign.FileSuffix + ". " +
			"'llmrun serve --require-signature' does so before it serves." + keyHelp + refHelp,
		Example: "  llmc verify-signature registry.example/models/engine:v1 --key pub.pem\n  llmc verify-signature engine.plan --key pub.pem",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			public, err := sign.ReadPublicKey(key)
			if err != nil {
				return err
			}
			demand := sign.One(public)
			if isFile(args[0]) {
				if err := demand.CheckFile(args[0]); err != nil {
					return err
				}
				return f.printSigned(cmd, &oci.Signed{Reference: args[0], Signature: args[0] + sign.FileSuffix}, "of "+public.Name)
			}
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			out, err := f.Client(cli.NewProgress()).VerifySignature(cmd.Context(), ref, demand)
			if err != nil {
				return err
			}
			return f.printSigned(cmd, out, "of "+public.Name)
		},
	}
	f.addKeyed(cmd, &key, "public key")
	return cmd
}
