package oci_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"llmc/engine"
	"llmc/engine/attest"
	"llmc/engine/oci"
	"llmc/engine/oci/ocitest"
	"llmc/engine/sign"
	"llmc/engine/sign/signtest"
)

// TestAttestations attaches statements in a directory and in registries that list referrers and that do not, signed and not, twice, and wants one of each back.
func TestAttestations(t *testing.T) {
	_, _, c := registry(t)
	key := signtest.NewPair(t)
	for name, to := range map[string]func() string{
		"layout":    func() string { return "oci-layout:" + t.TempDir() },
		"registry":  func() string { _, host := ocitest.Start(t); return host + "/models/test" },
		"referrers": func() string { r, host := ocitest.Start(t); r.Referrers = true; return host + "/models/test" },
	} {
		for _, k := range []*sign.PrivateKey{nil, key.Private} {
			repository := to()
			plan := openPlan(t, provenanced.write(t))
			at := repository + ":v1"
			pushed, err := c.Push(t.Context(), plan, ref(t, at))
			check(t, err)
			for range 2 {
				check(t, c.Attach(t.Context(), plan, pushed, oci.Attach{Kinds: attest.Kinds, Builder: "https://ci.example/1", Key: k}))
			}
			repo, err := oci.ParseRepository(repository)
			check(t, err)
			rows, err := c.List(t.Context(), repo)
			check(t, err)
			if len(rows) != 1 || !slices.Equal(rows[0].Attestations, []string{"provenance", "sbom"}) || rows[0].Signatures != map[bool]int{true: 1}[k != nil] {
				t.Errorf("%s: %+v", name, rows)
			}
			for _, kind := range attest.Kinds {
				got, err := c.Attestation(t.Context(), ref(t, at), kind, nil)
				check(t, err)
				sameJSON(t, got.Predicate, kind, plan)
				_, err = c.Attestation(t.Context(), ref(t, at), kind, key.Public)
				if k == nil {
					refused(t, err, sign.ErrUntrusted, "has not signed it", kind.Article)
				} else {
					check(t, err)
				}
				_, err = c.Attestation(t.Context(), ref(t, at), kind, signtest.NewPair(t).Public)
				refused(t, err, sign.ErrUntrusted, "has not signed it")
			}
			copied := "oci-layout:" + t.TempDir() + ":copy"
			_, err = c.Copy(t.Context(), ref(t, at), ref(t, copied))
			check(t, err)
			_, err = c.Attestation(t.Context(), ref(t, copied), attest.Kinds[0], nil)
			check(t, err)
		}
	}
	_, err := c.Attestation(t.Context(), ref(t, pushedAlone(t, c)), attest.Kinds[1], nil)
	refused(t, err, oci.ErrNotFound, "llmc push --sbom")
}

func pushedAlone(t *testing.T, c *oci.Client) string {
	to := "oci-layout:" + t.TempDir() + ":v1"
	push(t, c, usual.write(t), to)
	return to
}

// sameJSON wants a predicate to be what a kind makes of a plan.
func sameJSON(t *testing.T, got []byte, kind *attest.Kind, plan *engine.Plan) {
	t.Helper()
	made, err := kind.Make(plan, "https://ci.example/1")
	check(t, err)
	want, err := json.Marshal(made)
	check(t, err)
	var a, b any
	check(t, json.Unmarshal(got, &a))
	check(t, json.Unmarshal(want, &b))
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s is %s and not %s", kind.Name, got, want)
	}
}
