package kvevents

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// This is what a publisher needs of ZMTP 3.0 (https://rfc.zeromq.org/spec/23): the greeting, the NULL mechanism, and frames, none of which a peer may make large.

const (
	greetingBytes    = 64
	handshakeTimeout = 5 * time.Second
	// maxFrame bounds what a peer sends: topics, and numbers.
	maxFrame = 4 << 10
	// maxFrames bounds a peer's message.
	maxFrames = 8
)

// Flags of a frame.
const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4
)

var errProtocol = errors.New("the peer does not speak ZMTP 3")

// peer is a connection that has shaken hands.
type peer struct {
	conn net.Conn
	in   *bufio.Reader
}

// greet shakes hands as a socket of a type, such as PUB.
func greet(conn net.Conn, socketType string) (*peer, error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, err
	}
	var own [greetingBytes]byte
	own[0], own[9], own[10] = 0xff, 0x7f, 3
	copy(own[12:], "NULL")
	ready := append([]byte{5}, "READY"...)
	ready = append(append(ready, byte(len("Socket-Type"))), "Socket-Type"...)
	ready = append(binary.BigEndian.AppendUint32(ready, uint32(len(socketType))), socketType...)
	if _, err := conn.Write(append(own[:], frame(flagCommand, ready)...)); err != nil {
		return nil, err
	}
	p := &peer{conn, bufio.NewReaderSize(conn, maxFrame)}
	var theirs [greetingBytes]byte
	if _, err := io.ReadFull(p.in, theirs[:]); err != nil {
		return nil, err
	}
	if theirs[0] != 0xff || theirs[9]&1 == 0 || theirs[10] < 3 || string(bytes.TrimRight(theirs[12:32], "\x00")) != "NULL" {
		return nil, errProtocol
	}
	flags, body, err := p.frame(maxFrame)
	if err != nil {
		return nil, err
	}
	if flags&flagCommand == 0 || !bytes.HasPrefix(body, []byte("\x05READY")) {
		return nil, errProtocol
	}
	return p, conn.SetDeadline(time.Time{})
}

// frame returns the bytes of a frame.
func frame(flags byte, body []byte) []byte {
	if len(body) > 255 {
		return append(binary.BigEndian.AppendUint64([]byte{flags | flagLong}, uint64(len(body))), body...)
	}
	return append([]byte{flags, byte(len(body))}, body...)
}

// message returns the bytes of a message.
func message(frames ...[]byte) []byte {
	var all []byte
	for i, body := range frames {
		flags := byte(flagMore)
		if i == len(frames)-1 {
			flags = 0
		}
		all = append(all, frame(flags, body)...)
	}
	return all
}

// send writes a message; a peer that does not read is given up.
func (p *peer) send(wire []byte) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := p.conn.Write(wire)
	return err
}

// frame reads a frame of at most so many bytes.
func (p *peer) frame(most uint64) (flags byte, body []byte, err error) {
	if flags, err = p.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	size := uint64(0)
	if flags&flagLong != 0 {
		var long [8]byte
		_, err = io.ReadFull(p.in, long[:])
		size = binary.BigEndian.Uint64(long[:])
	} else {
		var short byte
		short, err = p.in.ReadByte()
		size = uint64(short)
	}
	if err != nil {
		return 0, nil, err
	}
	if size > most {
		return 0, nil, fmt.Errorf("a frame of %d bytes, at most %d are read", size, most)
	}
	body = make([]byte, size)
	_, err = io.ReadFull(p.in, body)
	return flags, body, err
}

// message reads the next message of a peer that is not trusted.
func (p *peer) message() (frames [][]byte, err error) { return p.messageOf(maxFrame) }

// messageOf reads the next message, of frames of at most so many bytes; commands are passed over.
func (p *peer) messageOf(most uint64) (frames [][]byte, err error) {
	for {
		flags, body, err := p.frame(most)
		if err != nil {
			return nil, err
		}
		if flags&flagCommand != 0 {
			continue
		}
		if frames = append(frames, body); flags&flagMore == 0 {
			return frames, nil
		}
		if len(frames) == maxFrames {
			return nil, errProtocol
		}
	}
}
