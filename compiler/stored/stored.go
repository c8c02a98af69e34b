package stored

import (
	"fmt"
	"strings"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// method is one way to store quantized linears.
type method struct {
	name string // quant_method of config.json
	doc  string // what of it is read
	// attach replaces the parts of all quantized linears.
	attach func(c *hf.Checkpoint, config *hf.Fields) error
}

// methods is the registry. A new method is one file and one row here.
var methods = []method{
	{"gptq", "4 and 8 bits, groups of any size, act-order; checkpoint_format gptq and gptq_v2", attachGPTQ},
	{"awq", "4 bits with zero points, version gemm", attachAWQ},
	{"fp8", "e4m3, a scale per tensor or per block of 128x128", attachFP8},
	{"compressed-tensors", "float-quantized, int-quantized, naive-quantized, pack-quantized, nvfp4-pack-quantized, mxfp4-pack-quantized", attachCompressed},
	{"bitsandbytes", "int8, nf4, fp4, nested scales", attachBitsAndBytes},
	{"mxfp4", "blocks of 32 e2m1 with a power of two", attachMXFP4},
	{"modelopt", "NVFP4 and FP8, mixed too; config.json or hf_quant_config.json", attachModelOpt},
}

// ConfigKey is the key of config.json that says how the checkpoint is quantized.
const ConfigKey = "quantization_config"

// OldConfigKey is what compressed-tensors called it first.
const OldConfigKey = "compression_config"

// Matrix is a weight [rows, cols] that a checkpoint holds in codes.
type Matrix struct {
	Method string // quant_method
	// Format is the one whose codes and scales these are; nil where only the numbers have a format.
	Format *quant.Format
	// Plain is the narrowest plain type that holds every number: BF16 or F32.
	Plain dtype.Type
	// Order says which input each column is multiplied with; nil where they are in order.
	Order []int32
	// Digits is the same weight in a form of another format, with more columns, for where Format is none that is multiplied, or slower; nil if there is none.
	Digits *Matrix

	cols int64
	source
}

// source gives rows of a matrix from lo on. Its methods may be called from several goroutines at once.
type source interface {
	// values fills dst with numbers.
	values(dst []float32, lo int64) error
	// codes fills a block, which has room for its rows, with codes of the matrix's Format.
	codes(b *quant.Block, f *quant.Format, lo int64) error
}

// ReadRows implements hf.Coded.
func (m *Matrix) ReadRows(dst []float32, lo int64) error { return m.values(dst, lo) }

// ReadCodes fills b with the codes of rows [lo, hi), in the form of m.Format.
func (m *Matrix) ReadCodes(b *quant.Block, lo, hi int64) error {
	if m.Format == nil {
		return fmt.Errorf("no format has the codes of %s", m.Method)
	}
	b.Resize(m.Format, int(hi-lo), int(m.cols))
	return m.codes(b, m.Format, lo)
}

// Of returns the matrix that a tensor stands for, nil for plain tensors.
func Of(t *hf.Tensor) *Matrix {
	m, _ := t.Codes().(*Matrix)
	return m
}

// Attach puts matrices in place of the tensors of quantized linears, as the checkpoint's config.json describes them. What the file is not clear about
// is an error.
func Attach(c *hf.Checkpoint) error {
	fields := c.Config.Fields()
	config := fields.Object(ConfigKey)
	if config == nil {
		config = fields.Object(OldConfigKey)
	}
	if err := fields.Err(); err != nil {
		return err
	}
	if config == nil && c.Quantize != nil && !c.Random() {
		return attachGPTQ(c, c.Quantize.Fields())
	}
	if config == nil && c.ModelOpt != nil && !c.Random() {
		fields := c.ModelOpt.Fields()
		if config = fields.Object("quantization"); config != nil && config.Value("quant_algo") != nil {
			return attachModelOpt(c, config)
		}
		return fields.Err()
	}
	if config == nil || len(config.Keys()) == 0 {
		return nil
	}
	if c.Random() {
		config.Fail("quant_method", "made-up weights are not in codes; take the key out of config.json and choose a format with --quant")
		return config.Err()
	}
	name := config.Text("quant_method")
	for _, m := range methods {
		if m.name == name && config.Err() == nil {
			if err := m.attach(c, config); err != nil {
				return err
			}
			return config.Err()
		}
	}
	var known []string
	for _, m := range methods {
		known = append(known, m.name)
	}
	config.Fail("quant_method", "%.40q is not read; supported are %s", name, strings.Join(known, ", "))
	return config.Err()
}

// OrderName is the tensor that holds the order of a matrix's columns.
func OrderName(weight string) string { return companion(weight, "order") }

func companion(weight, name string) string { return strings.TrimSuffix(weight, "weight") + name }

// WeightOf returns the weight that a tensor of this package's making belongs to, "" for other tensors.
func WeightOf(t *hf.Tensor) string {
	for _, name := range []string{"order", "digits"} {
		if module, ok := strings.CutSuffix(t.Name, "."+name); ok && t.Codes() != nil {
			return module + ".weight"
		}
	}
	return ""
}

// put replaces the parts of a linear by its matrix, and adds its digits and the order of columns.
func put(c *hf.Checkpoint, name string, rows int64, m *Matrix, parts ...*hf.Tensor) {
	c.Drop(parts...)
	c.PutCoded(name, m.Method, []int64{rows, m.cols}, m, parts[0])
	if m.Digits != nil {
		m.Digits.put(c, name, rows, parts[0])
	} else {
		m.putOrder(c, name, parts[0])
	}
}

// put adds the digits of a weight and the order of their columns.
func (m *Matrix) put(c *hf.Checkpoint, weight string, rows int64, of *hf.Tensor) {
	c.PutCoded(DigitsName(weight), m.Method, []int64{rows, m.cols}, m, of)
	m.putOrder(c, weight, of)
}

func (m *Matrix) putOrder(c *hf.Checkpoint, weight string, of *hf.Tensor) {
	if m.Order != nil {
		c.PutCoded(OrderName(weight), "an order of columns", []int64{m.cols}, order(m.Order), of)
	}
}

// order gives an order of columns as numbers; indices are far below 2^24.
type order []int32

// ReadRows implements hf.Coded for a vector, whose rows have one element.
func (o order) ReadRows(dst []float32, lo int64) error {
	for i := range dst {
		dst[i] = float32(o[lo+int64(i)])
	}
	return nil
}
