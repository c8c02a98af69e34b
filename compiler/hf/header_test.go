package hf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"llmc/internal/dtype"
)

func parse(file []byte) (*header, error) {
	return readHeader("model.safetensors", bytes.NewReader(file), int64(len(file)))
}

func TestHeaderAttacks(t *testing.T) {
	huge := binary.LittleEndian.AppendUint64(nil, 1<<63)
	long := append(binary.LittleEndian.AppendUint64(nil, maxHeaderBytes+1), "{}"...)
	one := func(entry string, size int) []byte { return fileOf(`{"x":`+entry+`}`, size) }
	two := func(a, b string, size int) []byte { return fileOf(`{"a":`+a+`,"b":`+b+`}`, size) }
	f32 := func(begin, end string) string {
		return `{"dtype":"F32","shape":[2],"data_offsets":[` + begin + `,` + end + `]}`
	}
	for name, c := range map[string]struct {
		file []byte
		want []string
	}{
		"empty":               {nil, []string{"too few"}},
		"seven bytes":         {make([]byte, 7), []string{"too few"}},
		"length 2^63":         {huge, []string{"header of 9223372036854775808 bytes"}},
		"length over bound":   {long, []string{"at most 100000000"}},
		"length beyond file":  {fileOf("{}", 0)[:9], []string{"truncated"}},
		"not an object":       {fileOf(`[]`, 0), []string{"must be a JSON object"}},
		"bad JSON":            {fileOf(`{"x":}`, 0), []string{"bad JSON"}},
		"JSON cut":            {fileOf(`{"x":{"dtype":"F32"`, 0), []string{"ends too early"}},
		"text after":          {fileOf(`{} {}`, 0), []string{"more text"}},
		"entry not an object": {one(`3`, 0), []string{`tensor "x"`, "must be an object"}},
		"no dtype":            {one(`{"shape":[],"data_offsets":[0,4]}`, 4), []string{`tensor "x"`, "dtype is missing"}},
		"no offsets":          {one(`{"dtype":"F32","shape":[]}`, 4), []string{"data_offsets is missing"}},
		"dtype a number":      {one(`{"dtype":7,"shape":[],"data_offsets":[0,4]}`, 4), []string{"dtype must be a string"}},
		"dtype twice":         {one(`{"dtype":"F32","dtype":"F16","shape":[],"data_offsets":[0,4]}`, 4), []string{"dtype is given twice"}},
		"three offsets":       {one(`{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}`, 4), []string{"data_offsets", "more than 2"}},
		"one offset":          {one(`{"dtype":"F32","shape":[1],"data_offsets":[4]}`, 4), []string{"two numbers"}},
		"negative offset":     {one(f32("-8", "0"), 8), []string{"-8 is not a size"}},
		"fractional size":     {one(`{"dtype":"F32","shape":[1.5],"data_offsets":[0,6]}`, 6), []string{"1.5 is not a size"}},
		"size 2^64":           {one(`{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,0]}`, 0), []string{"is not a size"}},
		"rank 9":              {one(`{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}`, 4), []string{"shape", "more than 8"}},
		"product overflow":    {one(`{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}`, 0), []string{"more than"}},
		"shape and bytes":     {one(`{"dtype":"F32","shape":[3],"data_offsets":[0,8]}`, 8), []string{`tensor "x"`, "takes 12 bytes"}},
		"reversed":            {one(f32("8", "0"), 8), []string{"reversed"}},
		"beyond the end":      {one(f32("0", "8"), 7), []string{`tensor "x"`, "truncated"}},
		"bytes after":         {one(f32("0", "8"), 9), []string{"1 bytes follow"}},
		"overlap":             {two(f32("0", "8"), f32("4", "12"), 12), []string{`tensor "b"`, "inside the tensor before"}},
		"gap":                 {two(f32("0", "8"), f32("12", "20"), 20), []string{`tensor "b"`, "belong to none"}},
		"same name":           {fileOf(`{"x":`+f32("0", "8")+`,"x":`+f32("8", "16")+`}`, 16), []string{`tensor "x"`, "twice"}},
		"zero byte in name":   {fileOf(`{"a\u0000b":`+f32("0", "8")+`}`, 8), []string{"zero byte"}},
		"no name":             {fileOf(`{"":`+f32("0", "8")+`}`, 8), []string{"must not be empty"}},
		"deep":                {one(`{"y":`+strings.Repeat("[", 10000)+strings.Repeat("]", 10000)+`}`, 0), []string{"nested"}},
		"flax":                {fileOf(`{"__metadata__":{"format":"flax"}}`, 0), []string{"__metadata__.format", "flax"}},
		"metadata a number":   {fileOf(`{"__metadata__":{"format":1}}`, 0), []string{"__metadata__.format", "string"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(c.file)
			wantError(t, err, c.want...)
			if e := (*Error)(nil); !errors.As(err, &e) || e.File != "model.safetensors" {
				t.Errorf("error %#v does not name the file", err)
			}
		})
	}
}

func TestHeaderAccepts(t *testing.T) {
	h, err := parse(fileOf(`{"__metadata__":{"format":"pt","note":"x"},`+
		`"late":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16],"other":[1,{"y":2}]},`+
		`"scalar":{"data_offsets":[0,4],"shape":[],"dtype":"F32"},`+
		`"none":{"dtype":"BF16","shape":[0,7],"data_offsets":[16,16]},`+
		`"odd":{"dtype":"F4","shape":[3],"data_offsets":[16,18]}}   `, 18))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range h.tensors {
		got = append(got, x.String())
	}
	const want = "scalar F32[] late F16[2 3] none BF16[0 7] odd F4[3]"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("tensors %q, want %q", s, want)
	}
	if x := h.tensors[1]; x.Rows() != 2 || x.Cols() != 3 || x.Elements() != 6 || x.Bytes() != 12 {
		t.Errorf("%v: rows %d, cols %d, elements %d, bytes %d", x, x.Rows(), x.Cols(), x.Elements(), x.Bytes())
	}
	wantError(t, h.tensors[3].CheckFloat(), `tensor "odd"`, "F4")
}

// memoryFile gives rows from bytes in memory.
type memoryFile struct{ data []byte }

func (m memoryFile) readRows(t *Tensor, dst []float32, first int64) error {
	size := int64(t.DType.Size())
	converters[t.DType](dst, m.data[t.begin+first*size:])
	return nil
}

func (m memoryFile) readBytes(t *Tensor, dst []byte, offset int64) error {
	copy(dst, m.data[t.begin+offset:])
	return nil
}

// Whatever the bytes are: an error or tensors that lie inside the file and can be read to the end.
func FuzzHeader(f *testing.F) {
	f.Add(fileOf(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8))
	f.Add(fileOf(`{"a":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]},"b":{"dtype":"I8","shape":[],"data_offsets":[4,5]}}`, 5))
	f.Add(fileOf(`{"__metadata__":{"format":"pt"}}`, 0))
	f.Add(fileOf(`{"x":{"dtype":"BF16","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0))
	f.Fuzz(func(t *testing.T, file []byte) {
		h, err := parse(file)
		if err != nil {
			if e := (*Error)(nil); !errors.As(err, &e) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		data := file[h.data:]
		var end int64
		for _, x := range h.tensors {
			if x.begin != end || x.end < x.begin || x.end > int64(len(data)) {
				t.Fatalf("%v lies at %d..%d of %d", x, x.begin, x.end, len(data))
			}
			end = x.end
			x.rows = memoryFile{data}
			if x.CheckFloat() == nil {
				if err := x.ReadRows(make([]float32, x.Elements()), 0, x.Rows()); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// Every half-precision number converts as the scalar conversions of package dtype do.
func TestConvertHalf(t *testing.T) {
	src := make([]byte, 0, 1<<17)
	for h := range 1 << 16 {
		src = binary.LittleEndian.AppendUint16(src, uint16(h))
	}
	dst := make([]float32, 1<<16)
	for dt, scalar := range scalarConversions {
		converters[dt](dst, src)
		for h, got := range dst {
			want := scalar(uint16(h))
			if math.Float32bits(got) != math.Float32bits(want) && !(got != got && want != want) {
				t.Fatalf("%v %#04x: %g, want %g", dt, h, got, want)
			}
		}
	}
}

var scalarConversions = map[dtype.Type]func(uint16) float32{dtype.F16: dtype.F16ToF32, dtype.BF16: dtype.BF16ToF32}
