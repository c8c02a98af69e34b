package main

// Kernels on AMX tiles multiply a block of rows, packed as tiles (see tile_pack.go), with panels. Two tiles of rows meet two tiles of outputs:
// both digits of 16 rows, or 32 rows of one digit. A tile of outputs is the panel as it is: 16 steps of 4 bytes for 16 of the 32 outputs.

// Tiles of a kernel.
const (
	tileSum = 0 // four: the first of rows with both of outputs, then the second
	tileA   = 4 // two, of rows
	tileB   = 6 // two, of outputs
)

// Registers of tile kernels beside those of linear kernels.
const (
	panelStride = "R8"  // between the steps of a panel
	tileStride  = "R9"  // between the rows of a packed tile
	rowsLeft    = "R10" // of the block
	result      = "R12" // of the first row
	sums        = "R13" // memory that sums pass through on their way to vectors
	resultLD    = "R14"
)

// tileFunction is a function on tiles being written; args points to its arguments, a struct of that name.
type tileFunction struct {
	*function
	argsName string
}

// startTiles starts a function with the tiles configured: as the constant config says, or "" as the arguments do.
func startTiles(name, doc, argsName, config string) tileFunction {
	f := tileFunction{newFunction(name+"AMX", doc, "a *"+argsName, ""), argsName}
	f.op("MOVQ", f.param("a"), args)
	if config == "" {
		f.op("MOVQ", f.arg("config"), "AX")
	} else {
		f.op("LEAQ", constant(config), "AX")
	}
	f.tileConfigure()
	return f
}

func (f tileFunction) arg(name string) string { return field(f.argsName, name, args) }

func (f tileFunction) finish() *function {
	f.tileRelease()
	f.end()
	return f.function
}

// zeroSums clears the sums of one tile of rows, or of two.
func (f tileFunction) zeroSums(rows int) {
	for i := range 2 * rows {
		f.tileZero(tileSum + i)
	}
}

// addProducts adds the products of one or two tiles of rows with both tiles of outputs, which the loads load.
func (f tileFunction) addProducts(dot tileDot, rows int, loadA, loadB func(i int)) {
	for b := range 2 {
		loadB(b)
		for a := range rows {
			if b == 0 {
				loadA(a)
			}
			f.tileDot(dot, tileA+a, tileB+b, tileSum+2*a+b)
		}
	}
}

// tileKernel is a kernel for linears being written.
type tileKernel struct {
	tileFunction
	dot    tileDot
	digits int
	few    bool // at most 16 rows, of one digit: there is no second tile of rows, and the first is no higher than it has to be
}

// rowTiles is how many tiles of rows there are.
func (k *tileKernel) rowTiles() int {
	if k.few {
		return 1
	}
	return 2
}

// pairRows is how many rows of x the tiles of rows hold.
func (k *tileKernel) pairRows() int { return k.rowTiles() * tileRows / k.digits }
