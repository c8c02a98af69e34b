package ensemble

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"llmc/internal/dial"
)

// headerLength tells where the JSON of a body with binary tensors ends.
const headerLength = "Inference-Header-Content-Length"

// overHTTP asks by POST /v2/models/MODEL/infer.
type overHTTP struct {
	client *http.Client
	path   string
}

func openHTTP(address *url.URL, o *RemoteOptions, security *tls.Config) (protocol, error) {
	path := strings.TrimSuffix(address.String(), "/") + "/v2/models/" + url.PathEscape(o.Model)
	if o.Version != "" {
		path += "/versions/" + url.PathEscape(o.Version)
	}
	return &overHTTP{path: path + "/infer", client: dial.HTTP(security, "")}, nil
}

func (p *overHTTP) close() error {
	p.client.CloseIdleConnections()
	return nil
}

func (p *overHTTP) infer(ctx context.Context, r *Remote, inputs Tensors) (Tensors, error) {
	body, length, err := r.requestBody(ctx, inputs)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, "POST", p.path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if length < len(body) {
		request.Header.Set(headerLength, strconv.Itoa(length))
	}
	if r.token != "" {
		request.Header.Set("Authorization", "Bearer "+r.token)
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return nil, &RemoteError{503, "the other server can not be reached", err}
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, r.options.MaxBytes+1))
	if err != nil {
		return nil, &RemoteError{502, "the other server's answer broke off", err}
	}
	if int64(len(text)) > r.options.MaxBytes {
		return nil, &RemoteError{502, fmt.Sprintf("the other server's answer is larger than %d bytes (parameter max_answer_bytes)", r.options.MaxBytes), nil}
	}
	if answer.StatusCode != http.StatusOK {
		return nil, httpError(answer.StatusCode, text)
	}
	return readAnswer(text, answer.Header.Get(headerLength))
}

// httpStatuses are what a status is told as; others are faults of the other server, or of the repository.
var httpStatuses = map[int]int{400: 400, 413: 400, 422: 400, 429: 503, 503: 503, 504: 504}

func httpError(code int, body []byte) error {
	e := &RemoteError{Status: 502, Message: fmt.Sprintf("the other server answered with status %d", code)}
	if known := httpStatuses[code]; known != 0 {
		e.Status = known
	}
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &said) == nil && said.Error != "" {
		e.Message += ": " + clip(said.Error)
	}
	return e
}

// requestBody is the JSON, and the binary tensors that follow it; length is that of the JSON.
func (r *Remote) requestBody(ctx context.Context, inputs Tensors) (body []byte, length int, err error) {
	o := &r.options
	var after []byte
	dst := []byte(`{"inputs":[`)
	first := true
	for _, spec := range o.Inputs {
		t := inputs[spec.Name]
		if t == nil {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		name, err := json.Marshal(spec.Name)
		if err != nil {
			return nil, 0, err
		}
		shape, err := json.Marshal(append([]int64{}, t.Shape...))
		if err != nil {
			return nil, 0, err
		}
		dst = fmt.Appendf(dst, `{"name":%s,"datatype":%q,"shape":%s`, name, t.Type, shape)
		if o.JSON {
			if !t.Plain() {
				return nil, 0, fmt.Errorf("input %q: %s can not be sent as JSON", spec.Name, t.Type)
			}
			dst = append(dst, `,"data":[`...)
			for i := range t.Len() {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = t.Element(dst, i)
			}
			dst = append(dst, "]}"...)
			continue
		}
		before := len(after)
		after = t.AppendRaw(after)
		dst = fmt.Appendf(dst, `,"parameters":{"binary_data_size":%d}}`, len(after)-before)
	}
	dst = append(dst, `],"outputs":[`...)
	for i, spec := range o.Outputs {
		name, err := json.Marshal(spec.Name)
		if err != nil {
			return nil, 0, err
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = fmt.Appendf(dst, `{"name":%s,"parameters":{"binary_data":%t}}`, name, !o.JSON)
	}
	dst = append(dst, ']')
	if deadline, ok := ctx.Deadline(); ok {
		dst = fmt.Appendf(dst, `,"parameters":{"timeout":%d}`, max(1, time.Until(deadline).Microseconds()))
	}
	dst = append(dst, '}')
	return append(dst, after...), len(dst), nil
}

// readAnswer reads the tensors of an answer, in binary or as JSON.
func readAnswer(text []byte, given string) (Tensors, error) {
	var after []byte
	if given != "" {
		length, err := strconv.Atoi(given)
		if err != nil || length < 0 || length > len(text) {
			return nil, malformed("%s is %.32q of %d bytes", headerLength, given, len(text))
		}
		text, after = text[:length], text[length:]
	}
	var answer struct {
		Outputs []struct {
			Name       string          `json:"name"`
			Datatype   string          `json:"datatype"`
			Shape      []int64         `json:"shape"`
			Data       json.RawMessage `json:"data"`
			Parameters struct {
				Size *int64 `json:"binary_data_size"`
			} `json:"parameters"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, malformed("%v", err)
	}
	outputs := Tensors{}
	for _, o := range answer.Outputs {
		var t *Tensor
		var err error
		if size := o.Parameters.Size; size != nil {
			if *size < 0 || *size > int64(len(after)) {
				return nil, malformed("output %q: binary_data_size is %d, %d bytes follow", o.Name, *size, len(after))
			}
			t, err = FromRaw(o.Datatype, o.Shape, after[:*size])
			after = after[*size:]
		} else if !IsType(o.Datatype) {
			err = fmt.Errorf("datatype %.32q is not known", o.Datatype)
		} else {
			var elements []json.RawMessage
			if elements, err = flatten(nil, o.Data, 0); err == nil {
				t, err = FromJSON(o.Datatype, o.Shape, elements)
			}
		}
		if err != nil {
			return nil, malformed("output %q: %v", o.Name, err)
		}
		outputs[o.Name] = t
	}
	return outputs, nil
}

// flatten returns the elements of data, flat or nested as the shape is.
func flatten(to []json.RawMessage, data json.RawMessage, depth int) ([]json.RawMessage, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 || data[0] != '[' {
		if depth == 0 {
			return nil, fmt.Errorf("data is no array")
		}
		return append(to, data), nil
	}
	if depth > MaxRank {
		return nil, fmt.Errorf("data is nested too deeply")
	}
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	var err error
	for _, one := range list {
		if to, err = flatten(to, one, depth+1); err != nil {
			return nil, err
		}
	}
	return to, nil
}
