package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
)

const maxLine = 64 << 20

// AnswerLines reads one JSON value a line and writes one answer a line. What fails is answered with
// {"error":".."}; the command goes on.
func AnswerLines(r io.Reader, w io.Writer, answer func(line []byte) (any, error)) error {
	in := bufio.NewReaderSize(r, 1<<16)
	out := bufio.NewWriter(w)
	for {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return err
		}
		if len(line) == 0 {
			continue
		}
		result, err := answer(line)
		if err != nil {
			result = map[string]string{"error": err.Error()}
		}
		if err := PrintJSON(out, result); err != nil {
			return err
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, more, err := in.ReadLine()
		if err != nil {
			return nil, err
		}
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, errors.New("a line of input is longer than 64 MiB")
		}
		if !more {
			return line, nil
		}
	}
}

// DecodeLine parses one line into v, naming what was expected.
func DecodeLine(line []byte, v any, want string) error {
	if err := json.Unmarshal(line, v); err != nil {
		return errors.New("expected " + want + ": " + err.Error())
	}
	return nil
}
