package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/engine/oci"
	"llmc/engine/oci/ocitest"
	"llmc/engine/sign/signtest"
	"llmc/internal/cachedir"
	"llmc/internal/clitest"
)

// signedWay is a plan on its way from a build to a server, through Docker's registry.
type signedWay struct {
	t             *testing.T
	llmc, dir     string
	host, root    string
	ca            string
	key, other    signtest.Pair
	policy, cache string
}

// TestDistributionSigned builds a plan (LLMC_SIGNED_MODEL, else the demo model), pushes it to Docker's registry, signs, verifies, pulls and serves it, over connections that are
// severed; then has no signature, a wrong key and a layer that was changed be one clear line, with nothing served and nothing left in the cache. Where LLMC_COSIGN names cosign, each
// takes the other's signatures.
func TestDistributionSigned(t *testing.T) {
	host, root, ca := ocitest.Distribution(t)
	var cuts atomic.Int64
	front := ocitest.Severing(t, host, 100_000, &cuts)
	ocitest.Login(t, "secret", host, front)
	w := &signedWay{t: t, dir: t.TempDir(), host: host, root: root, ca: ca, key: signtest.NewPair(t), other: signtest.NewPair(t), cache: t.TempDir()}
	t.Setenv(cachedir.Variable, w.cache)
	t.Setenv("SSL_CERT_FILE", ca)
	w.llmc = filepath.Join(w.dir, "llmc")
	w.run("go", "build", "-o", w.llmc, "llmc/cmd/llmc")
	model := os.Getenv("LLMC_SIGNED_MODEL")
	if model == "" {
		model = "../../testdata/demo"
	}
	w.policy = filepath.Join(w.dir, "policy.json")
	if err := os.WriteFile(w.policy, fmt.Appendf(nil, `{"rules": [{"prefix": %q, "keys": [%q]}, {"prefix": %q, "keys": [%q]}]}`, host+"/models", w.key.PublicPath, front+"/models", w.key.PublicPath), 0o600); err != nil {
		t.Fatal(err)
	}
	plan, name := filepath.Join(w.dir, "x.plan"), "oci://"+host+"/models/signed:v1"
	w.run(w.llmc, "build", model, "-o", plan)
	w.run(w.llmc, "push", plan, name)
	w.refuse(name, "not signed")
	w.run(w.llmc, "sign", name, "--key", w.other.PrivatePath)
	w.refuse(name, "signature not accepted")
	cuts.Store(3)
	severed := "oci://" + front + "/models/signed:v1"
	w.run(w.llmc, "push", plan, severed, "--provenance", "--sbom", "--key", w.key.PrivatePath)
	w.run(w.llmc, "verify-signature", name, "--key", w.key.PublicPath)
	pulled := filepath.Join(w.dir, "pulled.plan")
	cuts.Store(3)
	w.run(w.llmc, "pull", severed, "-o", pulled, "--require-signature", w.policy)
	if a, err := os.ReadFile(plan); err != nil {
		t.Error(err)
	} else if b, err := os.ReadFile(pulled); err != nil || !bytes.Equal(a, b) {
		t.Errorf("another plan was pulled: %v", err)
	}
	w.serve(severed)
	if program := os.Getenv("LLMC_COSIGN"); program != "" {
		w.cosign(program, host+"/models/signed")
	}
	w.tamper(name)
}

func (w *signedWay) run(name string, args ...string) string {
	w.t.Helper()
	text, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %q: %v: %s", name, args, err, text)
	}
	return string(text)
}

// refuse wants a plan not to be served, in one line, and the cache to have nothing.
func (w *signedWay) refuse(name, why string) {
	w.t.Helper()
	clitest.Run(w.t, "", "serve", name, "--port", "0", "--require-signature", w.policy).Refused(w.t, 1, name+": ", why)
	if found, _ := filepath.Glob(filepath.Join(w.cache, "plans", "*", "*p*")); len(found) > 0 {
		w.t.Errorf("in the cache: %v", found)
	}
}

func (w *signedWay) serve(name string) {
	w.t.Helper()
	cmd := clitest.Command("serve", name, "--port", "0", "--require-signature", w.policy)
	address, _ := startServer(w.t, cmd)
	resp, err := http.Post(address+"/v1/completions", "application/json", strings.NewReader(`{"model": "signed", "prompt": "a", "max_tokens": 2}`))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		w.t.Errorf("%d: %s", resp.StatusCode, text)
	}
}

// cosign has cosign take our signatures and attestations, and us its.
func (w *signedWay) cosign(program, repository string) {
	w.t.Setenv("COSIGN_PASSWORD", "of the test")
	prefix, trusted := filepath.Join(w.dir, "theirs"), filepath.Join(w.dir, "root.json")
	if err := os.WriteFile(trusted, []byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`), 0o600); err != nil { // keys alone are trusted; else cosign asks the network
		w.t.Fatal(err)
	}
	reference := repository + ":v1"
	ours := []string{"--key", w.key.PublicPath, "--insecure-ignore-tlog=true", "--trusted-root", trusted}
	w.run(program, append([]string{"verify", reference}, ours...)...)
	for _, kind := range []string{"slsaprovenance1", "spdxjson"} {
		w.run(program, append([]string{"verify-attestation", "--new-bundle-format", "--type", kind, reference}, ours...)...)
	}
	w.run(program, "generate-key-pair", "--output-key-prefix", prefix)
	plain := repository + "-cosign:v1" // without attestations
	w.run(w.llmc, "push", filepath.Join(w.dir, "x.plan"), plain, "--key", w.key.PrivatePath)
	w.run(program, "verify", "--key", w.key.PublicPath, "--insecure-ignore-tlog=true", plain)
	w.run(program, "sign", "--key", prefix+".key", "--tlog-upload=false", "-y", plain)
	w.run(w.llmc, "verify-signature", plain, "--key", prefix+".pub")
	w.run(w.llmc, "sign", reference, "--key", prefix+".key")
	w.run(w.llmc, "verify-signature", reference, "--key", prefix+".pub")
	plan := filepath.Join(w.dir, "x.plan")
	w.run(w.llmc, "sign", plan, "--key", w.key.PrivatePath)
	w.run(program, "verify-blob", "--new-bundle-format", "--bundle", plan+".sig", "--key", w.key.PublicPath, "--insecure-ignore-tlog=true", "--trusted-root", trusted, plan)
}

// tamper changes a layer in the registry behind a good signature.
func (w *signedWay) tamper(name string) {
	w.t.Helper()
	read := func(digest string, to any) {
		data, err := os.ReadFile(ocitest.BlobPath(w.root, digest))
		if err == nil {
			err = json.Unmarshal(data, to)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	var rows []oci.Listed
	if err := json.Unmarshal([]byte(w.run(w.llmc, "list", name, "--json")), &rows); err != nil || len(rows) != 1 {
		w.t.Fatalf("%v: %+v", err, rows)
	}
	var index ocispec.Index
	read(rows[0].Digest, &index)
	var m ocispec.Manifest
	read(index.Manifests[0].Digest.String(), &m)
	path := ocitest.BlobPath(w.root, m.Layers[len(m.Layers)-1].Digest.String())
	data, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.cache = w.t.TempDir()
	w.t.Setenv(cachedir.Variable, w.cache)
	w.refuse(name, "digest does not match")
}
