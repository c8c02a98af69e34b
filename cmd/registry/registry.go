// Package registry is what both commands share of registries: flags that say how they are reached, and plans that are given by reference in place of a file.
package registry

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"llmc/engine/oci"
	"llmc/internal/cli"
)

// Flags say how registries are reached.
type Flags struct {
	plainHTTP bool
	caFile    string
	signed    bool // a policy may ask for signatures
	policy    string
}

// Add adds the flags to a command.
func (f *Flags) Add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.plainHTTP, "plain-http", false, "reach registries over HTTP without TLS, also those that are not on this machine")
	cmd.Flags().StringVar(&f.caFile, "ca-file", "", "certificates (PEM) that registries may have theirs from, beside those of the system and of SSL_CERT_FILE")
}

// Client returns a client that reaches registries so.
func (f *Flags) Client(progress *cli.Progress) *oci.Client {
	return &oci.Client{Progress: progress, PlainHTTP: f.plainHTTP, CAFile: f.caFile}
}

// Targets says which targets of a plan a command wants, best first; none: all of the plan.
type Targets func(cmd *cobra.Command) ([]string, error)

// Whole is for commands that look at all of a plan.
func Whole(*cobra.Command) ([]string, error) { return nil, nil }

// Plans lets a command take references where it takes plans: as arguments, as values of the flags that are named, and behind NAME= in both. The plan is fetched into
// the cache and stays there while the command runs, which is given its file.
func Plans(cmd *cobra.Command, targets Targets, flags ...string) *cobra.Command {
	return takePlans(cmd, new(Flags), targets, flags)
}

// SignedPlans is Plans for commands whose arguments are plans alone, and which run them: a policy may ask for signatures, of files too, and a directory stands for the
// one plan in it.
func SignedPlans(cmd *cobra.Command, targets Targets, flags ...string) *cobra.Command {
	f := new(Flags)
	f.AddPolicy(cmd)
	return takePlans(cmd, f, targets, flags)
}

func takePlans(cmd *cobra.Command, f *Flags, targets Targets, flags []string) *cobra.Command {
	f.Add(cmd)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		p := &plans{flags: f, cmd: cmd, targets: targets, trust: &Trust{checked: map[string]bool{}}}
		defer func() { err = errors.Join(err, p.close()) }()
		if p.trust.policy, err = f.Policy(); err != nil {
			return err
		}
		if f.signed {
			args, err = eachOnly(args)
		}
		if err == nil {
			args, err = p.replace(args)
		}
		for _, name := range flags {
			if err == nil {
				err = p.replaceFlag(cmd.Flags().Lookup(name))
			}
		}
		if err != nil {
			return err
		}
		cmd.SetContext(context.WithValue(cmd.Context(), trustKey{}, p.trust))
		return run(cmd, args)
	}
	return cmd
}

// plans are those of one run of a command.
type plans struct {
	flags   *Flags
	cmd     *cobra.Command
	targets Targets
	entries []*oci.Entry
	trust   *Trust
}

func (p *plans) close() (err error) {
	for _, e := range p.entries {
		err = errors.Join(err, e.Close())
	}
	return err
}

// replace puts files in the place of references.
func (p *plans) replace(texts []string) ([]string, error) {
	out := make([]string, len(texts))
	for i, text := range texts {
		name, ref := "", text
		if before, after, ok := strings.Cut(text, "="); ok && oci.IsRef(after) && !oci.IsRef(text) {
			name, ref = before+"=", after
		}
		if !oci.IsRef(ref) {
			out[i] = text
			if err := p.trust.checkNamed(text); err != nil {
				return nil, err
			}
			continue
		}
		path, err := p.fetch(p.cmd.Context(), ref)
		if err != nil {
			return nil, err
		}
		out[i] = name + path
	}
	return out, nil
}

func (p *plans) replaceFlag(flag *pflag.Flag) error {
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		values, err := p.replace(list.GetSlice())
		if err != nil {
			return err
		}
		return list.Replace(values)
	}
	values, err := p.replace([]string{flag.Value.String()})
	if err != nil {
		return err
	}
	return flag.Value.Set(values[0])
}

func (p *plans) fetch(ctx context.Context, text string) (string, error) {
	ref, err := oci.ParseRef(text)
	if err != nil {
		return "", cli.Usagef("%w", err)
	}
	targets, err := p.targets(p.cmd)
	if err != nil {
		return "", err
	}
	progress := cli.NewProgress()
	defer progress.Wait()
	client := p.flags.Client(progress)
	client.Policy = p.trust.policy
	cache, err := oci.OpenCache(client)
	if err != nil {
		return "", err
	}
	e, err := cache.Get(ctx, ref, targets)
	if err != nil {
		return "", err
	}
	p.entries = append(p.entries, e)
	p.trust.checked[e.Path] = true
	return e.Path, nil
}
