package ptx

import (
	"path/filepath"
	"strings"
	"testing"

	"llmc/internal/golden"
)

func TestGoldenKernel(t *testing.T) {
	golden.File(t, filepath.Join("testdata", "rmsnorm.ptx"), []byte(example(t, SM80, rmsnorm)))
}

// TestDeterministic builds every example twice and prints it twice.
func TestDeterministic(t *testing.T) {
	for _, e := range examples {
		m := NewModule(e.target)
		e.build(m)
		first, err := m.Print()
		if err != nil {
			t.Fatal(err)
		}
		again, _ := m.Print()
		if first != again || first != example(t, e.target, e.build) {
			t.Errorf("%s: the text differs from one print to the next", e.name)
		}
	}
}

func TestLowestVersion(t *testing.T) {
	for _, v := range []struct {
		name   string
		target Target
		write  func(k *scene)
		want   string
	}{
		{"nothing special", SM80, func(k *scene) {}, "7.8"},
		{"the target", SM90a, func(k *scene) {}, "8.0"},
		{"fp8 conversion on sm_89", SM89, func(k *scene) { k.Cvt2(E4M3x2, k.v[F32], k.v[F32]) }, "8.1"},
		{"fp8 conversion on sm_90", SM90, func(k *scene) { k.Cvt2(E4M3x2, k.v[F32], k.v[F32]) }, "7.8"},
		{"fp8 product", SM89, func(k *scene) { k.shapes(MmaE4M3) }, "8.4"},
		{"bulk copies", SM90, func(k *scene) { k.BulkCommit() }, "8.0"},
	} {
		m := NewModule(v.target)
		k := newScene(m, "k")
		v.write(k)
		if got := m.Version().String(); got != v.want {
			t.Errorf("%s: PTX %s, want %s", v.name, got, v.want)
		}
		if text, err := m.Print(); err != nil || !strings.HasPrefix(text, ".version "+v.want+"\n.target "+v.target.Name+"\n") {
			t.Errorf("%s: %v\n%.80s", v.name, err, text)
		}
	}
}

func TestKernels(t *testing.T) {
	m := NewModule(SM90a)
	wgmmaTile(m)
	b := m.Kernel("second", Launch{Threads: 64})
	b.Dynamic("head", 100, 16)
	b.DynamicPer("scores", 4, "positions", 128)
	b.Pointer("x", 8)
	b.Float("scale")
	kernels, err := m.Kernels()
	if err != nil {
		t.Fatal(err)
	}
	first, second := kernels[0], kernels[1]
	if first.Name != "wgmma_tile" || first.Threads != 160 || first.MinCTAs != 1 || first.StaticShared != 64 {
		t.Errorf("first kernel: %+v", first)
	}
	if got := first.DynamicShared.Bytes(0); got != 4*(8192+16384) {
		t.Errorf("dynamic shared memory of %d bytes", got)
	}
	// 64 accumulators are live together; the estimate cannot be below.
	if first.Registers < 64 || first.Registers > 100 {
		t.Errorf("about %d registers", first.Registers)
	}
	if len(first.Args) != 5 || first.Args[0] != (Arg{"a", Global, 16}) || first.Args[3] != (Arg{"k_tiles", U32, 0}) {
		t.Errorf("arguments: %+v", first.Args)
	}
	if d := second.DynamicShared; d.Bytes(10) != 128+40 || d.Unit != "positions" {
		t.Errorf("open shared memory: %+v", d)
	}
	if got := second.Units(SM90a); got != (227<<10-128)/4 {
		t.Errorf("%d positions fit", got)
	}
	if first.Hash == second.Hash || first.Hash == [32]byte{} {
		t.Error("hashes are equal or empty")
	}
	counts, err := m.Counts("wgmma_tile")
	if err != nil || counts["wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16"] != 4 {
		t.Errorf("counts: %v %v", counts, err)
	}
	if _, err := m.Counts("third"); err == nil {
		t.Error("no error for a kernel that is not there")
	}
}

func TestRaw(t *testing.T) {
	m := NewModule(SM80)
	k := newScene(m, "k")
	x := k.Reg(U32)
	k.When(k.v[Pred]).Raw("vabsdiff.u32.u32.u32 $0, $1, $2, $1", []Reg{x}, []Reg{k.v[U32], k.v[U32]})
	k.When(k.v[Pred]).St(k.g, x)
	text, err := m.Print()
	if err != nil {
		t.Fatal(err)
	}
	if want := "@%p0 vabsdiff.u32.u32.u32 %r2, %r1, %r1, %r1;"; !strings.Contains(text, want) {
		t.Errorf("no %s in\n%s", want, text)
	}
	if m.Raw() != 1 {
		t.Errorf("%d raw instructions counted", m.Raw())
	}
	refuse(t, SM80, Launch{}, func(k *scene) { k.Raw("x $0", nil, []Reg{{}}) }, "the register was never made")
}

func TestFindTarget(t *testing.T) {
	for _, want := range Targets {
		if got, ok := FindTarget(want.Name); !ok || got != want {
			t.Errorf("%s: %v %v", want.Name, got, ok)
		}
	}
	if _, ok := FindTarget("sm_70"); ok {
		t.Error("sm_70 is no target")
	}
}

// TestErrorsNameTheLine proves that mistakes found while building and by the verifier name the kernel's own code, also
// through helpers of the builder.
func TestErrorsNameTheLine(t *testing.T) {
	for _, write := range []func(k *scene){
		func(k *scene) { k.Add(k.v[U32], k.v[F32]) },
		func(k *scene) { k.If(k.Eq(k.Lane(), 0), func() { k.WarpReduce(k.v[F32], k.Add) }) },
		func(k *scene) { k.For(Range{To: 1.5}, func(Reg) {}) },
	} {
		refuse(t, SM80, Launch{}, write, "(module_test.go:")
	}
}

// TestVerifyAgain proves that a kernel may grow after it was printed.
func TestVerifyAgain(t *testing.T) {
	m := NewModule(SM80)
	k := newScene(m, "k")
	if err := m.Verify(); err != nil {
		t.Fatal(err)
	}
	k.Add(k.Reg(U32), 1)
	if err := m.Verify(); err == nil {
		t.Error("no error for what came later")
	}
}
