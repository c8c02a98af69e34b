package engine

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
)

// What the decoding library takes on trust is refused before it sees it.
func TestScan(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("\x91", n) + "\x01" }
	for _, c := range []struct{ name, doc, text string }{
		{"number", "\x07", ""},
		{"all forms", "\xdc\x00\x12\x7f\xff\xc2\xc3\xca\x00\x00\x00\x00\xcb\x00\x00\x00\x00\x00\x00\x00\x00\xcc\x80\xcd\x01\x00\xce\x00\x01\x00\x00" +
			"\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xd0\x80\xd1\x80\x00\xd2\x80\x00\x00\x00\xd3\x80\x00\x00\x00\x00\x00\x00\x00\xa1x\xd9\x01y\xc4\x01z\x81\xa1k\x90", ""},
		{"long forms", "\xdd\x00\x00\x00\x05\xda\x00\x01x\xdb\x00\x00\x00\x01x\xc5\x00\x01x\xc6\x00\x00\x00\x01x\xdf\x00\x00\x00\x01\xa1k\xde\x00\x00", ""},
		{"deep enough", nested(maxDepth), ""},
		{"nothing", "", "1 bytes missing"},
		{"two values", "\x01\x02", "1 bytes follow"},
		{"nil", "\x91\xc0", "type byte 0xc0"},
		{"extension", "\xd4\x01\x00", "type byte 0xd4"},
		{"unused byte", "\xc1", "type byte 0xc1"},
		{"too deep", nested(maxDepth + 1), "nested deeper"},
		{"very deep", nested(1 << 20), "nested deeper"},
		{"array of 4 billion", "\xdd\xff\xff\xff\xff\x01", "container of 4294967295"},
		{"array longer than the data", "\xdd\x00\x01\x00\x00\x01", "container of 65536"},
		{"map longer than the data", "\x82\xa1k\x01", "container of 2"},
		{"map of 4 billion", "\xdf\xff\xff\xff\xff\xa1k\x01", "container of 4294967295"},
		{"text longer than the data", "\xdb\xff\xff\xff\xffx", "length 4294967295"},
		{"bytes longer than the data", "\xc6\x7f\xff\xff\xffx", "length 2147483647"},
		{"cut number", "\xcf\x00", "7 bytes missing"},
		{"number of 64 bits", "\xcf\x80\x00\x00\x00\x00\x00\x00\x00", "63 bits"},
		{"key twice", "\x82\xa1k\x01\xa1k\x02", "occurs twice"},
		{"key is a number", "\x81\x01\x01", "not text"},
		{"key is an array", "\x81\x90\x01", "not text"},
		{"too many values", "\x9f" + strings.Repeat("\xdd\x00\x02\x00\x00"+strings.Repeat("\x00", 1<<17), 15) + strings.Repeat("\x00", 1<<18), "follow"},
		{"far too many values", "\xdc\x00\x11" + strings.Repeat("\xdd\x00\x02\x00\x00"+strings.Repeat("\x00", 1<<17), 17), "more than"},
	} {
		err := scan([]byte(c.doc))
		if (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
}

// A document may make the decoder allocate a bounded multiple of its own size, whatever it claims.
func TestDecodeMemory(t *testing.T) {
	ints := func(key string, n int) []byte {
		return append(append([]byte{0x81, 0xa0 | byte(len(key))}, key...), append([]byte{0xdd, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, make([]byte, n)...)...)
	}
	for _, c := range []struct {
		name string
		data []byte
		into any
	}{
		{"weights", ints("weights", maxArray), &Header{}},
		{"sections", ints("sections", maxArray), &Header{}},
		{"launches", ints("launches", maxArray), &programWire{}},
		{"buffers", ints("buffers", maxArray), &programWire{}},
		{"empty weights", bytes.Replace(ints("weights", maxArray), []byte{0}, []byte{0x80}, -1), &Header{}},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := unmarshal(c.data, c.into, false)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
			t.Errorf("%s: %d bytes allocated for %d (%v)", c.name, used, len(c.data), err)
		}
	}
}
