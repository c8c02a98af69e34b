//go:build !kit

package cuda_test

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"llmc/codegen/cuda"
	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/ir"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

// exchanged is a value of which each card has some columns.
type exchanged struct {
	x, y   string
	t      dtype.Type
	cols   int // of a card
	maxima bool
}

// exchangeCases are values that cards exchange: in units of 16, 8, 4 and 2 bytes, with padding behind their columns and with largest magnitudes.
var exchangeCases = []struct {
	cards, rows int
	values      []exchanged
}{
	{2, 3, []exchanged{{"x", "y", dtype.F32, 64, false}}},
	{2, 5, []exchanged{{"x", "y", dtype.BF16, 32, false}, {"x2", "y2", dtype.F32, 2, false}}},
	{3, 200, []exchanged{{"x", "y", dtype.BF16, 9, false}}}, // more rows than CTAs
	{4, 2, []exchanged{{"x", "y", dtype.F32, 40, true}, {"x2", "y2", dtype.F32, 3, false}}},
	{8, 1, []exchanged{{"x", "y", dtype.F16, 600, false}}},
}

// buffers describes the values on a card, and all of them.
func (e exchanged) buffers(cards int) (x, y engine.Buffer) {
	of := func(name string, cols int) engine.Buffer {
		format := e.t.String()
		if e.maxima {
			format = ir.MaximaFormat
		}
		a, err := layout.NewActivation(format, cols, 0)
		if err != nil {
			panic(err)
		}
		b := engine.Buffer{Name: name, Rows: sym.Of(sym.T), Cols: int64(cols), Stride: int64(a.RowBytes()+63) / 64 * 64, DType: e.t}
		if e.maxima {
			b.Format = format
		}
		return b
	}
	return of(e.x, e.cols), of(e.y, e.cols*cards)
}

// TestExchange wants every card to have the columns of all, time after time, with nothing unordered.
func TestExchange(t *testing.T) {
	for _, target := range budgetTargets {
		for _, c := range exchangeCases {
			t.Run(fmt.Sprintf("%s/%d cards, %d rows, %v", target, c.cards, c.rows, c.values[0].t), func(t *testing.T) {
				kernel, op := "cuda.exchange", "exchange"
				if len(c.values) == 2 {
					kernel, op = "cuda.exchange_pair", "exchange_pair"
				}
				s := newSingle(t, kernel, op, engine.Attr{Name: "cards", Int: int64(c.cards)})
				s.program.Cards = c.cards
				for _, v := range c.values {
					for _, b := range asList(v.buffers(c.cards)) {
						s.place(b.Name, engine.Operand{Kind: engine.OperandBuffer, Index: len(s.program.Buffers)})
						s.program.Buffers = append(s.program.Buffers, b)
					}
				}
				s.inputs("peers")
				coder := cuda.NewCoder(gpuTarget(t, target))
				codes, err := coder.Code(&s.op, &s.launch, &s.program)
				check(t, err)
				s.code = &codes[0]
				s.text, err = coder.Text()
				check(t, err)
				s.exchange(t, c.cards, c.rows)
			})
		}
	}
}

func asList(x, y engine.Buffer) []engine.Buffer { return []engine.Buffer{x, y} }

// exchangeCard is a card with its memory of an exchange.
type exchangeCard struct {
	driver gpu.Driver
	launch gpu.Launch
	memory []gpu.Memory // of the program's buffers
	area   gpu.Memory
	table  gpu.Memory
}

// exchange runs a launch on all cards several times, and looks at what comes of it.
func (s *single) exchange(t *testing.T, cards, rows int) {
	_, bytes := s.program.ExchangeRuns(&s.launch)
	var all []*exchangeCard
	for i, d := range emu.OpenCards(emu.Options{Races: true}, cards) {
		all = append(all, s.newExchangeCard(t, d, engine.NewPeers(i, cards, rows, bytes), cards, rows))
	}
	for i, c := range all {
		p := engine.NewPeers(i, cards, rows, bytes)
		var table []byte
		for _, word := range []uint32{p.Card, p.Rows, p.RowBytes, p.Arrived, p.Parts, 0} {
			table = binary.LittleEndian.AppendUint32(table, word)
		}
		for _, peer := range all {
			table = binary.LittleEndian.AppendUint64(table, peer.area.Addr())
		}
		check(t, c.table.Write(0, table))
	}
	for time := range 3 {
		errs := make([]error, cards)
		for i, c := range all {
			s.fillOwn(t, c, i, rows, time)
		}
		var group sync.WaitGroup
		for i, c := range all {
			group.Go(func() { errs[i] = c.driver.Launch(&c.launch) })
		}
		group.Wait()
		for i := range all {
			check(t, errs[i])
			s.checkAll(t, all[i], cards, rows, time)
		}
	}
}

func (s *single) newExchangeCard(t *testing.T, d gpu.Driver, p engine.Peers, cards, rows int) *exchangeCard {
	t.Helper()
	code, err := d.Load(s.text)
	check(t, err)
	kernel, err := code.Entry(s.code.Entry)
	check(t, err)
	ranges := []gpu.Range{{Name: "area", Bytes: p.Bytes(cards)}, {Name: "table", Bytes: int64(4*engine.PeersWords + 8*cards)}}
	for _, b := range s.program.Buffers {
		ranges = append(ranges, gpu.Range{Name: b.Name, Bytes: int64(rows) * b.Stride})
	}
	memory, err := d.Alloc("operands", ranges)
	check(t, err)
	c := &exchangeCard{driver: d, area: memory[0], table: memory[1], memory: memory[2:]}
	check(t, d.Clear(c.area, 0, int64(p.Parts)))
	c.launch = gpu.Launch{Kernel: kernel, Label: s.launch.Kernel, Threads: uint32(s.code.Threads), Shared: uint32(s.code.Shared), Early: s.code.Early}
	for i, e := range s.code.Grid {
		n, err := e.Eval(sym.Bind(int64(rows), 1, 0, 0))
		check(t, err)
		c.launch.Grid[i] = uint32(n)
	}
	for _, o := range s.launch.Operands {
		if o.Kind == engine.OperandBuffer {
			c.launch.Args = append(c.launch.Args, c.memory[o.Index].Addr())
		} else {
			c.launch.Args = append(c.launch.Args, c.table.Addr())
		}
	}
	c.launch.Args = append(c.launch.Args, uint64(rows), 1, 0, 0, 0)
	return c
}

// shownByte is byte i of what a card has of a run in a row at some time.
func shownByte(card, run, row, i, time int) byte {
	return byte(131*card + 31*run + 7*row + 3*i + 17*time)
}

// fillOwn writes what a card has.
func (s *single) fillOwn(t *testing.T, c *exchangeCard, card, rows, time int) {
	t.Helper()
	runs, _ := s.program.ExchangeRuns(&s.launch)
	for n, r := range runs {
		stride := s.program.Buffers[r.X].Stride
		for row := range rows {
			bytes := make([]byte, r.Bytes)
			for i := range bytes {
				bytes[i] = shownByte(card, n, row, i, time)
			}
			check(t, c.memory[r.X].Write(int64(row)*stride+r.From, bytes))
		}
	}
}

// checkAll wants what all cards have, and zeros behind columns of 16 bits.
func (s *single) checkAll(t *testing.T, c *exchangeCard, cards, rows, time int) {
	t.Helper()
	runs, _ := s.program.ExchangeRuns(&s.launch)
	for n, r := range runs {
		b := &s.program.Buffers[r.Y]
		for row := range rows {
			for card := range cards {
				bytes := make([]byte, r.Bytes)
				check(t, c.memory[r.Y].Read(int64(row)*b.Stride+r.To+int64(card)*r.Bytes, bytes))
				for i := range bytes {
					if bytes[i] != shownByte(card, n, row, i, time) {
						t.Fatalf("time %d, run %d, row %d: byte %d of card %d is %d", time, n, row, i, card, bytes[i])
					}
				}
			}
			if end := b.Cols * int64(b.DType.Size()); b.DType != dtype.F32 {
				bytes := make([]byte, (b.Cols+63)/64*64*int64(b.DType.Size())-end)
				check(t, c.memory[r.Y].Read(int64(row)*b.Stride+end, bytes))
				for _, v := range bytes {
					if v != 0 {
						t.Fatalf("row %d: padding is not zero", row)
					}
				}
			}
		}
	}
}

// TestAssembleExchange gives the kernels of cards to NVIDIA's assembler.
func TestAssembleExchange(t *testing.T) {
	t.Parallel()
	for n, target := range budgetTargets {
		for i, c := range exchangeCases {
			v := c.values[0]
			s := newSingle(t, "cuda.exchange", "exchange", engine.Attr{Name: "cards", Int: int64(c.cards)})
			for _, b := range asList(v.buffers(c.cards)) {
				s.place(b.Name, engine.Operand{Kind: engine.OperandBuffer, Index: len(s.program.Buffers)})
				s.program.Buffers = append(s.program.Buffers, b)
			}
			s.inputs("peers")
			s.write(target)
			t.Logf("%s: %v", target, assembled(t, i+n, s.text, gpuTarget(t, target).PTX.Name))
		}
	}
}
