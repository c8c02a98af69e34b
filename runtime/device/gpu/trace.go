package gpu

import (
	"encoding/binary"

	"llmc/engine"
	"llmc/internal/dtype"
)

// Trace implements engine.Tracer. What function "encode" computes of a step's texts has "encode:" before its names.
func (m *Model) Trace(step *engine.Step, out []engine.Sampled, visit func(name string, rows [][]float32)) error {
	defer m.observed(visit)()
	return m.runMain(step, out)
}

// TraceFunction implements engine.FunctionTracer.
func (m *Model) TraceFunction(function string, step *engine.Step, visit func(name string, rows [][]float32)) error {
	defer m.observed(visit)()
	return m.Run(function, step, nil)
}

// observed has visit called with what each launch wrote, until what it returns is called.
func (m *Model) observed(visit func(name string, rows [][]float32)) (end func()) {
	m.visit = func(launch int) error {
		if launch == beginning {
			return nil
		}
		if err := m.driver.Finish(); err != nil {
			return err
		}
		p := m.running.program
		l := &p.Launches[launch]
		for i, role := range engine.FindKernel(l.Kernel).Roles {
			if i >= len(l.Operands) || !role.Writes || l.Operands[i].Kind != engine.OperandBuffer {
				continue
			}
			if err := m.show(&p.Buffers[l.Operands[i].Index], visit); err != nil {
				return err
			}
		}
		return nil
	}
	return func() { m.visit = nil }
}

// show reads a buffer of numbers of the function that runs back, rounded ones too; others are left out.
func (m *Model) show(b *engine.Buffer, visit func(name string, rows [][]float32)) error {
	n, err := b.Rows.Eval(m.sizes)
	decode := decoders[b.DType]
	if err != nil || decode == nil {
		return err
	}
	rows := make([][]float32, n)
	bytes := make([]byte, int64(b.DType.Size())*b.Cols)
	for i := range rows {
		if err := m.running.slots[b.Slot].Read(b.Offset+int64(i)*b.Stride, bytes); err != nil {
			return err
		}
		rows[i] = make([]float32, b.Cols)
		decode(rows[i], bytes)
	}
	name := b.Name
	if m.running.program.Func == engine.EncodeFunc {
		name = engine.EncodeFunc + ":" + name
	}
	visit(name, rows)
	return nil
}

// decoders read the numbers of buffers, little-endian.
var decoders = map[dtype.Type]func(dst []float32, src []byte){
	dtype.F32: decodeFloats,
	dtype.BF16: func(dst []float32, src []byte) {
		for i := range dst {
			dst[i] = dtype.BF16ToF32(binary.LittleEndian.Uint16(src[2*i:]))
		}
	},
}
