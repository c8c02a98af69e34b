package passes

import (
	"testing"

	"llmc/ir"
)

// jointCaches is a target that writes caches by rope_kv where it can.
type jointCaches struct{ Plain }

func (t jointCaches) JoinsCaches() bool { return true }

// Where caches are best written by the joint op, queries and keys that do not turn get a rotation by nothing; elsewhere they stay as they are.
func TestCachesOfModelsThatDoNotTurn(t *testing.T) {
	const text = `cache @kv {kind="paged", layers=1, kv_heads=1, dim=4, dtype="f32"}
weight %w : f32[16,8]
weight %slopes : f32[2] = const(0.5, 0.25)
func @f(%x: f32[T,8], %positions: i32[T], %ropelen: i32[T], %kv0: kv[kv]) -> (f32[T,8], kv[kv]) {
  %qkv = linear %x, %w : f32[T,16]
  %q = slice %qkv {start=0, len=8} : f32[T,8]
  %k = slice %qkv {start=8, len=4} : f32[T,4]
  %v = slice %qkv {start=12, len=4} : f32[T,4]
  %kv1 = kv.write %kv0, %k, %v {layer=0} : kv[kv]
  %y = attn.paged %q, %kv1, _, _, _, %slopes {layer=0, heads=2, kv_heads=1, dim=4, scale=0.5} : f32[T,8]
  return %y, %kv1
}
`
	for target, want := range map[Target]string{Plain{}: "kv.write", jointCaches{}: "rope_kv"} {
		m, err := ir.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		before := m.Clone()
		if _, err := Run(m, Options{Target: target, Check: true}); err != nil {
			t.Fatal(err)
		}
		kinds := map[string]int{}
		for _, op := range m.Funcs[0].Ops {
			kinds[op.Kind.Name]++
		}
		if kinds[want] != 1 || kinds["rope_kv"]+kinds["kv.write"] != 1 || kinds["rope"] != 0 {
			t.Errorf("%T: %v, want one %s", target, kinds, want)
		}
		e := newEvaluation(t, before)
		if d := distance(t, e.run(t, m), e.run(t, before)); d != 0 {
			t.Errorf("%T: results are %g apart", target, d)
		}
	}
}

// headNorms is a target whose rope_kv normalises heads alone.
type headNorms struct{ Plain }

func (t headNorms) Kernels(op *ir.Op) []Kernel {
	if op.Kind.Name == "rope_kv" && ir.NormsRows(op) {
		return nil
	}
	return t.Plain.Kernels(op)
}

// Norms of all of a row's queries, and of all of its keys, are part of rope_kv where the target has a kernel for that, and stay ops of their own elsewhere.
func TestNormsOfAllHeads(t *testing.T) {
	const text = `cache @kv {kind="paged", layers=1, kv_heads=1, dim=4, dtype="f32"}
weight %w : f32[16,8]
weight %freq : f32[1,2] = const(1, 0.1)
weight %qn : f32[8]
weight %kn : f32[4]
func @f(%x: f32[T,8], %positions: i32[T], %ropelen: i32[T], %kv0: kv[kv]) -> (f32[T,8], kv[kv]) {
  %qkv = linear %x, %w : f32[T,16]
  %qs = slice %qkv {start=0, len=8} : f32[T,8]
  %ks = slice %qkv {start=8, len=4} : f32[T,4]
  %v = slice %qkv {start=12, len=4} : f32[T,4]
  %qh = rmsnorm %qs, %qn {eps=1e-06} : f32[T,8]
  %kh = rmsnorm %ks, %kn {eps=1e-06} : f32[T,4]
  %q = rope %qh, %positions, %ropelen, %freq {heads=2, dim=4} : f32[T,8]
  %k = rope %kh, %positions, %ropelen, %freq {heads=1, dim=4} : f32[T,4]
  %kv1 = kv.write %kv0, %k, %v {layer=0} : kv[kv]
  %y = attn.paged %q, %kv1 {layer=0, heads=2, kv_heads=1, dim=4, scale=0.5} : f32[T,8]
  return %y, %kv1
}
`
	for target, want := range map[Target]int{Plain{}: 1, headNorms{}: 0} {
		m, err := ir.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		before := m.Clone()
		if _, err := Run(m, Options{Target: target, Check: true}); err != nil {
			t.Fatal(err)
		}
		joint, norms := 0, 0
		for _, op := range m.Funcs[0].Ops {
			switch op.Kind.Name {
			case "rope_kv":
				joint++
			case "rmsnorm":
				norms++
			}
		}
		if joint != want || norms != 2*(1-want) {
			t.Errorf("%T: %d of rope_kv and %d norms", target, joint, norms)
		}
		e := newEvaluation(t, before)
		if d := distance(t, e.run(t, m), e.run(t, before)); d != 0 {
			t.Errorf("%T: results are %g apart", target, d)
		}
	}
}
