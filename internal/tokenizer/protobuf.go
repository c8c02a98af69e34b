package tokenizer

import (
	"encoding/binary"
	"errors"
	"math"
)

var errProtobuf = errors.New("not a valid protobuf message")

// protoField is one field of a protobuf message (https://protobuf.dev/programming-guides/encoding): bytes for length-delimited fields,
// number for the others.
type protoField struct {
	tag    int
	number uint64
	bytes  []byte
}

func (f *protoField) float() float64 { return float64(math.Float32frombits(uint32(f.number))) }

// eachField calls visit with the fields of a message in order.
func eachField(message []byte, visit func(f *protoField) error) error {
	for len(message) > 0 {
		key, n := binary.Uvarint(message)
		if n <= 0 || key>>3 == 0 || key>>3 > math.MaxInt32 {
			return errProtobuf
		}
		f := protoField{tag: int(key >> 3)}
		rest, err := f.read(int(key&7), message[n:])
		if err != nil {
			return err
		}
		message = rest
		if err := visit(&f); err != nil {
			return err
		}
	}
	return nil
}

// read takes the value of a field of the given wire type off data.
func (f *protoField) read(wire int, data []byte) (rest []byte, err error) {
	number, n := uint64(0), 0
	switch wire {
	case 0, 2:
		number, n = binary.Uvarint(data)
	case 1:
		n = 8
	case 5:
		n = 4
	}
	if n <= 0 || n > len(data) {
		return nil, errProtobuf
	}
	switch wire {
	case 1:
		number = binary.LittleEndian.Uint64(data)
	case 5:
		number = uint64(binary.LittleEndian.Uint32(data))
	case 2:
		if number > uint64(len(data)-n) {
			return nil, errProtobuf
		}
		f.bytes = data[n:][:number]
		n += int(number)
	}
	f.number = number
	return data[n:], nil
}
