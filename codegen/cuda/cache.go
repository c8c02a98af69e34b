package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
)

// kvRowBytes is the distance from a position of the cache to the next.
func (e *entry) kvRowBytes() int {
	c := e.program.Caches[e.kernel.Operand(e.launch, "cache").Index]
	kv, err := layout.NewPlainKV(c.DType, layout.MinPageSize, c.KVHeads, c.Dim)
	if err != nil {
		panic("cuda: " + err.Error()) // Target was asked, which knows them
	}
	return kv.RowBytes()
}

// kvPage is where a page of the launch's layer lies. The number of a page is not negative.
func (e *entry) kvPage(number ptx.Reg) ptx.Reg {
	return e.Add(e.pointers["cache"], e.Mul(e.Cvt(ptx.U64, number), e.pageStride))
}

// kvRow counts the rows of keys in a page before an offset of a head; valueBytes further lies the value.
func (e *entry) kvRow(head, offset ptx.Reg) ptx.Reg { return e.Mad(head, e.pageSize, offset) }

// valueBytes is the distance from a key to its value.
func (e *entry) valueBytes() ptx.Reg {
	return e.Mul(e.pageSize, int(e.launch.Int("kv_heads", 0))*e.kvRowBytes())
}
