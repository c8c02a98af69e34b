package predict_test

import (
	"math"
	"strings"
	"testing"

	"llmc/compiler/predict"
	"llmc/engine"
)

// stream is an entry in the form that code generation writes: a loop of 4 + 2*16 bytes of loads, two products of 2048 multiply-adds, inside another loop.
const stream = `.visible .entry k(
    .param .u64 k_x
)
.maxntid 256, 1, 1
.minnctapersm 2
{
    .reg .pred %p<3>;
    .reg .b32 %r<40>;
    .reg .b64 %rd<9>;
    .shared .align 16 .b8 k_partials[8192];
$outer:
    add.u32 %r0, %r0, 1;
    // comment
$k_chunks_1:
        ld.global.b32 %r1, [%rd0];
        ld.global.nc.v4.b32 {%r4, %r5, %r6, %r7}, [%rd1];
        @%p1 ld.global.nc.v4.b32 {%r8, %r9, %r10, %r11}, [%rd1+512];
        mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%r12, %r13, %r14, %r15}, {%r4, %r5, %r6, %r7}, {%r1, %r1}, {%r12, %r13, %r14, %r15};
        @%p1 mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%r12, %r13, %r14, %r15}, {%r8, %r9, %r10, %r11}, {%r1, %r1}, {%r12, %r13, %r14, %r15};
        setp.lt.u32 %p1, %r0, %r3;
    @%p1 bra $k_chunks_1;
    @!%p2 bra $outer;
$done:
    bra.uni $never_seen;
    ret;
}
`

func TestRead(t *testing.T) {
	f := predict.Read(stream)
	want := predict.Loop{Lines: predict.Lines{First: 13, Last: 20}, Instructions: 7, Products: 2, MACs: 2048, Unit: "bf16"}
	if f.Loop == nil || *f.Loop != want || f.Loads != 32 || f.Static != 8192 || f.Async || f.Registers != 8+40+18 {
		t.Errorf("%+v, loop %+v", f, f.Loop)
	}
	if len(f.Busy) != 2 || f.Busy[0] != f.Loop.Lines || f.Busy[1].First != 10 {
		t.Errorf("busy loops %v", f.Busy)
	}
	wide := strings.ReplaceAll(stream, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {", "wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {")
	wide = strings.Replace(wide, "%r<40>", "%r<400>", 1)
	f = predict.Read(strings.Replace(wide, "ld.global.b32", "cp.async.ca.shared.global", 1))
	if l := f.Loop; l == nil || !l.Wgmma || l.Unit != "e4m3" || l.MACs != 64*128*32/4 || !f.Async || f.Registers != 128 {
		t.Errorf("%+v, loop %+v", f, f.Loop)
	}
	if f := predict.Read(""); f.Loop != nil || f.Registers <= 0 {
		t.Errorf("nothing: %+v", f)
	}
}

// TestOccupy compares with the vendor's rules for CTAs of known use.
func TestOccupy(t *testing.T) {
	for _, c := range []struct {
		card               string
		registers, threads int
		shared             int64
		want               int
		limit              string
	}{
		{"a100", 32, 256, 0, 8, "threads"}, {"a100", 33, 256, 0, 6, "registers"}, {"a100", 255, 256, 0, 1, "registers"},
		{"a100", 32, 128, 80 << 10, 2, "shared memory"}, {"h100", 168, 384, 188 << 10, 1, "registers"}, {"h200", 80, 384, 98 << 10, 2, "registers"},
		{"h200", 40, 384, 98 << 10, 2, "shared memory"}, {"l40s", 16, 32, 0, 24, "slots"}, {"l40s", 32, 256, 0, 6, "threads"}, {"l40s", 32, 32, 100 << 10, 0, "shared memory"},
	} {
		card, err := engine.FindCard(c.card)
		if err != nil {
			t.Fatal(err)
		}
		if got := predict.Occupy(card, predict.Use{Registers: c.registers, Threads: c.threads, Shared: c.shared}); got != (predict.Occupancy{CTAs: c.want, Limit: c.limit}) {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

// TestTime computes by hand what limits a launch.
func TestTime(t *testing.T) {
	card, err := engine.FindCard("h200")
	if err != nil {
		t.Fatal(err)
	}
	loop := &predict.Loop{Instructions: 8, Products: 4, MACs: 16384, Unit: "bf16", Wgmma: true}
	gap, a := card.Assumed.LaunchGap, card.Assumed
	for _, c := range []struct {
		name  string
		work  predict.Work
		want  float64 // without the gap
		limit string
	}{
		{"a long read", predict.Work{Bytes: 1e9, CTAs: 132 * 40, Flight: 64 << 10, Loop: loop}, 1e9 / (4.8e12 * a.ReadShare), "memory"},
		{"one CTA", predict.Work{Bytes: 1e6, CTAs: 1, Flight: 7000, Loop: loop}, 1e6 / 7000 * a.Latency, "memory"},
		{"products", predict.Work{Bytes: 1e6, Flops: 1e12, Issued: 1e12, CTAs: 132 * 4, Flight: 1 << 17, Loop: loop}, 1e12 / (989.4e12 * a.MathShare), "matrix units"},
		{"a last round of one", predict.Work{Bytes: 1e6, Flops: 1e12, Issued: 1e12, CTAs: 133, Flight: 1 << 17, Loop: loop}, 1e12 / (989.4e12 * a.MathShare) * 264 / 133, "matrix units"},
		{"shared out", predict.Work{Bytes: 1e6, Flops: 1e12, Issued: 1e12, CTAs: 133, Even: true, Flight: 1 << 17, Loop: loop}, 1e12 / (989.4e12 * a.MathShare), "matrix units"},
		{"many instructions", predict.Work{Bytes: 1e6, Flops: 1e12, Issued: 1e12, CTAs: 132, Flight: 1 << 17,
			Loop: &predict.Loop{Instructions: 400, Products: 1, MACs: 16384, Unit: "bf16", Wgmma: true}}, 1e12 / 32768 * 400 / (4 * 132 * card.Clock), "instructions"},
		{"mma.sync", predict.Work{Bytes: 1e6, Flops: 1e12, Issued: 1e12, CTAs: 132, Flight: 1 << 17,
			Loop: &predict.Loop{Instructions: 1, Products: 1, MACs: 2048, Unit: "bf16"}}, 1e12 / (989.4e12 * a.MmaSync), "matrix units"},
		{"reading again", predict.Work{Bytes: 1e6, Taken: 1e9, CTAs: 132, Flight: 1 << 17, Loop: loop}, 1e9 / (card.L2Cycle * card.Clock), "L2 cache"},
		{"little", predict.Work{Bytes: 1e3, CTAs: 1, Flight: 1 << 20, Loop: loop}, 1e3 / (64 * card.Clock), "gap"},
	} {
		got := c.work.On(card, predict.Occupancy{CTAs: 1})
		if math.Abs(got.Seconds-gap-c.want) > 1e-9*c.want || got.Limit != c.limit {
			t.Errorf("%s: %v s by %s, want %v by %s", c.name, got.Seconds-gap, got.Limit, c.want, c.limit)
		}
		if f := got.Fraction(); f <= 0 || f >= 1 {
			t.Errorf("%s: %v of the bound", c.name, f)
		}
	}
	if got := (&predict.Work{}).On(card, predict.Occupancy{CTAs: 1}); got != (predict.Time{}) {
		t.Errorf("no CTA: %+v", got)
	}
}

// FuzzRead wants no text to do harm.
func FuzzRead(f *testing.F) {
	f.Add(stream)
	f.Add("$a:\nmma.sync.m0n0k0.f32.bf16;\nbra $a;\n.maxntid 0\n.minnctapersm 99")
	f.Fuzz(func(t *testing.T, text string) {
		if l := predict.Read(text).Loop; l != nil && (l.Products == 0 || l.MACs == 0 || l.First > l.Last) {
			t.Errorf("%+v", l)
		}
	})
}
