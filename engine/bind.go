package engine

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"llmc/internal/sym"
)

// maxDim bounds every size and attribute that sizes are computed from.
const maxDim = 1 << 31

// Bound is a launch whose operands are known to exist, with the values of the names in its kernel's row.
type Bound struct {
	Kernel *Kernel
	Launch *Launch
	scope  *programScope
	rows   map[string]sym.Dim
	sizes  map[string]int64
}

// Buffer returns the buffer in the role, nil when the operand is absent.
func (b *Bound) Buffer(role string) *Buffer {
	if o := b.Kernel.Operand(b.Launch, role); o.Kind == OperandBuffer {
		return &b.scope.program.Buffers[o.Index]
	}
	return nil
}

// Weight returns the weight in the role, nil when the operand is absent.
func (b *Bound) Weight(role string) *WeightEntry {
	if o := b.Kernel.Operand(b.Launch, role); o.Kind == OperandWeight {
		return b.scope.parts[o.Index]
	}
	return nil
}

// Vocab returns the number of tokens of the model.
func (b *Bound) Vocab() int64 { return b.scope.vocab }

// Size returns the value of a name of the row.
func (b *Bound) Size(name string) int64 { return b.sizes[name] }

// bindRows binds or compares the rows of a buffer or the length of an input.
func (b *Bound) bindRows(name string, rows sym.Dim) error {
	want, known := b.rows[name]
	if !known {
		b.rows[name] = rows
		return nil
	}
	if want != rows {
		return fmt.Errorf("%v rows, not %s = %v", rows, name, want)
	}
	return nil
}

// bindSize binds or compares one dimension.
func (b *Bound) bindSize(expr string, size int64) error {
	if _, known := b.sizes[expr]; !known && isName(expr) {
		b.sizes[expr] = size
		return nil
	}
	want, err := b.eval(expr)
	if err != nil {
		return err
	}
	if want != size {
		return fmt.Errorf("size %d, not %s = %d", size, expr, want)
	}
	return nil
}

func isName(expr string) bool {
	return expr != "" && !strings.ContainsAny(expr, "+*") && (expr[0] < '0' || expr[0] > '9')
}

// eval computes a sum of products of names and numbers.
func (b *Bound) eval(expr string) (int64, error) {
	var sum uint64
	for _, term := range strings.Split(expr, "+") {
		product := uint64(1)
		for _, factor := range strings.Split(term, "*") {
			n, known := b.sizes[factor]
			if !known {
				var err error
				if n, err = strconv.ParseInt(factor, 10, 64); err != nil {
					return 0, fmt.Errorf("%s is not known", factor)
				}
			}
			hi, lo := bits.Mul64(product, uint64(n))
			if n < 0 || hi != 0 || lo > 1<<60 {
				return 0, fmt.Errorf("%s overflows", expr)
			}
			product = lo
		}
		if sum += product; sum > 1<<60 {
			return 0, fmt.Errorf("%s overflows", expr)
		}
	}
	return int64(sum), nil
}

// relations are the operators of Kernel.Where.
var relations = map[string]func(a, b int64) bool{
	"=":       func(a, b int64) bool { return a == b },
	"<":       func(a, b int64) bool { return a < b },
	"<=":      func(a, b int64) bool { return a <= b },
	"divides": func(a, b int64) bool { return a > 0 && b%a == 0 },
}

// relation tests "A op B". Names that no operand or attribute has bound belong to absent optional operands, of which nothing is asked.
func (b *Bound) relation(where string) error {
	part := strings.Fields(where)
	left, errLeft := b.eval(part[0])
	right, errRight := b.eval(part[2])
	if errLeft != nil || errRight != nil {
		return nil
	}
	if !relations[part[1]](left, right) {
		return fmt.Errorf("%s does not hold: %d and %d", where, left, right)
	}
	return nil
}
