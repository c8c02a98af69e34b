package compiler

import (
	"strings"
	"testing"

	"llmc/ir"
)

const imported = `weight %w : f32[8,8] {axis="col"}
weight %norm : f32[8]

func @f(%x: f32[T,8]) -> (f32[T,8], f32[T,8]) {
  %n = rmsnorm %x, %norm {eps=1e-05} : f32[T,8]
  %y = linear %n, %w : f32[T,8]
  %z = add %x, %y : f32[T,8]
  return %z, %n
}`

// TestSameButConversions wants conversions in front of products to pass, and everything else that a pass could do to be seen.
func TestSameButConversions(t *testing.T) {
	const cast, quantized = `  %c = cast %n {dtype="bf16"} : bf16[T,8]
`, `  %c = quantize %n {format="e4m3t"} : f8e4m3[T,8]:e4m3t
`
	for _, c := range []struct {
		name, old, new string
		same           bool
	}{
		{"nothing", "", "", true},
		{"a cast", "  %y = linear %n", cast + "  %y = linear %c", true},
		{"a quantized input", ": f32[8,8]|  %y = linear %n", ": f8e4m3[8,8]:fp8|" + quantized + "  %y = linear %c", true},
		{"another attribute", "eps=1e-05", "eps=1e-06", false},
		{"another operand", "add %x, %y", "add %y, %y", false},
		{"another op", "add %x, %y", "mul %x, %y", false},
		{"another result", "return %z, %n", "return %y, %n", false},
		{"an op more", "  %z =", "  %s = silu %y : f32[T,8]\n  %z =", false},
		{"an op less", "  %z = add %x, %y : f32[T,8]\n  return %z, %n", "  return %y, %n", false},
		{"a conversion of another value", "  %y = linear %n", strings.Replace(cast, "%n", "%x", 1) + "  %y = linear %c", false},
	} {
		was, err := ir.Parse(imported)
		if err != nil {
			t.Fatal(err)
		}
		text, news := imported, strings.Split(c.new, "|")
		for i, old := range strings.Split(c.old, "|") {
			text = strings.Replace(text, old, news[i], 1)
		}
		now, err := ir.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err := sameButConversions(was.Funcs[0], now.Funcs[0]); (err == nil) != c.same {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
