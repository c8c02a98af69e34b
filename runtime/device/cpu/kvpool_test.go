package cpu

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/runtime/device/cpu/kernel"
)

// A page that is copied is the other one in every cache, whatever spans they lie in, and no other page changes.
func TestCopyPage(t *testing.T) {
	self := engine.Cache{Name: "self", Kind: engine.Paged, Layers: 2, DType: dtype.I16, KVHeads: 3, Dim: 24}
	window := engine.Cache{Name: "window", Kind: engine.Paged, Layers: 1, DType: dtype.BF16, KVHeads: 1, Dim: 64}
	latent := engine.Cache{Name: "latent", Kind: engine.Latent, Layers: 2, DType: dtype.F8E4M3, KVHeads: 1, Dim: 24, Rank: 16}
	state := engine.Cache{Name: "state", Kind: engine.State, Layers: 2, DType: dtype.F32, KVHeads: 5, Dim: 32, Rank: 2}
	text := self
	text.Name, text.Kind, text.KVHeads = "text", engine.Cross, 2
	for name, caches := range map[string][]engine.Cache{
		"self": {self}, "windows": {self, window}, "latent": {latent}, "states": {self, state}, "texts": {self, text},
	} {
		for _, pageSize := range []int{16, 48} {
			t.Run(name, func(t *testing.T) { checkCopies(t, caches, pageSize) })
		}
	}
}

func checkCopies(t *testing.T, caches []engine.Cache, pageSize int) {
	const pages = 18
	pool, err := newKVPool(caches, pageSize, pages)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, uint64(pageSize)))
	for i := range pool.mem {
		pool.mem[i] = byte(r.Uint32())
	}
	want := make([][]byte, pages)
	for p := range want {
		want[p] = pool.pageOf(p)
	}
	for range 3 {
		to, from := r.IntN(pages), r.IntN(pages)
		if err := pool.copyPage(int32(to), int32(from)); err != nil {
			t.Fatal(err)
		}
		want[to] = want[from]
		for p := range want {
			if !bytes.Equal(pool.pageOf(p), want[p]) {
				t.Fatalf("pages of %d: page %d after a copy of %d to %d", pageSize, p, from, to)
			}
		}
	}
	for page := range want {
		checkMove(t, pool, caches, pageSize, page)
	}
	if pool.copyPage(pages, 0) == nil || pool.copyPage(0, -1) == nil {
		t.Error("copied a page that is not there")
	}
}

// Spans of pages none of which is used are given back, and nothing else.
func TestRelievePages(t *testing.T) {
	pool, err := newKVPool([]engine.Cache{{Name: "self", Kind: engine.Paged, Layers: 2, DType: dtype.BF16, KVHeads: 2, Dim: 64}}, 16, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.mem.release()
	for i := range pool.mem {
		pool.mem[i] = 1
	}
	used := map[int32]bool{3: true, 16: true, 47: true, 99: true}
	for first := 0; first < 128; first += 64 {
		pool.relieve(first, min(first+64, pool.pages), func(page int32) bool { return used[page] })
	}
	for page := range pool.pages {
		keeps := false
		for other := range used {
			keeps = keeps || int(other)/pool.spanPages == page/pool.spanPages
		}
		for _, b := range pool.pageOf(page) {
			if (b == 1) != keeps {
				t.Fatalf("a byte of page %d is %d, in a span that is used: %t", page, b, keeps)
			}
		}
	}
}

// checkMove wants a page that was read to be the same in another pool, under another number, and nothing else there to change.
func checkMove(t *testing.T, pool *kvPool, caches []engine.Cache, pageSize, page int) {
	t.Helper()
	other, err := newKVPool(caches, pageSize, pool.pages)
	if err != nil {
		t.Fatal(err)
	}
	defer other.mem.release()
	moved, to := make([]byte, pool.movedBytes()), (page+5)%pool.pages
	if err := errors.Join(pool.readPage(int32(page), moved), other.writePage(int32(to), moved)); err != nil {
		t.Fatal(err)
	}
	empty := make([]byte, len(pool.pageOf(page)))
	for p := range pool.pages {
		want := empty
		if p == to {
			want = pool.pageOf(page)
		}
		if !bytes.Equal(other.pageOf(p), want) {
			t.Fatalf("pages of %d: page %d after page %d was moved to %d", pageSize, p, page, to)
		}
	}
	if pool.readPage(-1, moved) == nil || other.writePage(int32(pool.pages), moved) == nil || other.writePage(0, moved[1:]) == nil {
		t.Error("moved what is no page")
	}
}

// pageOf collects what a page holds, of caches of sequences, as kernels find it.
func (p *kvPool) pageOf(page int) []byte {
	var all []byte
	for _, c := range p.caches {
		for layer := range c.layers {
			offset := c.offset + int64(layer)*c.layerBytes
			if c.state.Channels > 0 {
				at := offset + p.statePart(page, int64(c.state.Bytes()))
				all = append(all, p.mem[at:at+int64(c.state.Bytes())]...)
				continue
			}
			if c.cross {
				continue
			}
			a := kernel.Attention{KV: c.KV, Pool: p.mem, Page: p.pageSize, Stride: int(p.spanBytes), Offset: int(offset)}
			for i := range p.pageSize {
				span, slot := a.Span(page*p.pageSize + i)
				for head := range c.Heads {
					all = append(all, position(c, span, head, slot)...)
				}
			}
		}
	}
	return all
}

// position collects the elements and scales of a position.
func position(c kvCache, span []byte, head, slot int) (all []byte) {
	size := c.DType.Size()
	for d := range c.Dim {
		all = append(all, span[c.K(head, slot, d):][:size]...)
	}
	for d := range c.Values() {
		all = append(all, span[c.V(head, slot, d):][:size]...)
	}
	if c.Scaled() {
		all = append(all, span[c.KScale(head, slot):][:2]...)
		all = append(all, span[c.VScale(head, slot):][:2]...)
	}
	return all
}
