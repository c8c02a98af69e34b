package oci_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/engine/oci"
	"llmc/engine/oci/ocitest"
	"llmc/engine/sign"
	"llmc/engine/sign/signtest"
	"llmc/internal/cachedir"
)

// policy writes a policy and reads it.
func policy(t testing.TB, rules string) *sign.Policy {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.json")
	check(t, os.WriteFile(path, []byte(`{"rules": [`+rules+`]}`), 0o600))
	p, err := sign.LoadPolicy(path)
	check(t, err)
	return p
}

// wants is a rule for all plans.
func wants(prefix string, keys ...signtest.Pair) string {
	var paths []string
	for _, k := range keys {
		paths = append(paths, k.PublicPath)
	}
	list, _ := json.Marshal(paths)
	return fmt.Sprintf(`{"prefix": %q, "keys": %s}`, prefix, list)
}

// cacheIsClean wants no plan in the cache, whole or in part, nor a signature.
func cacheIsClean(t testing.TB) {
	t.Helper()
	for _, pattern := range []string{"plans/*/*plan", "plans/*/partial*", "plans/index/*.sig.json"} {
		if found, _ := filepath.Glob(filepath.Join(os.Getenv(cachedir.Variable), pattern)); len(found) > 0 {
			t.Errorf("in the cache: %v", found)
		}
	}
}

// TestSignedPlansAlone has a client with a policy fetch what is signed by a key of it, and nothing else: not a byte of a layer, nothing in the cache.
func TestSignedPlansAlone(t *testing.T) {
	r, host, c := registry(t)
	plan, name := usual.write(t), host+"/models/test:v1"
	push(t, c, plan, name)
	ours, others := signtest.NewPair(t), signtest.NewPair(t)
	c.Policy = policy(t, wants(host+"/models", ours))
	r.Take()
	denied := func(kind error, words ...string) {
		t.Helper()
		_, err := get(t, c, name)
		refused(t, err, kind, append(words, name)...)
		out := filepath.Join(t.TempDir(), "x.plan")
		_, err = c.Pull(t.Context(), ref(t, name), nil, out)
		refused(t, err, kind, append(words, name)...)
		if left, _ := os.ReadDir(filepath.Dir(out)); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		cacheIsClean(t)
		if s := r.Take(); s.Out > 4096 { // payloads alone
			t.Errorf("%d bytes were fetched", s.Out)
		}
	}
	denied(sign.ErrUnsigned, "llmc sign", filepath.Base(ours.PublicPath))
	sameSignature(t, c, name, others, true)
	denied(sign.ErrUntrusted, "1 signature", filepath.Base(ours.PublicPath))
	sameSignature(t, c, name, ours, true)
	sameSignature(t, c, name, ours, false)
	e, err := get(t, c, name)
	check(t, err)
	check(t, e.Close())
	_, err = c.VerifySignature(t.Context(), ref(t, name), sign.One(others.Public))
	check(t, err)
	_, err = c.VerifySignature(t.Context(), ref(t, name), sign.One(signtest.NewPair(t).Public))
	refused(t, err, sign.ErrUntrusted, "2 signatures")
	c.Policy = policy(t, wants(host+"/else", ours))
	_, err = get(t, c, name)
	refused(t, err, sign.ErrPolicy, "no rule", host+"/models/test:v1")
}

func sameSignature(t *testing.T, c *oci.Client, name string, key signtest.Pair, added bool) {
	t.Helper()
	out, err := c.Sign(t.Context(), ref(t, name), key.Private)
	check(t, err)
	if out.Added != added || !strings.HasSuffix(out.Reference, out.Digest) {
		t.Errorf("%+v; added should be %v", out, added)
	}
}

// TestSignaturesOfTheCache wants a digest that is cached to need no network, and a key that the policy has no more not to count.
func TestSignaturesOfTheCache(t *testing.T) {
	r, host, c := registry(t)
	pushed := push(t, c, usual.write(t), host+"/models/test:v1")
	first, second := signtest.NewPair(t), signtest.NewPair(t)
	_, err := c.Sign(t.Context(), ref(t, pushed.Reference), first.Private)
	check(t, err)
	c.Policy = policy(t, wants("*", first, second))
	e, err := get(t, c, pushed.Reference)
	check(t, err)
	check(t, e.Close())
	r.Intercept = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true }
	e, err = get(t, c, pushed.Reference)
	check(t, err)
	check(t, e.Close())
	c.Policy = policy(t, wants("*", second)) // first is withdrawn
	_, err = get(t, c, pushed.Reference)
	refused(t, err, oci.ErrDenied, "signatures")
	r.Intercept = nil
	_, err = get(t, c, pushed.Reference)
	refused(t, err, sign.ErrUntrusted)
	_, err = c.Sign(t.Context(), ref(t, pushed.Reference), second.Private)
	check(t, err)
	e, err = get(t, c, pushed.Reference)
	check(t, err)
	check(t, e.Close())
}

// TestForgedSignatures changes what lies in the registry: none of it is a signature of the plan.
func TestForgedSignatures(t *testing.T) {
	r, host, c := registry(t)
	key := signtest.NewPair(t)
	other := usual
	other.code = "another plan"
	good, bad := push(t, c, usual.write(t), host+"/models/test:good"), push(t, c, other.write(t), host+"/models/test:bad")
	signed, err := c.Sign(t.Context(), ref(t, good.Reference), key.Private)
	check(t, err)
	c.Policy = policy(t, wants("*", key))
	tag := "sha256-" + strings.TrimPrefix(bad.Digest, "sha256:") + ".sig"
	original := r.Manifest("models/test", signed.Signature)
	var m ocispec.Manifest
	check(t, json.Unmarshal(original, &m))
	r.ChangeManifest("models/test", tag, func([]byte) []byte { return original }) // the signature of another plan
	_, err = get(t, c, host+"/models/test:bad")
	refused(t, err, sign.ErrUntrusted)
	r.Change("models/test", m.Layers[0].Digest.String(), func(data []byte) { // a payload that names the bad plan
		copy(data, strings.Replace(string(data), good.Digest, bad.Digest, 1))
	})
	_, err = get(t, c, host+"/models/test:bad")
	refused(t, err, sign.ErrUnsigned)
	for _, forged := range []string{`{"layers":[{}]}`, `[`, `{"layers":[{"mediaType":"` + sign.PayloadType + `","size":99999999999,"digest":"sha256:x","annotations":{"` + sign.SignatureKey + `":"%%%"}}]}`} {
		r.ChangeManifest("models/test", tag, func([]byte) []byte { return []byte(forged) })
		if _, err := get(t, c, host+"/models/test:bad"); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", forged, err)
		}
	}
	cacheIsClean(t)
}

// TestCopyTakesSignatures signs in a directory, copies to registries of both kinds and wants what was signed to be signed there.
func TestCopyTakesSignatures(t *testing.T) {
	_, _, c := registry(t)
	key, stage := signtest.NewPair(t), "oci-layout:"+t.TempDir()+":v1"
	push(t, c, usual.write(t), stage)
	sameSignature(t, c, stage, key, true)
	sameSignature(t, c, stage, key, false)
	for _, lists := range []bool{false, true} {
		r, host := ocitest.Start(t)
		r.Referrers = lists
		_, err := c.Copy(t.Context(), ref(t, stage), ref(t, host+"/models/test:v1"))
		check(t, err)
		_, err = c.VerifySignature(t.Context(), ref(t, host+"/models/test:v1"), sign.One(key.Public))
		check(t, err)
		repo, err := oci.ParseRepository(host + "/models/test")
		check(t, err)
		rows, err := c.List(t.Context(), repo)
		check(t, err)
		if len(rows) != 1 || rows[0].Tag != "v1" || rows[0].Signatures != 1 {
			t.Errorf("%+v", rows)
		}
	}
}
