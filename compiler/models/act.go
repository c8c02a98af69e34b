package models

import "llmc/compiler/hf"

// activations are the names that config.json has for those of the IR.
var activations = map[string]string{
	"silu": "silu", "swish": "silu", "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh",
	"quick_gelu": "quick_gelu", "relu": "relu", "relu2": "relu2", "sigmoid": "sigmoid",
}

// readAct reads the activation of the MLP; def, a name of config.json, where there is none.
func readAct(f *hf.Fields, d *decoder, key, def string) {
	name := f.TextOr(key, def)
	if d.act = activations[name]; d.act == "" && f.Err() == nil {
		f.Fail(key, "activation %q is not supported", name)
	}
}

// want refuses a value of a key that changes what the model computes in a way that the family's file does not know. A missing key has it.
func want(f *hf.Fields, key string, value bool) {
	if f.BoolOr(key, value) != value {
		f.Fail(key, "%v is not supported; it must be %v", !value, value)
	}
}
