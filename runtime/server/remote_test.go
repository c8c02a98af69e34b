package server

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"llmc/runtime/ensemble"
)

// remoteOf is a model of another server.
func remoteOf(t *testing.T, o ensemble.RemoteOptions) Model {
	t.Helper()
	r, err := ensemble.NewRemote(o)
	must(t, err)
	return Model{Name: "far", Node: r, Close: r.Close}
}

// vectors are the options of the encoder of startEncoders at an address.
func vectors(url string) ensemble.RemoteOptions {
	return ensemble.RemoteOptions{URL: url, Model: "embedding", Inputs: []ensemble.Spec{specOf("text", "BYTES", false, -1, 1)}, Outputs: []ensemble.Spec{specOf("embedding", "FP32", false, -1, 3)}}
}

const askFar = `{"inputs":[{"name":"text","shape":[2],"datatype":"BYTES","data":["a","bcd"]}]}`

// Models of another server are asked over HTTP, in binary or JSON, and over gRPC.
func TestRemote(t *testing.T) {
	far := startEncoders(t)
	conn := startGRPC(t, far)
	for name, o := range map[string]ensemble.RemoteOptions{"http": vectors("http://" + far.addr), "json": vectors("http://" + far.addr), "grpc": vectors("grpc://" + conn.Target()), "version": vectors("http://" + far.addr)} {
		o.JSON = name == "json"
		if name == "version" {
			o.Version = "1"
		}
		near := startServer(t, nil, Config{Models: []Model{remoteOf(t, o)}})
		got := near.post("/v2/models/far/infer", askFar, 200)
		if data := at(t, got, "outputs", 0, "data"); len(data.([]any)) != 6 || data.([]any)[5] != 3. {
			t.Errorf("%s: %v", name, got)
		}
		if a := near.do("POST", "/v2/models/far/infer", strings.Replace(askFar, `"bcd"`, `"`+strings.Repeat("x", 41)+`"`, 1)); a.status != 400 || !strings.Contains(a.body, "41 tokens, at most 40") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if a := near.do("POST", "/v2/models/far/infer", `{"inputs":[{"name":"url","shape":[1],"datatype":"BYTES","data":["http://10.0.0.1"]}]}`); a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// misbehaving answers as the name of the model says.
func misbehaving(w http.ResponseWriter, r *http.Request, release <-chan struct{}) {
	name := strings.Split(r.URL.Path, "/")[3]
	switch name {
	case "slow":
		<-release
	case "elsewhere":
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
	case "endless":
		for range 64 {
			_, _ = w.Write(make([]byte, 1<<10))
		}
	case "binary":
		w.Header().Set(headerLength, "9999")
		_, _ = io.WriteString(w, `{"outputs":[]}`)
	default:
		if code, err := strconv.Atoi(name); err == nil {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, `{"error":"so\nthere"}`)
			return
		}
		_, _ = io.WriteString(w, map[string]string{
			"none": `{}`, "text": `hello`, "short": `{"outputs":[{"name":"embedding","datatype":"FP32","shape":[2,3],"data":[1]}]}`,
			"type": `{"outputs":[{"name":"embedding","datatype":"INT64","shape":[1,3],"data":[1,2,3]}]}`,
			"deep": `{"outputs":[{"name":"embedding","datatype":"FP32","shape":[1],"data":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}]}`,
			"size": `{"outputs":[{"name":"embedding","datatype":"FP32","shape":[1,3],"parameters":{"binary_data_size":-1}}]}`,
			"huge": `{"outputs":[{"name":"embedding","datatype":"FP32","shape":[99999999,99999999],"data":[1]}]}`,
		}[name])
	}
}

// Whatever another server does, requests end in time and are told what it was, without its address.
func TestRemoteMisbehaves(t *testing.T) {
	type request struct {
		header http.Header
		body   string
	}
	seen := make(chan request, 64)
	release := make(chan struct{})
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- request{r.Header, string(body)}
		misbehaving(w, r, release)
	}))
	defer far.Close()
	defer close(release)
	token := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(token, []byte("sk-far\n"), 0o600))
	for _, c := range []struct {
		model  string
		status int
		want   string
	}{
		{"none", 502, `gave no output \"embedding\"`}, {"text", 502, "can not be read"}, {"short", 502, "1 elements"}, {"type", 502, "datatype INT64, must be FP32"}, {"deep", 502, "nested too deeply"},
		{"size", 502, "binary_data_size"}, {"huge", 502, "shape"}, {"binary", 502, "can not be read"}, {"endless", 502, "larger than 4096 bytes"}, {"elsewhere", 502, "status 307"}, {"slow", 504, "did not answer in 50ms"},
		{"400", 400, "so there"}, {"404", 502, "status 404: so there"}, {"500", 502, "status 500"}, {"429", 503, "status 429"}, {"503", 503, "status 503"},
	} {
		o := vectors(far.URL)
		o.Model, o.MaxBytes, o.Files.Token = c.model, 4<<10, token
		if c.model == "slow" {
			o.Timeout = 50 * time.Millisecond
		}
		near := startServer(t, nil, Config{Models: []Model{remoteOf(t, o)}})
		a := near.do("POST", "/v2/models/far/infer", askFar, headerTimeout+": 20")
		if a.status != c.status || !strings.Contains(a.body, c.want) || strings.Contains(a.body, "127.0.0.1") {
			t.Errorf("%s: %d %s, want %d with %s", c.model, a.status, a.body, c.status, c.want)
		}
	}
	if first := <-seen; first.header.Get("Authorization") != "Bearer sk-far" || !strings.Contains(first.body, `"timeout":`) {
		t.Errorf("%+v", first)
	}
	for _, url := range []string{"http://127.0.0.1:1", "grpc://127.0.0.1:1"} {
		near := startServer(t, nil, Config{Models: []Model{remoteOf(t, vectors(url))}})
		if a := near.do("POST", "/v2/models/far/infer", askFar); a.status != 503 || !strings.Contains(a.body, "can not be reached") || strings.Contains(a.body, "127.0.0.1") {
			t.Errorf("%s: %d %s", url, a.status, a.body)
		}
	}
}

// TLS is that of the files of the configuration: an authority that signed nothing is refused.
func TestRemoteTLS(t *testing.T) {
	far := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"outputs":[{"name":"embedding","datatype":"FP32","shape":[1,3],"data":[[1,2,3]]}]}`)
	}))
	defer far.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: far.Certificate().Raw}), 0o600))
	for file, want := range map[string]int{authority: 200, "": 503} {
		o := vectors(far.URL)
		o.Files.CA = file
		near := startServer(t, nil, Config{Models: []Model{remoteOf(t, o)}})
		if a := near.do("POST", "/v2/models/far/infer", askFar); a.status != want {
			t.Errorf("authority %q: %d %s", file, a.status, a.body)
		}
	}
	for want, change := range map[string]func(o *ensemble.RemoteOptions){
		"ca_file": func(o *ensemble.RemoteOptions) { o.Files.CA = authority + "x" }, "give both": func(o *ensemble.RemoteOptions) { o.Files.Cert = authority },
		"token_file": func(o *ensemble.RemoteOptions) { o.Files.Token = authority + "x" }, "one line": func(o *ensemble.RemoteOptions) { o.Files.Token = authority },
	} {
		o := vectors(far.URL)
		change(&o)
		if _, err := ensemble.NewRemote(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
