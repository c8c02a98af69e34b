package ir

import (
	"strconv"
	"strings"

	"llmc/internal/sym"
)

// typ reads "bf16[T,64]:quant@layout" or "kv[cache]".
func (p *parser) typ() Type {
	start := p.tok
	name := p.want(tokName, "a type")
	p.expect("[")
	if name == "kv" {
		t := Token(p.want(tokName, "a cache's name"))
		p.expect("]")
		return t
	}
	t := Type{DType: p.dtype(name, start.pos), Dims: p.dims()}
	if p.tok.text == ":" && p.tok.kind == tokPunct {
		p.next()
		t.Quant = p.want(tokName, "a format")
	}
	if p.tok.kind == tokGlobal {
		t.Layout = p.next().text
	}
	if err := t.check(); err != nil {
		p.fail(start.pos, "%v", err)
	}
	return t
}

// dims reads sizes up to and including "]".
func (p *parser) dims() []sym.Dim {
	pos, text := p.tok.pos, p.rawUntil(']')
	if strings.Count(text, ",") > maxSlots {
		p.fail(pos, "more than %d sizes", maxSlots)
	}
	var dims []sym.Dim
	for part := range strings.SplitSeq(text, ",") {
		d, err := sym.Parse(strings.TrimSpace(part))
		if err != nil {
			p.fail(pos, "%v", err)
		}
		dims = append(dims, d)
	}
	return dims
}

// place reads " $slot+offset/stride" if it is there.
func (p *parser) place() *Place {
	if !p.accept("$") {
		return nil
	}
	pos := p.tok.pos
	slot := p.int()
	p.expect("+")
	offset := p.int()
	p.expect("/")
	stride := p.int()
	if slot < 0 || slot >= maxSlots {
		p.fail(pos, "slot %d must be within 0..%d", slot, maxSlots-1)
	}
	return &Place{Slot: int(slot), Offset: offset, Stride: stride}
}

func (p *parser) attrValue(want AttrKind) any {
	pos := p.tok.pos
	switch {
	case p.tok.kind == tokString:
		return p.next().text
	case want == Float && p.tok.kind == tokNumber:
		f, err := strconv.ParseFloat(p.tok.text, 64)
		if err != nil {
			p.fail(pos, "bad number %v", p.tok)
		}
		p.next()
		return f
	}
	return p.int()
}

var recipeNames = []string{"tensor", "const", "zeros", "concat", "interleave", "rotated", "scaled"}

// recipe reads what Recipe.String prints.
func (p *parser) recipe(depth int) *Recipe {
	start := p.tok
	name := p.want(tokName, "a recipe")
	if depth > maxRecipeDepth {
		p.fail(start.pos, "recipe is nested too deeply")
	}
	p.expect("(")
	switch name {
	case "tensor":
		return p.tensorRecipe()
	case "const":
		var values []float32
		p.list(")", func() { values = append(values, p.float32()) })
		return Constant(values)
	case "zeros":
		count := p.int()
		p.expect(")")
		return Zeros(count)
	case "concat":
		return &Recipe{Kind: Concat, Parts: p.recipes(depth)}
	case "interleave":
		block := p.int()
		p.expect(",")
		return InterleaveRows(block, p.recipes(depth)...)
	case "rotated":
		return p.rotatedRecipe(depth)
	case "scaled":
		r := &Recipe{Kind: Rotated, ByRow: true}
		p.rows(r)
		p.expect(",")
		r.Parts = p.recipes(depth)
		return r
	}
	p.fail(start.pos, "unknown recipe %q%s", clip(name), hint(name, recipeNames))
	return nil
}

func (p *parser) recipes(depth int) []*Recipe {
	var parts []*Recipe
	p.list(")", func() { parts = append(parts, p.recipe(depth+1)) })
	return parts
}

func (p *parser) float32() float32 {
	t := p.tok
	p.want(tokNumber, "a number")
	f, err := strconv.ParseFloat(t.text, 32)
	if err != nil {
		p.fail(t.pos, "bad number %v", t)
	}
	return float32(f)
}

// rows reads a range such as 0:64.
func (p *parser) rows(r *Recipe) {
	r.Start = p.int()
	p.expect(":")
	r.Count = p.int() - r.Start
}

// columns reads which columns of a transposed tensor are meant, where not all are: the first one, and how many there are.
func (p *parser) columns(r *Recipe) {
	if p.tok.kind != tokNumber {
		return
	}
	r.Left = p.int()
	p.expect(":")
	r.Total = p.int()
}

func (p *parser) rotatedRecipe(depth int) *Recipe {
	r := &Recipe{Kind: Rotated}
	p.rows(r)
	p.expect(",")
	r.In = p.want(tokString, "the rotation of rows")
	p.expect(",")
	r.Out = p.want(tokString, "the rotation of columns")
	p.expect(",")
	r.Parts = p.recipes(depth)
	return r
}

func (p *parser) tensorRecipe() *Recipe {
	r := &Recipe{Kind: FromTensor, Tensor: p.want(tokString, "a tensor's name")}
	p.expect(",")
	p.rows(r)
	for !p.accept(")") {
		p.expect(",")
		pos := p.tok.pos
		word := p.want(tokName, "\"transpose\" or a transform")
		switch {
		case word == "transpose" && !r.Transpose:
			r.Transpose = true
			p.columns(r)
		case r.Transform == "":
			r.Transform = word
		default:
			p.fail(pos, "unexpected %q", clip(word))
		}
	}
	return r
}
