package comm

import (
	"encoding/binary"
	"fmt"
)

// MaxCommand bounds what a rank tells another outside of exchanges, in bytes.
const MaxCommand = 256 << 20

// commandTag marks commands; the kind is in its lower half.
const commandTag = uint64(0xC0) << 56

// Send tells a rank something, whose length and kind that need not know.
func (g *Group) Send(rank int, kind uint32, data []byte) error {
	if len(data) > MaxCommand {
		return fmt.Errorf("a command of %d bytes: at most %d", len(data), MaxCommand)
	}
	head := g.heads[rank][0][:]
	binary.LittleEndian.PutUint64(head, commandTag|uint64(kind))
	binary.LittleEndian.PutUint64(head[8:], uint64(len(data)))
	g.parts = append(g.parts[:0], progress{rank, g.links[rank].out, head, data, 0, true})
	return g.finish(0, g.timeout)
}

// Receive waits for what a rank tells, for as long as the group lasts where patient, else for the group's timeout. The bytes are written to buf, which grows as it must.
func (g *Group) Receive(rank int, patient bool, buf []byte) (kind uint32, data []byte, err error) {
	timeout := g.timeout
	if patient {
		timeout = 0
	}
	var head [headerBytes]byte
	in := g.links[rank].in
	g.parts = append(g.parts[:0], progress{rank: rank, way: in, body: head[:]})
	if err := g.finish(0, timeout); err != nil {
		return 0, nil, err
	}
	tag, n := binary.LittleEndian.Uint64(head[:]), binary.LittleEndian.Uint64(head[8:])
	if tag>>56 != commandTag>>56 || n > MaxCommand {
		return 0, nil, g.Fail(fmt.Errorf("rank %d sent message %#x of %d bytes where a command was due", rank, tag, n))
	}
	if uint64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	data = buf[:n]
	g.parts = append(g.parts[:0], progress{rank: rank, way: in, body: data})
	return uint32(tag), data, g.finish(0, g.timeout)
}
