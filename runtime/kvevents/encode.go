package kvevents

import (
	"bytes"
	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"llmc/runtime/kv"
)

// medium is what vLLM calls the memory that steps read, whatever the device is.
const medium = "GPU"

// A batch is [seconds, events, data-parallel rank], and an event is an array that begins with its name: vLLM's structures, as msgspec writes them.
// Fields behind the last that has a value are left out there; those here are what all versions have.

// encode returns the batch of a step.
func encode(now time.Time, events []kv.Event, pageSize int) []byte {
	var to bytes.Buffer
	e := batchEncoder{Encoder: msgpack.NewEncoder(&to)}
	groups := group(events)
	e.do(e.EncodeArrayLen(3), e.EncodeFloat64(float64(now.UnixMicro())/1e6), e.EncodeArrayLen(len(groups)))
	for _, g := range groups {
		if g[0].Removed {
			e.removed(g)
		} else {
			e.stored(g, pageSize)
		}
	}
	e.do(e.EncodeInt(0))
	if e.err != nil {
		panic(e.err) // a buffer takes everything
	}
	return to.Bytes()
}

// group puts together what one event tells: pages of which each follows the one before, or pages that are gone.
func group(events []kv.Event) (groups [][]kv.Event) {
	for i := range events {
		joins := i > 0 && events[i].Removed == events[i-1].Removed && (events[i].Removed || events[i].Parent == events[i-1].Page && events[i].Adapter == events[i-1].Adapter)
		if joins {
			last := len(groups) - 1
			groups[last] = groups[last][:len(groups[last])+1]
		} else {
			groups = append(groups, events[i:i+1])
		}
	}
	return groups
}

// batchEncoder keeps the first error.
type batchEncoder struct {
	*msgpack.Encoder
	err error
}

func (e *batchEncoder) do(errs ...error) {
	for _, err := range errs {
		if e.err == nil {
			e.err = err
		}
	}
}

// pages writes names of pages: full 64 bits, which is what readers in Go expect.
func (e *batchEncoder) pages(list []kv.Event) {
	e.do(e.EncodeArrayLen(len(list)))
	for _, event := range list {
		e.do(e.EncodeUint64(event.Page))
	}
}

func (e *batchEncoder) stored(list []kv.Event, pageSize int) {
	e.do(e.EncodeArrayLen(8), e.EncodeString("BlockStored"))
	e.pages(list)
	if list[0].Parent == 0 {
		e.do(e.EncodeNil())
	} else {
		e.do(e.EncodeUint64(list[0].Parent))
	}
	e.do(e.EncodeArrayLen(len(list) * pageSize))
	for _, event := range list {
		for _, id := range event.Tokens {
			e.do(e.EncodeUint(uint64(id)))
		}
	}
	e.do(e.EncodeInt(int64(pageSize)))
	if adapter := list[0].Adapter; adapter == 0 {
		e.do(e.EncodeNil(), e.EncodeString(medium), e.EncodeNil())
	} else {
		e.do(e.EncodeUint(adapter), e.EncodeString(medium), e.EncodeString(fmt.Sprintf("adapter-%d", adapter)))
	}
}

func (e *batchEncoder) removed(list []kv.Event) {
	e.do(e.EncodeArrayLen(3), e.EncodeString("BlockRemoved"))
	e.pages(list)
	e.do(e.EncodeString(medium))
}
