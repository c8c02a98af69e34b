package comm

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// magic begins each connection, with the version of what is said over it.
const magic = "llmrank1"

// helloTime bounds what two ranks have to say to each other before anything else.
const helloTime = 10 * time.Second

// maxHello bounds a hello or a welcome, in bytes.
const maxHello = 64 << 10

const nonceBytes = 32

// hello is what the one that connects says.
type hello struct {
	Kind    string `json:"kind"` // "join" to the first rank, "link" to any
	Rank    int    `json:"rank"`
	Size    int    `json:"size"`
	Plan    string `json:"plan"`
	Version string `json:"version"`
	Host    string `json:"host"` // equal where memory can be shared; "" where it may not be
	Addr    string `json:"addr"` // where it takes links
}

// welcome is the answer.
type welcome struct {
	Error   string   `json:"error,omitempty"`
	Session string   `json:"session,omitempty"`
	Hosts   []string `json:"hosts,omitempty"` // by rank, as Addrs
	Addrs   []string `json:"addrs,omitempty"`
}

// errSecret: the other side does not know the secret, or is no rank at all.
var errSecret = errors.New("does not know the secret of the group")

// talk is a connection on which both sides show that they know the secret: each signs what it says with what the other made up.
type talk struct {
	net.Conn
	secret         []byte
	dialer, answer [nonceBytes]byte // nonces
}

// accept begins a connection that has come in, and reads the hello.
func accept(conn net.Conn, secret []byte) (*talk, hello, error) {
	t := &talk{Conn: conn, secret: secret}
	var h hello
	_ = conn.SetDeadline(time.Now().Add(helloTime))
	_, _ = rand.Read(t.answer[:])
	if _, err := conn.Write(append([]byte(magic), t.answer[:]...)); err != nil {
		return nil, h, err
	}
	if _, err := io.ReadFull(conn, t.dialer[:]); err != nil {
		return nil, h, err
	}
	err := t.read("dialer", &h)
	return t, h, err
}

// dial connects, and says hello.
func dial(addr string, secret []byte, h hello) (*talk, error) {
	conn, err := net.DialTimeout("tcp", addr, helloTime)
	if err != nil {
		return nil, err
	}
	t := &talk{Conn: conn, secret: secret}
	if err := t.greet(h); err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}

func (t *talk) greet(h hello) error {
	_ = t.SetDeadline(time.Now().Add(helloTime))
	var first [len(magic) + nonceBytes]byte
	if _, err := io.ReadFull(t, first[:]); err != nil {
		return err
	}
	if string(first[:len(magic)]) != magic {
		return fmt.Errorf("%s is no rank of this version of llmrun", t.RemoteAddr())
	}
	copy(t.answer[:], first[len(magic):])
	_, _ = rand.Read(t.dialer[:])
	if _, err := t.Write(t.dialer[:]); err != nil {
		return err
	}
	return t.write("dialer", h)
}

// sign is what shows that a side knows the secret.
func (t *talk) sign(side string, text []byte) []byte {
	mac := hmac.New(sha256.New, t.secret)
	for _, part := range [][]byte{[]byte(side), t.answer[:], t.dialer[:], text} {
		mac.Write(part)
	}
	return mac.Sum(nil)
}

func (t *talk) write(side string, what any) error {
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	if len(text) > maxHello {
		return fmt.Errorf("%d bytes to say: at most %d", len(text), maxHello)
	}
	_, err = t.Write(bytes.Join([][]byte{binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text, t.sign(side, text)}, nil))
	return err
}

func (t *talk) read(side string, what any) error {
	var size [4]byte
	if _, err := io.ReadFull(t, size[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > maxHello {
		return fmt.Errorf("%d bytes said: at most %d", n, maxHello)
	}
	text := make([]byte, int(n)+sha256.Size)
	if _, err := io.ReadFull(t, text); err != nil {
		return err
	}
	if !hmac.Equal(text[n:], t.sign(side, text[:n])) {
		return errSecret
	}
	return json.Unmarshal(text[:n], what)
}
