package engine

// activationDocs say what activations are, by the names that kernels and the attribute "act" know them by. silu has its kernel among the rows
// of every device.
var activationDocs = []struct{ name, doc string }{
	{"silu", "x / (1 + exp(-x))"},
	{"gelu", "x * (1 + erf(x / sqrt(2))) / 2"},
	{"gelu_tanh", "x * (1 + tanh(sqrt(2/pi) * (x + 0.044715*x^3))) / 2"},
	{"quick_gelu", "x / (1 + exp(-1.702*x))"},
	{"relu", "max(x, 0)"},
	{"relu2", "max(x, 0)^2"},
	{"sigmoid", "1 / (1 + exp(-x))"},
}

var actAttr = func() AttrRow {
	a := textAttr("act")
	for _, row := range activationDocs {
		a.Values = append(a.Values, row.name)
	}
	return a
}()

// gateAttrs are the attributes of a gated activation: its function, the bound of gate and up, and what is added to up.
var gateAttrs = []AttrRow{optionalAttr(actAttr), optionalAttr(floatAttr("limit", 0, 1e30)), optionalAttr(floatAttr("shift", -1e30, 1e30))}

// activationKernels are the kernels of a device that has all activations.
func activationKernels(device string) []Kernel {
	roles := []Role{arg("x", "f32", "m k"), result("y", "f32", "m k")}
	var kernels []Kernel
	for _, row := range activationDocs[1:] {
		kernels = append(kernels, Kernel{Name: device + "." + row.name, Doc: row.doc, Roles: roles})
	}
	return append(kernels, Kernel{
		Name: device + ".softcap", Doc: "by * tanh(x / by)", Roles: roles, Attrs: []AttrRow{floatAttr("by", 1e-30, 1e30)},
	})
}
