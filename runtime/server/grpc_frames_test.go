package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	"llmc/runtime/server/inference"
)

// frames is a connection of HTTP/2 that nothing keeps to the protocol.
type frames struct {
	*http2.Framer
	net.Conn
	t     *testing.T
	block bytes.Buffer
	pack  *hpack.Encoder
}

// dial opens a connection with some settings. What the server sends is left to the test.
func (a *attacked) dial(settings ...http2.Setting) *frames {
	a.t.Helper()
	nc, err := net.Dial("tcp", a.target)
	must(a.t, err)
	a.t.Cleanup(func() { nc.Close() })
	must(a.t, nc.SetDeadline(time.Now().Add(patience)))
	f := &frames{Framer: http2.NewFramer(nc, nc), Conn: nc, t: a.t}
	f.pack = hpack.NewEncoder(&f.block)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err = io.WriteString(nc, http2.ClientPreface)
	must(a.t, err)
	must(a.t, f.WriteSettings(settings...))
	return f
}

// header is the header block of a call, with further fields by twos.
func (f *frames) header(method string, more ...string) []byte {
	f.block.Reset()
	fields := append([]string{":method", "POST", ":scheme", "http", ":path", method, ":authority", "x", "content-type", "application/grpc", "te", "trailers"}, more...)
	for i := 0; i < len(fields); i += 2 {
		must(f.t, f.pack.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	return bytes.Clone(f.block.Bytes())
}

const (
	inferMethod  = inference.GRPCInferenceService_ModelInfer_FullMethodName
	streamMethod = inference.GRPCInferenceService_ModelStreamInfer_FullMethodName
)

// open sends the header of a call.
func (f *frames) open(id uint32, method string, more ...string) error {
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.header(method, more...), EndHeaders: true})
}

// message is a call's message on the wire.
func message(t *testing.T, m proto.Message) []byte {
	t.Helper()
	text, err := proto.Marshal(m)
	must(t, err)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...)
}

// status reads until a call ends and returns its code, or "" if it was reset.
func (f *frames) status(id uint32) string {
	f.t.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			f.t.Fatalf("call %d has no end: %v", id, err)
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, h := range frame.Fields {
				if frame.StreamID == id && h.Name == "grpc-status" {
					return h.Value
				}
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == id {
				return ""
			}
		}
	}
}

// closed reads until the server closes the connection, and returns the code of its GOAWAY.
func (f *frames) closed() (code http2.ErrCode) {
	f.t.Helper()
	for {
		frame, err := f.ReadFrame()
		if away, ok := frame.(*http2.GoAwayFrame); ok && err == nil {
			code = away.ErrCode
		}
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			f.t.Fatal("the connection goes on")
		}
		if err != nil && !errors.As(err, new(http2.StreamError)) {
			return code
		}
	}
}
