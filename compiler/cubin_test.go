package compiler_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/dump"
	"llmc/compiler/predict"
	"llmc/engine"
	"llmc/internal/ptxas"
	"llmc/runtime/device/emu"
)

// TestCubin wants cubins of every GPU target beside its PTX, the same bytes again from the same ptxas, and everything that reads plans to know them.
func TestCubin(t *testing.T) {
	all := ptxas.Find(t)
	build := func(path, format, assembler string, archs ...string) error {
		_, err := compiler.Build(t.Context(), compiler.Options{Model: demo, Out: path, Quant: format, Archs: archs, Cubin: true, PTXAS: assembler})
		return err
	}
	dir := t.TempDir()
	with, again, refitted := filepath.Join(dir, "with"), filepath.Join(dir, "again"), filepath.Join(dir, "refitted")
	for _, path := range []string{with, again} {
		check(t, build(path, "int8", all[0].Path, "sm90", "x86-64-v3"))
	}
	first, err := os.ReadFile(with)
	check(t, err)
	second, err := os.ReadFile(again)
	check(t, err)
	if !bytes.Equal(first, second) {
		t.Error("two builds with one ptxas differ")
	}
	_, err = compiler.Refit(t.Context(), compiler.RefitOptions{Plan: with, Model: demo, Out: refitted})
	check(t, err)
	if third, err := os.ReadFile(refitted); err != nil || !bytes.Equal(first, third) {
		t.Errorf("refit with the same weights gives other bytes (%v)", err)
	}
	plan, err := engine.Open(with)
	check(t, err)
	defer plan.Close()
	check(t, plan.Verify(t.Context(), 0, nil))
	report, err := dump.NewPlan(plan, 1)
	check(t, err)
	for target, arch := range map[string]string{"sm90": "sm_90a", "sm80": "sm_80"} {
		c, err := plan.Cubin(target)
		check(t, err)
		if c.Arch != arch || c.Assembler != all[0].Build || len(c.Image) < 1000 {
			t.Errorf("%s: %d bytes for %s by %s", target, len(c.Image), c.Arch, c.Assembler)
		}
		for i := range report.Programs {
			if p := &report.Programs[i]; p.Target == target && (p.Cubin == nil || p.Cubin.Bytes != int64(len(c.Image)) || p.PTX == nil || p.PTX.Driver < 520) {
				t.Errorf("%s: inspect shows %+v, %+v", target, p.Cubin, p.PTX)
			}
		}
	}
	var text strings.Builder
	check(t, report.WriteText(&text, false))
	if want := "for sm_90a by ptxas " + all[0].Build; !strings.Contains(text.String(), want) {
		t.Errorf("no %q in\n%s", want, text.String())
	}
	checkRegisters(t, plan, report)
	checkDiff(t, plan)
	model, err := emu.Device{}.Load(plan, compiler.VerifySettings())
	check(t, err)
	check(t, model.Close())
}

// checkRegisters wants predictions to have the registers of the cubins, which are no more than the text allows.
func checkRegisters(t *testing.T, plan *engine.Plan, report *dump.Plan) {
	t.Helper()
	check(t, report.Predict(t.Context(), plan, dump.CardSettings{Cards: []string{"h100"}}))
	for _, p := range report.Programs {
		text, err := plan.Section(engine.KindPTX, p.Target)
		if err != nil {
			continue
		}
		bounds := map[string]int{}
		for _, e := range dump.NewPTX(p.Target, string(text)).Entries {
			bounds[e.Name] = predict.Read(e.Text).Registers
		}
		for _, l := range p.Cards[0].Launches {
			for _, c := range l.Steps {
				if c.Entry != "" && (p.Cards[0].Registers != "cubin" || c.Registers < 8 || c.Registers > bounds[c.Entry]) {
					t.Errorf("%s, %s: %d registers by %s, at most %d", p.Target, c.Entry, c.Registers, p.Cards[0].Registers, bounds[c.Entry])
				}
			}
		}
	}
}

// checkDiff wants a plan without cubins to differ in nothing else.
func checkDiff(t *testing.T, with *engine.Plan) {
	t.Helper()
	without, _ := buildFor(t, 1, "int8", "sm90", "x86-64-v3")
	c, err := dump.Compare(without, with)
	check(t, err)
	for _, d := range c.Differences {
		if !strings.Contains(d.Name, "cubin") || d.Old != nil {
			t.Errorf("%s %s differs", d.What, d.Name)
		}
	}
	if len(c.Differences) != 4 {
		t.Errorf("%d differences, want two of each target", len(c.Differences))
	}
}

// TestCubinTooOld wants one line where ptxas does not read the code of a target.
func TestCubinTooOld(t *testing.T) {
	for _, a := range ptxas.Find(t) {
		if a.Version >= 84 {
			continue
		}
		options := compiler.Options{Model: demo, Out: filepath.Join(t.TempDir(), "x"), Quant: "fp8", Archs: []string{"sm89"}, Cubin: true, PTXAS: a.Path}
		_, err := compiler.Build(t.Context(), options)
		if err == nil || !strings.Contains(err.Error(), "the code for sm_89 is PTX 8.4: take a newer ptxas") || strings.Contains(err.Error(), "\n") {
			t.Errorf("ptxas %s: %v", a.Release, err)
		}
		return
	}
	t.Skip("SKIPPED: every ptxas here is new")
}
