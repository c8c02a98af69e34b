package passes

import (
	"fmt"
	"testing"

	"llmc/internal/sym"
	"llmc/ir"

	"pgregory.net/rapid"
)

// genFunc draws a function of element-wise ops, views and selected rows over values of several widths, in an order in
// which every value is defined before it is read.
func genFunc(t *rapid.T) *ir.Module {
	b := ir.NewBuilder("random")
	b.Func("f")
	widths := []int64{4, 16, 40}
	byWidth := map[int64][]*ir.Value{}
	for _, w := range widths {
		byWidth[w] = []*ir.Value{b.Param(fmt.Sprintf("x%d", w), ir.F32(sym.Of(sym.T), w))}
	}
	var all []*ir.Value
	for i := range rapid.IntRange(1, 25).Draw(t, "ops") {
		w := rapid.SampledFrom(widths).Draw(t, "width")
		pick := func() *ir.Value { return rapid.SampledFrom(byWidth[w]).Draw(t, "operand") }
		var v *ir.Value
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			v = b.SiLU(pick())
		case 1:
			v = b.Add(pick(), pick())
		case 2:
			v = b.Scale(pick(), float64(i+2))
		default:
			narrow := rapid.SampledFrom(widths).Draw(t, "narrow")
			narrow = min(narrow, w)
			v = b.Slice(pick(), int(w-narrow), int(narrow))
			w = narrow
		}
		byWidth[w] = append(byWidth[w], v)
		all = append(all, v)
	}
	b.Return(rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, 3, rapid.ID[*ir.Value]).Draw(t, "results")...)
	m, err := b.Module()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Executing a planned function epoch by epoch, ops of one epoch in any order, no op reads a place that another value
// has taken, or takes one that another op of its epoch reads.
func TestPlannedMemoryIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genFunc(t)
		opts := Options{Target: Plain{}, Check: true}
		for _, pass := range []string{"dce", "select", "schedule", "plan-memory"} {
			if _, err := RunOne(pass, m, opts); err != nil {
				t.Fatal(err)
			}
		}
		f := m.Funcs[0]
		owner := map[int]*ir.Value{}
		for _, epoch := range splitEpochs(f) {
			writes := map[int]*ir.Value{}
			for _, op := range epoch {
				v := op.Result()
				if op.Kind.Has(ir.View) {
					continue
				}
				if writes[v.Place.Slot] != nil {
					t.Fatalf("two ops of one epoch write slot %d\n%s", v.Place.Slot, ir.Print(m))
				}
				writes[v.Place.Slot] = v
			}
			for _, op := range epoch {
				for _, a := range op.Args {
					if op.Kind.Has(ir.View) || base(a).Def == nil {
						continue
					}
					if owner[a.Place.Slot] != base(a) || writes[a.Place.Slot] != nil {
						t.Fatalf("%s reads slot %d, which is not its operand's\n%s", describe(op.Result()), a.Place.Slot, ir.Print(m))
					}
				}
			}
			for slot, v := range writes {
				owner[slot] = v
			}
		}
		for _, r := range f.Results {
			if base(r).Def != nil && owner[r.Place.Slot] != base(r) {
				t.Fatalf("result %s is overwritten\n%s", describe(r), ir.Print(m))
			}
		}
	})
}

func splitEpochs(f *ir.Func) [][]*ir.Op {
	split := [][]*ir.Op{nil}
	for _, op := range f.Ops {
		if op.Sync {
			split = append(split, nil)
		}
		split[len(split)-1] = append(split[len(split)-1], op)
	}
	return split
}

// Views lie inside what they show, row by row.
func TestViewsStayInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genFunc(t)
		opts := Options{Target: Plain{}, Check: true}
		for _, pass := range []string{"dce", "select", "schedule", "plan-memory"} {
			if _, err := RunOne(pass, m, opts); err != nil {
				t.Fatal(err)
			}
		}
		for _, op := range m.Funcs[0].Ops {
			whole := op.Args[0]
			if !op.Kind.Has(ir.View) || whole.Place == nil {
				continue
			}
			v := op.Result()
			at, end := v.Place.Offset-whole.Place.Offset, v.Place.Offset-whole.Place.Offset+4*columns(v)
			if v.Place.Slot != whole.Place.Slot || v.Place.Stride != whole.Place.Stride || at != 4*op.Int("start") || end > 4*columns(whole) {
				t.Fatalf("%s lies at%v, its whole at%v", describe(v), v.Place, whole.Place)
			}
		}
	})
}
