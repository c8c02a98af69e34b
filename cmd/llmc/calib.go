package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"llmc/compiler"
	"llmc/compiler/calib"
	"llmc/engine"
	"llmc/internal/cli"
	"llmc/runtime"
)

// calibFlags say how a build calibrates.
type calibFlags struct {
	text, method, state string
	chat                bool
	windows             int
}

// bundledText is what --calib calls the text that comes with the command.
const bundledText = "default"

func (f *calibFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.text, "calib", "", "text like what the model will read: codes are chosen by what its inputs are there, and the plan is measured on a part of it that is held out; '"+bundledText+"' is a short one that comes with the command")
	flags.StringVar(&f.method, "method", "", "how --calib chooses codes: "+methodDocs())
	flags.BoolVar(&f.chat, "calib-chat", false, "the text of --calib is conversations, one in a line of JSON as 'llmc render' takes them, to which the model's chat template is applied")
	flags.StringVar(&f.state, "calib-state", "", "directory that keeps what --calib has done until the plan is there: a build that was broken off goes on when it is started again; of method gptq alone")
	flags.IntVar(&f.windows, "calib-windows", 0, fmt.Sprintf("windows of %d tokens, spread over the text, that --calib runs at most: more take longer and generalize better (default %d)", calib.Window, calib.RunWindows))
	cli.CompleteFlag(cmd, "method", calib.MethodNames()...)
}

func methodDocs() string {
	var docs []string
	for i, m := range calib.Methods {
		note := ""
		if i == 0 {
			note = " (default)"
		}
		docs = append(docs, m.Name+note+", "+m.Doc)
	}
	return strings.Join(docs, "; ")
}

// set reads the text.
func (f *calibFlags) set(o *compiler.Options) error {
	if f.text == "" {
		if f.method != "" || f.chat || f.state != "" || f.windows != 0 {
			return cli.Usagef("--method, --calib-chat, --calib-state and --calib-windows are for --calib, which is not given")
		}
		return nil
	}
	if f.chat && f.text == bundledText {
		return cli.Usagef("--calib-chat: the text that comes with the command is no conversations; give a file with --calib")
	}
	if f.windows != 0 && (f.windows < calib.FewestWindows || f.windows > calib.MostWindows) {
		return cli.Usagef("--calib-windows is %d: must be within %d..%d, or 0 for the default", f.windows, calib.FewestWindows, calib.MostWindows)
	}
	method, err := calib.FindMethod(f.method)
	if err != nil {
		return cli.Usagef("--method: %w", err)
	}
	if f.state != "" && !method.InSequence() {
		return cli.Usagef("--calib-state: method %s keeps nothing, and takes less time; leave it out", method.Name)
	}
	c := &compiler.Calibration{Method: f.method, State: f.state, Windows: f.windows, Conversations: f.chat, Open: openTracer}
	if f.text != bundledText {
		text, err := cli.ReadFile(f.text, maxText)
		if err != nil {
			return fmt.Errorf("--calib: %w", err)
		}
		if c.Text = string(text); strings.TrimSpace(c.Text) == "" {
			return fmt.Errorf("--calib: %s is empty", f.text)
		}
	}
	o.Calibration = c
	return nil
}

// loadedTracer closes the plan with the model.
type loadedTracer struct {
	engine.PartTracer
	loaded *runtime.Loaded
}

func (l loadedTracer) Close() error { return l.loaded.Close() }

func openTracer(path string, settings engine.Settings) (engine.PartTracer, error) {
	loaded, err := runtime.Load(path, "cpu", settings)
	if err != nil {
		return nil, err
	}
	tracer, ok := loaded.Model.(engine.PartTracer)
	if !ok {
		_ = loaded.Close()
		return nil, fmt.Errorf("device %s shows no values", loaded.Device)
	}
	return loadedTracer{tracer, loaded}, nil
}

// printCalibration prints what was measured on the text.
func printCalibration(w io.Writer, a *compiler.Accuracy) {
	if a.Text == nil {
		return
	}
	q := a.Text
	fmt.Fprintf(w, "calibration\t%s: perplexity %.3f of %.3f (%+.2f %%), divergence %.4f, same token %.1f %%, of %d tokens held out\n",
		a.Method, q.PPL, *q.PPLRef, 100*(q.PPL / *q.PPLRef - 1), *q.KL, 100**q.Top1, q.Tokens)
	if a.WorstOutput != nil {
		fmt.Fprintf(w, "\tworst output of %q, by %.2f %%\n", a.WorstOutput.Name, 100*a.WorstOutput.Output)
	}
	if n := len(a.Rounded); n > 0 {
		fmt.Fprintf(w, "\texperts that the text hardly reaches, rounded to the nearest codes, in %d weights; of %s\n", n, a.Rounded[0])
	}
}
