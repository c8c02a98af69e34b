package sign_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/engine/sign"
	"llmc/engine/sign/signtest"
)

func load(t testing.TB, text string) (*sign.Policy, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.json")
	check(t, os.WriteFile(path, []byte(text), 0o600))
	return sign.LoadPolicy(path)
}

// TestPolicyChoosesRules tells by keys which rule has decided. A name that only begins like another is another's.
func TestPolicyChoosesRules(t *testing.T) {
	a, b := signtest.NewPair(t), signtest.NewPair(t)
	inline, err := json.Marshal(string(b.Public.PEM()))
	check(t, err)
	p, err := load(t, fmt.Sprintf(`{"rules": [{"prefix": "R.example/models", "keys": [%q]}, {"prefix": "oci://r.example/models/next/", "keys": [%s]},
		{"prefix": "r.example/scratch/", "unsigned": true}, {"prefix": "file:/srv/plans", "keys": [%q]}, {"prefix": "oci-layout:/srv", "keys": [%q]}, {"prefix": "other.example", "keys": [%q]}]}`,
		a.PublicPath, inline, a.PublicPath, a.PublicPath, a.PublicPath))
	check(t, err)
	for reference, want := range map[string]string{
		"r.example/models:v1": "a", "r.example/models/engine:v1": "a", "R.EXAMPLE/models@sha256:0": "a", "r.example/models/next/x:v1": "b", "r.example/models/nextx:v1": "a",
		"r.example/models-evil/x:v1": "none", "r.example/scratch/x:v1": "unsigned", "r.example/scratch": "none", "r.example.evil/models": "none", "file:/srv/plans/x.plan": "a",
		"file:/srv/plans2/x.plan": "none", "oci-layout:/srv/store:v1": "a", "other.example/x:y": "a", "other.example:5000/x:y": "none",
	} {
		got := "none"
		if d, err := p.For(reference); err == nil {
			switch by := func(k *sign.PublicKey) func(*sign.PublicKey) bool {
				return func(other *sign.PublicKey) bool { return other.Same(k) }
			}; {
			case d.Unsigned():
				got = "unsigned"
			case d.Met(1, by(a.Public), "") == nil:
				got = "a"
			case d.Met(1, by(b.Public), "") == nil:
				got = "b"
			}
		} else if !errors.Is(err, sign.ErrPolicy) {
			t.Error(err)
		}
		if got != want {
			t.Errorf("%s is decided by %q, want %q", reference, got, want)
		}
	}
}

// TestPolicyCountsKeys wants signatures of as many keys as are needed.
func TestPolicyCountsKeys(t *testing.T) {
	var paths []string
	var keys []*sign.PublicKey
	for range 3 {
		k := signtest.NewPair(t)
		paths, keys = append(paths, k.PublicPath), append(keys, k.Public)
	}
	list, err := json.Marshal(paths)
	check(t, err)
	p, err := load(t, fmt.Sprintf(`{"rules": [{"prefix": "*", "needed": 2, "keys": %s}]}`, list))
	check(t, err)
	d, err := p.For("x/y:z")
	check(t, err)
	for n := range 4 {
		err := d.Met(n, func(k *sign.PublicKey) bool { return slices.ContainsFunc(keys[:n], k.Same) }, "sign it")
		if ok := err == nil; ok != (n >= 2) || n == 0 && !errors.Is(err, sign.ErrUnsigned) || n == 1 && !errors.Is(err, sign.ErrUntrusted) {
			t.Errorf("%d signatures: %v", n, err)
		}
	}
}

func TestPolicyRefusals(t *testing.T) {
	k := signtest.NewPair(t)
	for text, want := range map[string]string{
		`{`:             "unexpected EOF",
		`{"rules": []}`: "0 rules",
		`{"rules": [{"prefix": "x", "key": "y"}]}`:                                                `unknown field "key"`,
		`{"rules": [{"prefix": "x", "unsigned": true}]} x`:                                        "something follows",
		`{"rules": [{"prefix": "", "unsigned": true}]}`:                                           "prefix is empty",
		`{"rules": [{"prefix": "x"}]}`:                                                            "0 keys",
		`{"rules": [{"prefix": "x", "unsigned": true}, {"prefix": "oci://x", "unsigned": true}]}`: "has a rule already",
		`{"rules": [{"prefix": "x", "unsigned": true, "keys": ["a"]}]}`:                           "keys are given",
		`{"rules": [{"prefix": "x", "keys": ["none.pub"]}]}`:                                      "keys[0]: no usable key",
		fmt.Sprintf(`{"rules": [{"prefix": "x", "keys": [%q, %q]}]}`, k.PublicPath, k.PublicPath): "is there already",
		fmt.Sprintf(`{"rules": [{"prefix": "x", "keys": [%q], "needed": 2}]}`, k.PublicPath):      "needed is 2",
		fmt.Sprintf(`{"rules": [{"prefix": "x", "keys": [%q], "needed": -1}]}`, k.PublicPath):     "needed is -1",
		fmt.Sprintf(`{"rules": [{"prefix": "x", "keys": [%q]}]}`, k.PrivatePath):                  "is a private key",
	} {
		if _, err := load(t, text); !errors.Is(err, sign.ErrPolicy) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
	t.Setenv(sign.PolicyVariable, "")
	if p, err := sign.PolicyOf(""); p != nil || err != nil {
		t.Errorf("without a policy: %v, %v", p, err)
	}
	t.Setenv(sign.PolicyVariable, filepath.Join(t.TempDir(), "none"))
	if _, err := sign.PolicyOf(""); !errors.Is(err, sign.ErrPolicy) {
		t.Errorf("a policy that is not there: %v", err)
	}
}
