package emu

import (
	"fmt"
	"sync"

	"llmc/runtime/device/emu/ptxtext"
)

// Module is parsed PTX. It may be used from several goroutines.
type Module struct {
	text    *ptxtext.Module
	funcs   map[string]*ptxtext.Func
	vars    map[string]*variable // module scope
	globals []*variable          // in .global; grows when a kernel with .global variables of its own is decoded
	static  map[*ptxtext.Var]*variable
	consts  []byte // constant bank

	mu      sync.Mutex
	kernels map[string]*Kernel
}

// variable is a named piece of memory.
type variable struct {
	decl  *ptxtext.Var
	name  string
	space space
	size  int
	align int
	addr  uint64 // in its space; index into Module.globals for .global, whose addresses differ by Memory
	dyn   bool   // extern shared: behind the static variables
}

const maxConst = 64 << 10

// Load parses PTX text.
func Load(text string) (*Module, error) {
	parsed, err := ptxtext.Parse(text)
	if err != nil {
		return nil, err
	}
	if parsed.AddressSize != 64 {
		return nil, fmt.Errorf("address size %d: only 64 is supported", parsed.AddressSize)
	}
	m := &Module{text: parsed, funcs: map[string]*ptxtext.Func{}, vars: map[string]*variable{}, static: map[*ptxtext.Var]*variable{}, kernels: map[string]*Kernel{}}
	for _, f := range parsed.Funcs {
		if old := m.funcs[f.Name]; old != nil && !old.Declared && !f.Declared {
			return nil, &ptxtext.Error{Pos: f.Pos, Msg: "function " + f.Name + " is defined twice"}
		}
		if m.funcs[f.Name] == nil || !f.Declared {
			m.funcs[f.Name] = f
		}
	}
	for _, v := range parsed.Vars {
		if err := m.declare(v); err != nil {
			return nil, err
		}
	}
	return m, m.fillConsts()
}

func (m *Module) declare(v *ptxtext.Var) error {
	if m.vars[v.Name] != nil {
		return &ptxtext.Error{Pos: v.Pos, Msg: v.Name + " is declared twice"}
	}
	x, err := newVariable(v)
	if err != nil {
		return err
	}
	switch x.space {
	case spaceGlobal:
		m.place(x)
	case spaceConst:
		end := alignUp(len(m.consts), x.align)
		if end+x.size > maxConst {
			return &ptxtext.Error{Pos: v.Pos, Msg: fmt.Sprintf("more than %d bytes of constants", maxConst)}
		}
		x.addr = constWindow + uint64(end)
		m.consts = append(m.consts, make([]byte, end+x.size-len(m.consts))...)
	case spaceShared: // placed per kernel
	default:
		return &ptxtext.Error{Pos: v.Pos, Msg: "." + v.Space + " variable outside a function"}
	}
	m.vars[v.Name] = x
	return nil
}

// place gives a .global variable its number.
func (m *Module) place(x *variable) {
	x.addr = uint64(len(m.globals))
	m.globals = append(m.globals, x)
}

// placeStatic gives a .global variable of a function its number, the same for all kernels that call the function.
func (m *Module) placeStatic(v *variable) *variable {
	if old := m.static[v.decl]; old != nil {
		return old
	}
	m.place(v)
	m.static[v.decl] = v
	return v
}

// globalVars returns the .global variables known so far.
func (m *Module) globalVars() []*variable {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.globals[:len(m.globals):len(m.globals)]
}

func newVariable(v *ptxtext.Var) (*variable, error) {
	x := &variable{decl: v, name: v.Name, space: spaceWords[v.Space]}
	elem := ptxtext.TypeBits(v.Type) / 8 * v.Vec
	size := int64(elem)
	for _, d := range v.Dims {
		if d < 0 {
			x.dyn = true
			d = 0
			if len(v.Init) > 0 {
				d, x.dyn = int64(len(v.Init)), false
			}
		}
		size *= d
	}
	if x.dyn && (x.space != spaceShared || !v.Extern) {
		return nil, &ptxtext.Error{Pos: v.Pos, Msg: "array " + v.Name + " needs a size or an initialiser"}
	}
	if size > 1<<32 {
		return nil, &ptxtext.Error{Pos: v.Pos, Msg: "variable " + v.Name + " is larger than 4 GiB"}
	}
	x.size, x.align = int(size), max(v.Align, elem)
	if int64(len(v.Init))*int64(max(elem/v.Vec, 1)) > size {
		return nil, &ptxtext.Error{Pos: v.Pos, Msg: "initialiser of " + v.Name + " is longer than the array"}
	}
	return x, nil
}

// fillVar writes the initialiser of v into data; global gives the address of a .global variable.
func (m *Module) fillVar(data []byte, v *variable, global func(i int) uint64) error {
	t := typeWords[v.decl.Type]
	for i, e := range v.decl.Init {
		bits := numberBits(e.Num, t)
		if e.Sym != "" {
			s := m.vars[e.Sym]
			if s == nil || s.space == spaceShared {
				return &ptxtext.Error{Pos: e.Pos, Msg: "no address of " + e.Sym + " to initialise with"}
			}
			bits = s.addr
			if s.space == spaceGlobal {
				if global == nil {
					return &ptxtext.Error{Pos: e.Pos, Msg: "constants cannot hold the address of .global " + e.Sym}
				}
				bits = global(int(s.addr))
			}
			bits += uint64(e.Off)
		}
		putBits(data[i*t.size():], t.size(), bits)
	}
	return nil
}

func (m *Module) fillConsts() error {
	for _, v := range m.vars {
		if v.space == spaceConst {
			if err := m.fillVar(m.consts[v.addr-constWindow:], v, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func putBits(p []byte, size int, bits uint64) {
	for i := range size {
		p[i] = byte(bits >> (8 * i))
	}
}

// Target is the word of .target, such as sm_90a.
func (m *Module) Target() string { return m.text.Target }

// Kernels lists the entries in text order.
func (m *Module) Kernels() []string {
	var names []string
	for _, f := range m.text.Funcs {
		if f.Entry {
			names = append(names, f.Name)
		}
	}
	return names
}

// Kernel decodes an entry, once.
func (m *Module) Kernel(name string) (*Kernel, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.kernels[name]; k != nil {
		return k, nil
	}
	f := m.funcs[name]
	if f == nil || !f.Entry || f.Declared {
		return nil, fmt.Errorf("no kernel %q in the module; it has %q", name, m.Kernels())
	}
	prog, err := decode(m, f)
	if err != nil {
		return nil, err
	}
	k := &Kernel{prog: prog}
	m.kernels[name] = k
	return k, nil
}

func alignUp(n, a int) int { return (n + a - 1) / a * a }
