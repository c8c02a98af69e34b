package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"llmc/compiler"
	"llmc/engine"
	"llmc/internal/cli"
	"llmc/internal/version"
	"llmc/runtime"
)

func verifyCommand() *cobra.Command {
	var f verifyFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify PLAN",
		Short: "Check every hash and bound of a plan; with --against, every layer against the reference interpreter; with --rebuild, that it is built the same again",
		Long: "Check every hash and bound of a plan; with --against MODEL, every layer against the reference interpreter; with --rebuild MODEL, that a build with the options which the plan records gives every byte of it again." + modelHelp +
			" Of the repository that the plan was built from, the commit that it was built from is taken unless @revision says otherwise.",
		Example: "  llmc verify engine.plan\n  llmc verify engine.plan --against ./model --json\n  llmc verify engine.plan --rebuild ./model",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := f.run(cmd, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				err = cli.PrintJSON(cmd.OutOrStdout(), v)
			} else {
				err = printVerification(cmd, v)
			}
			if err != nil || v.OK {
				return err
			}
			if v.Rebuilt != nil {
				return fmt.Errorf("%s is not what %s gives here: %s; a compiler of another version (this one is %s), another checkpoint or a changed plan gives other bytes",
					args[0], f.rebuild, compiler.Changed(v.Rebuilt, 8), version.Full())
			}
			if v.FirstBadWeight != "" {
				return fmt.Errorf("%s: weight %q is not what %s holds; build the plan again", args[0], v.FirstBadWeight, f.against)
			}
			if v.PassesBad {
				return fmt.Errorf("%s: from layer %d on the passes changed what the model computes, by up to %.3g of a value's range; report it as a bug",
					args[0], *v.FirstBadLayer, v.PassesErr)
			}
			return fmt.Errorf("%s: from layer %d on values differ from the reference by more than %.3g of their range on average, or %.3g at most; report it as a bug",
				args[0], *v.FirstBadLayer, v.Tolerance.Mean, v.Tolerance.Max)
		},
	}
	cli.CompleteArgs(cmd, cli.PlanArg)
	flags := cmd.Flags()
	flags.StringVar(&f.against, "against", "", "checkpoint that the plan was built from: a directory, or org/name of the Hub")
	flags.StringVar(&f.rebuild, "rebuild", "", "checkpoint to build the plan from again: a directory, or org/name of the Hub; what differs is named. Takes the time and the disk (TMPDIR) of a build")
	flags.StringVar(&f.calib.text, "calib", "", "text that the plan was calibrated on, for --rebuild; '"+bundledText+"' is the one that comes with the command")
	flags.BoolVar(&f.calib.chat, "calib-chat", false, "the text of --calib is conversations")
	f.model.add(cmd)
	f.model.addLora(cmd)
	flags.StringVar(&f.device, "device", "auto", "where to run the plan: cpu, cuda (an NVIDIA GPU), or auto: a GPU if the plan has a program for it, else the CPU")
	flags.IntVar(&f.threads, "threads", 0, "threads (default: all processors)")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	cli.CompleteFlag(cmd, "device", runtime.DeviceNames()...)
	return cmd
}

type verifyFlags struct {
	model           modelFlags
	against, device string
	rebuild         string
	calib           calibFlags
	threads         int
}

func (f *verifyFlags) run(cmd *cobra.Command, path string) (*compiler.Verification, error) {
	if err := checkRun(f.device, f.threads); err != nil {
		return nil, err
	}
	if f.rebuild != "" && f.against != "" {
		return nil, cli.Usagef("--against and --rebuild are two checks: give one")
	}
	plan, err := engine.Open(path)
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	progress := cli.NewProgress()
	task := progress.Start("hashes", plan.Header().FileSize)
	done := int64(0)
	err = plan.Verify(cmd.Context(), f.threads, func(now, _ int64) { task.Add(now - done); done = now })
	if err != nil {
		return nil, err
	}
	task.Done()
	if f.rebuild != "" {
		return f.build(cmd, plan, progress)
	}
	if f.against == "" {
		progress.Wait()
		return &compiler.Verification{OK: true}, nil
	}
	from, err := f.model.findFor(cmd.Context(), plan, f.against, progress)
	if err != nil {
		return nil, err
	}
	adapters, err := f.model.adapters(cmd.Context(), progress)
	if err != nil {
		return nil, err
	}
	progress.Wait()
	progress.Say("running the reference interpreter")
	settings := compiler.VerifySettings()
	settings.Threads = f.threads
	loaded, err := runtime.Load(path, f.device, settings)
	if err != nil {
		return nil, err
	}
	defer loaded.Close()
	tracer, ok := loaded.Model.(engine.Tracer)
	if !ok {
		return nil, fmt.Errorf("device %s cannot show intermediate values", f.device)
	}
	return compiler.Against(cmd.Context(), plan, tracer, compiler.Original{Dir: from.Dir, Family: f.model.family, Lora: adapters})
}

// build builds the plan again.
func (f *verifyFlags) build(cmd *cobra.Command, plan *engine.Plan, progress *cli.Progress) (*compiler.Verification, error) {
	from, err := f.model.findFor(cmd.Context(), plan, f.rebuild, progress)
	if err != nil {
		return nil, err
	}
	o := compiler.Options{Model: from.Dir, Repo: from.Repo, Commit: from.Commit, Family: f.model.family, Threads: f.threads, Progress: progress}
	if o.Lora, err = f.model.adapters(cmd.Context(), progress); err != nil {
		return nil, err
	}
	if err := f.calib.set(&o); err != nil {
		return nil, err
	}
	c, err := compiler.Rebuild(cmd.Context(), plan, o)
	if err != nil {
		return nil, err
	}
	progress.Wait()
	return &compiler.Verification{OK: c.Same, Rebuilt: c}, nil
}

// checkRun refuses a device or a number of threads that no plan can be run with, also where none will be run.
func checkRun(device string, threads int) error {
	if err := runtime.CheckDevice(device); err != nil {
		return cli.Usagef("--device: %w", err)
	}
	if threads < 0 {
		return cli.Usagef("--threads is %d: must be at least 1, or 0 for all processors", threads)
	}
	return nil
}

func printVerification(cmd *cobra.Command, v *compiler.Verification) error {
	if c := v.Rebuilt; c != nil {
		if !c.Same {
			return c.WriteText(cmd.OutOrStdout())
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "ok: built again, the same %d bytes, digest %s\n", c.Bytes[0], c.Digests[0])
		return err
	}
	if v.Compared == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "ok: all hashes and bounds hold")
		return err
	}
	verdict := "ok"
	if v.FirstBadLayer != nil {
		verdict = fmt.Sprintf("bad from layer %d on", *v.FirstBadLayer)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %d values compared, largest error %.3g (%.3g allowed), mean %.3g of the range, of a value at most %.3g (%.3g allowed)\n",
		verdict, v.Compared, v.MaxErr, v.Tolerance.Max, v.MeanErr, v.WorstMean, v.Tolerance.Mean)
	return err
}
