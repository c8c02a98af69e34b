package template

// Limits bounds one rendering. A zero field takes its default.
type Limits struct {
	Steps  int64 // evaluated nodes, loop turns, and 32-byte pieces of text or 8-element pieces of lists worked on
	Memory int64 // bytes of strings and lists created, whether still alive or not
	Output int   // bytes of the result, and of any single string on the way
	Depth  int   // macro calls, recursive loops and values within values
}

// The defaults let a megabyte of messages through every known template and stop a hostile one within about a second.
const (
	DefaultSteps  = 20_000_000
	DefaultMemory = 512 << 20
	DefaultOutput = 16 << 20
	DefaultDepth  = 1000 // Python's own recursion limit; a macro call counts macroDepth
)

const (
	macroDepth  = 5       // Python frames that one macro call takes, so that about 200 calls nest as there
	maxRange    = 100_000 // jinja2.sandbox.MAX_RANGE
	maxIntBits  = 1 << 16 // of an intermediate integer
	maxIntText  = 4300    // digits that Python converts between text and integers
	bytesAStep  = 32      // of text that count as one step
	itemsAStep  = 8       // of a list that count as one step
	bytesAnItem = 16      // memory of one list element
)

func (l Limits) withDefaults() Limits {
	if l.Steps <= 0 {
		l.Steps = DefaultSteps
	}
	if l.Memory <= 0 {
		l.Memory = DefaultMemory
	}
	if l.Output <= 0 {
		l.Output = DefaultOutput
	}
	if l.Depth <= 0 {
		l.Depth = DefaultDepth
	}
	return l
}

// meter counts what a rendering uses up.
type meter struct {
	limits Limits
	steps  int64 // left
	memory int64 // left
	depth  int   // in use
}

func newMeter(l Limits) meter {
	l = l.withDefaults()
	return meter{limits: l, steps: l.Steps, memory: l.Memory}
}

// step counts one evaluated node.
func (m *meter) step() error {
	m.steps--
	if m.steps < 0 {
		return &LimitError{"steps", m.limits.Steps}
	}
	return nil
}

// scan counts work over n bytes of text.
func (m *meter) scan(n int) error {
	m.steps -= int64(n / bytesAStep)
	return m.step()
}

// text counts a new string of n bytes; call it before making the string.
func (m *meter) text(n int) error {
	if n < 0 || n > m.limits.Output {
		return &LimitError{"output", int64(m.limits.Output)}
	}
	m.memory -= int64(n)
	if m.memory < 0 {
		return &LimitError{"memory", m.limits.Memory}
	}
	return m.scan(n)
}

// items counts a new list of n elements; call it before making the list.
func (m *meter) items(n int) error {
	if n < 0 || int64(n) > m.limits.Memory/bytesAnItem {
		return &LimitError{"memory", m.limits.Memory}
	}
	m.memory -= int64(n) * bytesAnItem
	if m.memory < 0 {
		return &LimitError{"memory", m.limits.Memory}
	}
	m.steps -= int64(n / itemsAStep)
	return m.step()
}

// enter goes n levels deeper; every successful enter is paired with leave.
func (m *meter) enter(n int) error {
	if m.depth+n > m.limits.Depth {
		return &LimitError{"depth", int64(m.limits.Depth)}
	}
	m.depth += n
	return nil
}

func (m *meter) leave(n int) { m.depth -= n }
