package ptx

import "fmt"

// MMA is a shape of mma.sync: D (MxN) += A (MxK, by rows) * B (KxN, by columns), one warp. Fragments say where the
// elements lie.
type MMA struct {
	form    string
	M, N, K int
	A, B, D *Fragment
}

// Shapes of mma.sync.
var (
	MmaF16      = MMA{"m16n8k16.row.col.f32.f16.f16.f32", 16, 8, 16, FragmentA16816, FragmentB16816, FragmentD168}
	MmaBF16     = MMA{"m16n8k16.row.col.f32.bf16.bf16.f32", 16, 8, 16, FragmentA16816, FragmentB16816, FragmentD168}
	MmaF16K8    = MMA{"m16n8k8.row.col.f32.f16.f16.f32", 16, 8, 8, FragmentA1688, FragmentB1688, FragmentD168}
	MmaBF16K8   = MMA{"m16n8k8.row.col.f32.bf16.bf16.f32", 16, 8, 8, FragmentA1688, FragmentB1688, FragmentD168}
	MmaF16F16   = MMA{"m16n8k16.row.col.f16.f16.f16.f16", 16, 8, 16, FragmentA16816, FragmentB16816, FragmentD168Half}
	MmaTF32     = MMA{"m16n8k8.row.col.f32.tf32.tf32.f32", 16, 8, 8, FragmentA1688TF32, FragmentB1688TF32, FragmentD168}
	MmaTF32K4   = MMA{"m16n8k4.row.col.f32.tf32.tf32.f32", 16, 8, 4, FragmentA1684TF32, FragmentB1684TF32, FragmentD168}
	MmaS8       = MMA{"m16n8k32.row.col.s32.s8.s8.s32", 16, 8, 32, FragmentA16832, FragmentB16832, FragmentD168}
	MmaU8       = MMA{"m16n8k32.row.col.s32.u8.u8.s32", 16, 8, 32, FragmentA16832, FragmentB16832, FragmentD168}
	MmaS8U8     = MMA{"m16n8k32.row.col.s32.s8.u8.s32", 16, 8, 32, FragmentA16832, FragmentB16832, FragmentD168}
	MmaU8S8     = MMA{"m16n8k32.row.col.s32.u8.s8.s32", 16, 8, 32, FragmentA16832, FragmentB16832, FragmentD168}
	MmaS8K16    = MMA{"m16n8k16.row.col.s32.s8.s8.s32", 16, 8, 16, FragmentA16816Byte, FragmentB16816Byte, FragmentD168}
	MmaE4M3     = MMA{"m16n8k32.row.col.f32.e4m3.e4m3.f32", 16, 8, 32, FragmentA16832, FragmentB16832, FragmentD168}
	MmaE5M2     = MMA{"m16n8k32.row.col.f32.e5m2.e5m2.f32", 16, 8, 32, FragmentA16832, FragmentB16832, FragmentD168}
	MmaE4M3E5M2 = MMA{"m16n8k32.row.col.f32.e4m3.e5m2.f32", 16, 8, 32, FragmentA16832, FragmentB16832, FragmentD168}
	MmaE5M2E4M3 = MMA{"m16n8k32.row.col.f32.e5m2.e4m3.f32", 16, 8, 32, FragmentA16832, FragmentB16832, FragmentD168}
)

// Mma adds the product of the fragments a and m to the accumulator d, in place.
func (b *Builder) Mma(shape MMA, d, a, m []Reg) {
	b.emit("mma.sync.aligned."+shape.form, d, a, m, d)
}

// Ldmatrix loads n (1, 2, 4) matrices of 8x8 16-bit elements; lane i gives the address of row i%8 of matrix i/8. Each lane
// gets two elements of a row of each matrix, with trans of a column, in a register of type t.
func (b *Builder) Ldmatrix(t Type, n int, trans bool, a Address) []Reg {
	d := b.results(t, n)
	b.emit("ldmatrix."+matrixForm(n, trans), d, a)
	return d
}

// Stmatrix stores matrices as Ldmatrix loads them; needs sm_90.
func (b *Builder) Stmatrix(trans bool, a Address, v []Reg) {
	b.emit("stmatrix."+matrixForm(len(v), trans), a, v)
}

func matrixForm(n int, trans bool) string {
	suffix := ""
	if trans {
		suffix = ".trans"
	}
	return fmt.Sprintf("sync.aligned.m8n8.x%d%s.shared.b16", n, suffix)
}
