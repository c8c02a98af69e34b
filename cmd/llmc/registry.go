package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"llmc/cmd/registry"
	"llmc/engine"
	"llmc/engine/oci"
	"llmc/internal/cli"
)

// refHelp ends the help of commands that take a REF.
const refHelp = "\n\nREF is [oci://]REGISTRY/REPOSITORY:TAG or ...@sha256:DIGEST, or oci-layout:DIR:TAG, a directory in the OCI image layout. " +
	"Credentials are those of ~/.docker/config.json (or DOCKER_CONFIG) and its helpers, as 'docker login' and other tools write them. docs/registry.md says more."

func pushCommand() *cobra.Command {
	var f registryFlags
	var a attachFlags
	var image bool
	cmd := &cobra.Command{
		Use:   "push PLAN REF",
		Short: "Store a plan in a registry; what is there already is not sent",
		Long: "Store a plan in a registry: a manifest for all of it and one for each of its targets, under an index. Layers follow sections and weights, and those that the registry has, " +
			"of an older version or another target, are not sent again. What is interrupted goes on where it was when it is run again. " +
			"With --key the plan is signed, and so is what --provenance and --sbom attach. With --image it becomes an image that holds models/PLAN, for clusters that mount images as volumes." + refHelp,
		Example: "  llmc push engine.plan registry.example/models/engine:v1\n  llmc push engine.plan registry.example/models/engine:v1-image --image\n  llmc push engine.plan registry.example/models/engine:v1 --provenance --sbom --key key.pem\n  llmc push engine.plan oci-layout:./store:v1",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseRef(args[1])
			if err != nil {
				return err
			}
			if ref.Digest != "" {
				return cli.Usagef("%s: a plan is pushed under a tag; its digest comes of it", args[1])
			}
			plan, err := engine.Open(args[0])
			if err != nil {
				return err
			}
			defer plan.Close()
			attach, err := a.read(plan)
			if err != nil {
				return err
			}
			return f.send(cmd, func(c *oci.Client) (out *oci.Pushed, err error) {
				if image {
					out, err = c.PushImage(cmd.Context(), plan, filepath.Base(args[0]), ref)
				} else {
					out, err = c.Push(cmd.Context(), plan, ref)
				}
				if err != nil {
					return nil, err
				}
				return out, c.Attach(cmd.Context(), plan, out, attach)
			})
		},
	}
	cli.CompleteArgs(cmd, cli.PlanArg, noArg)
	f.add(cmd)
	a.add(cmd)
	cmd.Flags().BoolVar(&image, "image", false, "store the plan as an image of one layer, for volumes of Kubernetes and KServe's oci:// (docs/kubernetes.md); llmrun does not take it by reference")
	return cmd
}

// noArg is an argument that a shell knows nothing of.
func noArg(string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func parseRef(text string) (oci.Ref, error) {
	ref, err := oci.ParseRef(text)
	if err != nil {
		return ref, cli.Usagef("%w", err)
	}
	return ref, nil
}

// registryFlags are those of all commands of registries.
type registryFlags struct {
	registry.Flags
	asJSON bool
}

func (f *registryFlags) add(cmd *cobra.Command) {
	f.Add(cmd)
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
}

// send has a client store a plan and prints what became of it.
func (f *registryFlags) send(cmd *cobra.Command, store func(*oci.Client) (*oci.Pushed, error)) error {
	progress := cli.NewProgress()
	out, err := store(f.Client(progress))
	progress.Wait()
	if err != nil {
		return err
	}
	if f.asJSON {
		return cli.PrintJSON(cmd.OutOrStdout(), out)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\nplan      %s\ntargets   %s\nsent      %s of %s, %d layers\n",
		out.Reference, out.Plan, strings.Join(out.Targets, ", "), cli.FormatBytes(out.Uploaded), cli.FormatBytes(out.Bytes), out.Layers)
	return err
}

func pullCommand() *cobra.Command {
	var f registryFlags
	var out, target string
	var said attestationFlags
	cmd := &cobra.Command{
		Use:   "pull REF -o PLAN",
		Short: "Fetch a plan from a registry into a file",
		Long: "Fetch a plan from a registry: byte by byte the file that was pushed, or with --target what that target needs of it. The file appears when every hash of it is right; " +
			"what is interrupted goes on where it was when it is run again. 'llmrun serve REF' needs no pull." + refHelp,
		Example: "  llmc pull registry.example/models/engine:v1 -o engine.plan\n  llmc pull registry.example/models/engine:v1 --target x86-64-v3 -o engine.plan\n" +
			"  llmc pull registry.example/models/engine:v1 --attestation provenance --key pub.pem -o provenance.json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			if out == "" {
				return cli.Usagef("--output: the path of the plan is empty")
			}
			if said.kind != "" {
				return said.pull(cmd, &f, ref, out)
			}
			var targets []string
			if target != "" {
				t, err := engine.FindTarget(target)
				if err != nil {
					return cli.Usagef("--target: %w", err)
				}
				targets = []string{t.Code()}
			}
			progress := cli.NewProgress()
			client := f.Client(progress)
			if client.Policy, err = f.Policy(); err != nil {
				return err
			}
			pulled, err := client.Pull(cmd.Context(), ref, targets, out)
			progress.Wait()
			if err != nil {
				return err
			}
			if f.asJSON {
				return cli.PrintJSON(cmd.OutOrStdout(), pulled)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\nplan      %s\nfile      %s, %s\n", pulled.Reference, pulled.Plan, pulled.Path, cli.FormatBytes(pulled.Bytes))
			return err
		},
	}
	cli.CompleteArgs(cmd, noArg)
	f.add(cmd)
	f.AddPolicy(cmd)
	said.add(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&out, "output", "o", "", "path of the plan")
	flags.StringVar(&target, "target", "", "fetch what this target needs alone: a row of 'llmc targets', or native (default: the whole plan)")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

func copyCommand() *cobra.Command {
	var f registryFlags
	cmd := &cobra.Command{
		Use:     "copy REF REF",
		Short:   "Copy a plan with all its targets to another repository, registry or directory, without a file between them",
		Long:    "Copy a plan with all its targets, bit by bit: the digest stays. Layers that are there already are not sent." + refHelp,
		Example: "  llmc copy registry.example/staging/engine:v1 registry.example/models/engine:v1\n  llmc copy registry.example/models/engine:v1 oci-layout:./store:v1",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := parseRef(args[0])
			if err != nil {
				return err
			}
			to, err := parseRef(args[1])
			if err != nil {
				return err
			}
			return f.send(cmd, func(c *oci.Client) (*oci.Pushed, error) { return c.Copy(cmd.Context(), from, to) })
		},
	}
	cli.CompleteArgs(cmd, noArg)
	f.add(cmd)
	return cmd
}

func listCommand() *cobra.Command {
	var f registryFlags
	cmd := &cobra.Command{
		Use:     "list REPOSITORY",
		Short:   "Show the tags of a repository: targets, sizes, digests",
		Long:    "Show the tags of a repository, or of one that is named: which targets its plan has, how large it is, its digest, and what lies beside it: how many signatures, whoever has made them, and which attestations." + refHelp,
		Example: "  llmc list registry.example/models/engine\n  llmc list oci-layout:./store --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := oci.ParseRepository(args[0])
			if err != nil {
				return cli.Usagef("%w", err)
			}
			rows, err := f.Client(cli.NewProgress()).List(cmd.Context(), ref)
			if err != nil {
				return err
			}
			if f.asJSON {
				return cli.PrintJSON(cmd.OutOrStdout(), rows)
			}
			return printListed(cmd, rows)
		},
	}
	cli.CompleteArgs(cmd, noArg)
	f.add(cmd)
	return cmd
}

func printListed(cmd *cobra.Command, rows []oci.Listed) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if r.Other != "" {
			fmt.Fprintf(w, "%s\t-\t-\t%s\n", r.Tag, r.Other)
			continue
		}
		beside := r.Attestations
		if r.Signatures > 0 {
			beside = append([]string{fmt.Sprintf("signatures:%d", r.Signatures)}, beside...)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Tag, cli.FormatBytes(r.Bytes), strings.Join(r.Targets, ","), r.Digest, strings.Join(beside, ","))
	}
	return w.Flush()
}
