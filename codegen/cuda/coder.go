package cuda

import (
	"fmt"
	"slices"
	"strings"

	"llmc/codegen"
	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/ir"
)

// Coder writes the kernels of a target's programs. Launches that differ in nothing but addresses share an entry, whatever functions they are of.
type Coder struct {
	target  Target
	module  *ptx.Module
	entries map[string][]engine.Code // by what the entries are specialised for
	names   map[string]int
	sources map[string]source      // by entry
	adapted []engine.Adapted       // of the program at hand
	adapts  bool                   // products have entries for steps with adapters
	again   []func()               // write what has been written once more
	shared  map[string]engine.Code // auxiliary entries, by name
}

// NewCoder starts the code of a target.
func NewCoder(t Target) *Coder {
	return &Coder{target: t, module: ptx.NewQuickModule(t.PTX), entries: map[string][]engine.Code{}, names: map[string]int{}, sources: map[string]source{},
		shared: map[string]engine.Code{}}
}

// family writes the entries of one kernel.
type family struct {
	threads int
	// grid returns the CTAs of a launch.
	grid  func(e *entry) [3]engine.Extent
	build func(e *entry)
}

// families lists the kernels by the names of engine's kernel table.
var families = map[string]family{
	"cuda.gather":           {gatherThreads, perRow("y"), gather},
	"cuda.gather_positions": {gatherThreads, perRow("y"), gather},
	"cuda.gather_types":     {gatherThreads, perRow("y"), gather},
	"cuda.pool":             {poolThreads, poolGrid, pool},
	"cuda.soft":             {rowThreads, perRow("y"), soft},
	"cuda.insert":           {rowThreads, perRow("y"), insert},
	"cuda.rmsnorm":          {normThreads, perRow("y"), norm},
	"cuda.add_rmsnorm":      {normThreads, perRow("normed"), norm},
	"cuda.layernorm":        {normThreads, perRow("y"), norm},
	"cuda.add_layernorm":    {normThreads, perRow("normed"), norm},
	"cuda.linear":           {linearThreads, linearGrid, linear},
	"cuda.linear_swiglu":    {linearThreads, linearGrid, linear},
	"cuda.linear_act":       {linearThreads, linearGrid, linear},
	"cuda.linear_add":       {linearThreads, linearGrid, linear},
	"cuda.linear_rope_kv":   {linearThreads, linearGrid, linear},
	"cuda.rope_turns":       {turnsThreads, perRow("y"), ropeTurns},
	"cuda.rope_kv":          {ropeThreads, ropeGrid, ropeKV},
	"cuda.rope_kv_rows":     {ropeRowsThreads, perRow("y"), ropeKVRows},
	"cuda.kv_write":         {ropeThreads, kvWriteGrid, kvWrite},
	"cuda.attention":        {attentionThreads, attentionGrid, attention},
	"cuda.attention_ahead":  {attentionThreads, attentionGrid, attention},
	"cuda.attention_latent": {attentionThreads, attentionGrid, attention},
	"cuda.latent_write":     {ropeThreads, latentGrid, latentWrite},
	"cuda.linear_heads":     {linearThreads, headsGrid, linearHeads},
	"cuda.rope":             {ropeThreads, ropeGrid, ropeRows},
	"cuda.select_rows":      {rowThreads, perRow("y"), selectRows},
	"cuda.cast":             {rowThreads, perRow("y"), elementwise},
	"cuda.quantize":         {quantizeThreads, perRow("y"), quantize},
	"cuda.swiglu":           {rowThreads, perRow("y"), elementwise},
	"cuda.silu":             {rowThreads, perRow("y"), elementwise},
	"cuda.gelu":             {rowThreads, perRow("y"), elementwise},
	"cuda.gelu_tanh":        {rowThreads, perRow("y"), elementwise},
	"cuda.quick_gelu":       {rowThreads, perRow("y"), elementwise},
	"cuda.relu":             {rowThreads, perRow("y"), elementwise},
	"cuda.relu2":            {rowThreads, perRow("y"), elementwise},
	"cuda.sigmoid":          {rowThreads, perRow("y"), elementwise},
	"cuda.softcap":          {rowThreads, perRow("y"), elementwise},
	"cuda.add":              {rowThreads, perRow("y"), elementwise},
	"cuda.mul":              {rowThreads, perRow("y"), elementwise},
	"cuda.scale":            {rowThreads, perRow("y"), elementwise},
	"cuda.scale_rows":       {rowThreads, perRow("y"), scaleRows},
	"cuda.scale_positions":  {rowThreads, perRow("y"), scalePositions},
	"cuda.columns":          {rowThreads, perRow("y"), columns},
	"cuda.state_conv":       {convolutionThreads, convolutionGrid, stateConv},
	"cuda.state_scan":       {scanThreads, scanGrid, stateScan},

	"cuda.attention_relative": {attentionThreads, attentionGrid, attention},
	"cuda.attention_text":     {attentionThreads, attentionGrid, attention},

	"cuda.own_columns":   {rowThreads, perRow("y"), ownColumns},
	"cuda.exchange":      {exchangeThreads, exchangeGrid, exchangeRows},
	"cuda.exchange_pair": {exchangeThreads, exchangeGrid, exchangeRows},

	"cuda.moe_route":         {routeThreads, routeGrid, route},
	"cuda.moe_dispatch":      {dispatchThreads, dispatchGrid, dispatch},
	"cuda.moe_linear":        {linearThreads, expertGrid, expertLinear},
	"cuda.moe_linear_swiglu": {linearThreads, expertGrid, expertLinear},
	"cuda.moe_combine":       {rowThreads, perRow("z"), combine},
}

// wantedCTAs says how many CTAs a multiprocessor should take at a time, which bounds the registers, where the assembler's own choice is
// not the best. 0 leaves it the choice.
var wantedCTAs = map[string]func(e *entry) int{"cuda.attention": attentionCTAs, "cuda.attention_ahead": attentionCTAs, "cuda.attention_latent": always(1), "cuda.moe_linear": expertCTAs,
	"cuda.attention_relative": attentionCTAs, "cuda.attention_text": attentionCTAs,
	"cuda.sample_mass": always(4), "cuda.sample_rank": always(1), "cuda.sample_draw": always(1)}

func always(n int) func(*entry) int { return func(*entry) int { return n } }

// variant is a family's entry for steps in which the rows of x are at most limit; 0: for all.
type variant struct {
	family
	limit      int64
	ctas       int  // of a multiprocessor, where the entry counts on them
	makesCodes bool // the entry quantizes its inputs itself
	// readsWeights: the entry begins with weights, and waits for what the launch before it writes later.
	readsWeights bool
	// prefetch is what a part does before it waits for its inputs, with all threads of the CTA; nil: nothing.
	prefetch func(e *entry)
}

// Code returns the entries of a launch, written now if no launch before it had the same shape.
func (c *Coder) Code(op *ir.Op, l *engine.Launch, p *engine.Program) ([]engine.Code, error) {
	f, ok := families[l.Kernel]
	if !ok {
		f, ok = sampleFamilies[l.Kernel]
	}
	if !ok {
		return nil, fmt.Errorf("no kernel %s can be written", l.Kernel)
	}
	e := &entry{op: op, launch: l, program: p, kernel: engine.FindKernel(l.Kernel), cores: c.target.Cores, sharedMemory: c.target.SharedMemory, convertsE4M3: c.target.convertsE4M3()}
	signature := e.signature()
	switch {
	case e.attends():
		newAttend(e).plan(l, p)
	case c.isWide(e):
		planStream(e)
	}
	codes := c.codes(e, f, signature, strings.TrimPrefix(l.Kernel, "cuda."))
	if c.adapts && e.takesAdapters() {
		c.adapt(*e, f, signature)
	}
	return codes, nil
}

// codes returns the entries of a signature, written under a name with a number if there are none yet.
func (c *Coder) codes(e *entry, f family, signature, short string) []engine.Code {
	if codes := c.entries[signature]; codes != nil {
		return codes
	}
	c.names[short]++
	name := fmt.Sprintf("%s_%d", short, c.names[short])
	var codes []engine.Code
	for _, v := range c.variants(e, f) {
		codes = append(codes, c.write(*e, v, name))
	}
	if e.stacked() {
		codes = expertCodes(e, codes)
	}
	c.entries[signature] = codes
	return codes
}

// attends tells whether the launch is attention.
func (e *entry) attends() bool {
	return slices.ContainsFunc(e.kernel.Roles, func(r engine.Role) bool { return r.Name == "partials" })
}

// isProduct tells whether the launch multiplies one matrix with all rows of its input.
func (e *entry) isProduct() bool {
	return finishers[e.launch.Kernel] != nil && !e.stacked() && !e.headed()
}

// isWide tells whether the launch is a product on wgmma.
func (c *Coder) isWide(e *entry) bool {
	return c.target.PTX == ptx.SM90a && e.isProduct() && wideReaders[newProduct(e).reads()] != nil
}

// variants lists the entries of a launch.
func (c *Coder) variants(e *entry, f family) []variant {
	switch {
	case c.isWide(e):
		return wideVariants(e)
	case e.isProduct():
		return multistageVariants(e, f)
	case e.quantizesRaw():
		return skipped(f)
	}
	return []variant{{family: f}}
}

// write adds an entry to the module, if the variant has one.
func (c *Coder) write(e entry, v variant, name string) engine.Code {
	c.again = append(c.again, func() { c.writeOnce(e, v, name) })
	code := c.writeOnce(e, v, name)
	if v.build != nil {
		c.sources[code.Entry] = source{e, v}
	}
	return code
}

func (c *Coder) writeOnce(e entry, v variant, name string) engine.Code {
	e.makesCodes = v.makesCodes
	code := engine.Code{Entry: name, Grid: v.grid(&e), Threads: v.threads}
	if v.limit != 0 {
		code.Limit = engine.Limit{Of: e.buffer("x").Rows, Max: v.limit}
	}
	if v.build == nil {
		return code // none of the last variant's CTAs
	}
	if v.limit != 0 {
		code.Entry = fmt.Sprintf("%s_to_%d", name, v.limit)
	}
	shape := ptx.Launch{Threads: v.threads, MinCTAs: v.ctas}
	if ctas := wantedCTAs[e.launch.Kernel]; ctas != nil {
		shape.MinCTAs = ctas(&e)
	}
	e.Builder = c.module.Kernel(code.Entry, shape)
	e.threads = v.threads
	e.declare()
	if code.Early = c.target.PTX == ptx.SM90a; code.Early {
		e.LaunchDependents()
		e.early = v.readsWeights
	}
	if !e.early && code.Early {
		e.WaitForDependency()
	}
	v.build(&e)
	code.Shared = e.shared
	return code
}

// Text verifies and prints all kernels. Where one is wrong they are written again, to tell which line of Go code is at fault.
func (c *Coder) Text() (string, error) {
	text, err := c.module.Print()
	if err == nil {
		return text, nil
	}
	c.module = ptx.NewModule(c.target.PTX)
	for _, write := range c.again {
		write()
	}
	if _, placed := c.module.Print(); placed != nil {
		err = placed
	}
	return "", err
}

// entry is a kernel that is being written: the builder, and what it is specialised for. Parts of kernels hold it in a field: Go compiles the
// three hundred methods of the builder once more for each type that embeds it, which took most of the time that this package takes to build.
type entry struct {
	*ptx.Builder
	op         *ir.Op
	launch     *engine.Launch
	program    *engine.Program
	kernel     *engine.Kernel
	threads    int
	shared     int  // dynamic shared memory, bytes
	makesCodes bool // inputs that are codes are made of those that are raw
	early      bool // runs while the launch before it ends, until it says awaitInputs
	adapted    bool // adapters add to the product
	part       *part

	cores        int  // multiprocessors of the target's card
	sharedMemory int  // bytes that a CTA can have there
	convertsE4M3 bool // the target has instructions that convert e4m3

	pointers             map[string]ptx.Reg // by role
	t, b, r              ptx.Reg            // sizes of the step
	pageSize, pageStride ptx.Reg            // positions of a KV page, bytes from one to the next
}

// declare writes the parameters, in the order that engine.Code states.
func (e *entry) declare() {
	e.Section("parameters")
	e.pointers = map[string]ptx.Reg{}
	if e.part != nil {
		e.fetch()
		return
	}
	for _, role := range e.kernel.Roles {
		align := 4
		if slices.Contains([]engine.OperandKind{engine.OperandBuffer, engine.OperandWeight, engine.OperandCache}, role.Kind) {
			align = 16
		}
		if role.Name == "peers" { // addresses of 8 bytes
			align = 8
		}
		if o := e.kernel.Operand(e.launch, role.Name); o.Kind == engine.OperandBuffer && !e.wholeVectors(role.Name) {
			align = 4
		}
		e.pointers[role.Name] = e.Pointer(role.Name, align)
	}
	e.t, e.b, e.r = e.Uint("tokens"), e.Uint("sequences"), e.Uint("rows_sampled")
	e.pageSize, e.pageStride = e.Uint("page_size"), e.Uint64("page_stride")
	if e.adapted {
		e.declareAdapters()
	}
}

// awaitInputs waits for the launch before this one, where it may not have ended. Only weights may be read before; every thread that reads or writes anything
// else, or lets others do so, says this first.
func (e *entry) awaitInputs() {
	switch {
	case e.part != nil && e.part.await != nil:
		e.part.await()
	case e.early:
		e.WaitForDependency()
	}
}

// has tells whether an operand is there. Kernels that share code need not have its role.
func (e *entry) has(role string) bool {
	return e.kernel.Operand(e.launch, role).Kind != engine.OperandNone
}

// buffer returns the activation in a role.
func (e *entry) buffer(role string) *engine.Buffer {
	return &e.program.Buffers[e.kernel.Operand(e.launch, role).Index]
}

// wholeVectors tells whether rows of the activation in a role begin at multiples of 16 bytes, as all do but those of some views.
func (e *entry) wholeVectors(role string) bool { return e.buffer(role).Offset%16 == 0 }

// weight returns the weight in a role.
func (e *entry) weight(role string) *ir.Weight { return codegen.Named(e.op, role).Weight }

// rows returns the number of rows of the activation in a role: a size of the step.
func (e *entry) rows(role string) ptx.Reg {
	of := e.buffer(role).Rows
	size, coefficient := e.t, of.Coef[sym.T]
	for _, other := range []struct {
		size ptx.Reg
		of   sym.Symbol
	}{{e.r, sym.R}, {e.b, sym.B}} {
		if coefficient == 0 {
			size, coefficient = other.size, of.Coef[other.of]
		}
	}
	if coefficient == 1 {
		return size
	}
	return e.Mul(size, int(coefficient))
}

// mutable is a register with a first value.
func (e *entry) mutable(t ptx.Type, first ptx.Operand) ptx.Reg {
	r := e.Reg(t)
	e.Set(r, first)
	return r
}

// row is the address of a row of the activation in a role.
func (e *entry) row(role string, i ptx.Reg) ptx.Reg {
	return e.Index(e.pointers[role], i, int(e.buffer(role).Stride))
}

func (e *entry) cols(role string) int { return int(e.buffer(role).Cols) }

// pairTypes are what two neighbouring numbers of 16 bits are loaded as.
var pairTypes = map[dtype.Type]ptx.Type{dtype.BF16: ptx.BF16x2, dtype.F16: ptx.F16x2}

// pairType is that of the activation in a role; none where it is f32.
func (e *entry) pairType(role string) (ptx.Type, bool) {
	t, ok := pairTypes[e.buffer(role).DType]
	return t, ok
}

// isBF16 tells the element type of the activation in a role, which is f32 otherwise.
func (e *entry) isBF16(role string) bool { return e.buffer(role).DType == dtype.BF16 }
