package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"llmc/engine/oci"
	"llmc/engine/oci/ocitest"
	"llmc/engine/sign"
	"llmc/engine/sign/signtest"
	"llmc/internal/cachedir"
	"llmc/internal/clitest"
)

// TestRegistryCommands pushes, lists, copies, pulls and inspects, as a user would.
func TestRegistryCommands(t *testing.T) {
	_, host := ocitest.Start(t)
	t.Setenv(cachedir.Variable, t.TempDir())
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	plan, name := buildDemo(t, "--arch", "x86-64-v3,x86-64-v4"), host+"/models/demo:v1"
	var pushed oci.Pushed
	clitest.Run(t, "", "push", plan, name, "--json").JSON(t, &pushed)
	if pushed.Uploaded != pushed.Bytes || strings.Join(pushed.Targets, " ") != "x86-64-v3 x86-64-v4" {
		t.Errorf("%+v", pushed)
	}
	layout := "oci-layout:" + t.TempDir() + ":v2"
	if out := clitest.Run(t, "", "copy", name, layout).Done(t); !strings.Contains(out, pushed.Digest) {
		t.Errorf("copied %s: %q", pushed.Digest, out)
	}
	for _, repo := range []string{host + "/models/demo", strings.TrimSuffix(layout, ":v2")} {
		if out := clitest.Run(t, "", "list", repo).Done(t); !strings.Contains(out, "x86-64-v3,x86-64-v4") || !strings.Contains(out, pushed.Digest) {
			t.Errorf("%s has %q", repo, out)
		}
	}
	whole, part := filepath.Join(t.TempDir(), "whole.plan"), filepath.Join(t.TempDir(), "part.plan")
	clitest.Run(t, "", "pull", layout, "-o", whole).Done(t)
	clitest.Run(t, "", "pull", "oci://"+host+"/models/demo@"+pushed.Digest, "--target", "x86-64-v3", "-o", part).Done(t)
	want, err := os.ReadFile(plan)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(whole); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; pushed were %d", len(got), err, len(want))
	}
	for ref, targets := range map[string]int{"oci://" + name: 2, layout: 2, part: 1} {
		var report struct{ Programs []struct{ Target string } }
		clitest.Run(t, "", "inspect", ref, "--json").JSON(t, &report)
		if len(report.Programs) != targets {
			t.Errorf("%s: %+v", ref, report)
		}
	}
	clitest.Run(t, "", "verify", part).Done(t)
}

// TestSignatureCommands signs, attaches, checks and fetches as a user would, in a registry and beside a file.
func TestSignatureCommands(t *testing.T) {
	_, host := ocitest.Start(t)
	t.Setenv(cachedir.Variable, t.TempDir())
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	key, other := signtest.NewPair(t), signtest.NewPair(t)
	plan, name, dir := buildDemo(t, "--arch", "x86-64-v3"), host+"/models/demo:v1", t.TempDir()
	clitest.Run(t, "", "push", plan, name, "--builder-id", "x y").Refused(t, 2, "expected a URI")
	clitest.Run(t, "", "push", plan, name, "--key", plan).Refused(t, 1, "more than")
	clitest.Run(t, "", "push", plan, name, "--provenance", "--sbom", "--key", key.PrivatePath, "--builder-id", "https://ci.example/run").Done(t)
	if out := clitest.Run(t, "", "list", host+"/models/demo").Done(t); !strings.Contains(out, "signatures:1,provenance,sbom") || strings.Count(out, "\n") != 1 {
		t.Errorf("list: %q", out)
	}
	clitest.Run(t, "", "verify-signature", name, "--key", key.PublicPath).Done(t)
	clitest.Run(t, "", "verify-signature", name, "--key", other.PublicPath).Refused(t, 1, "signature not accepted", name)
	clitest.Run(t, "", "sign", name, "--key", other.PrivatePath).Done(t)
	clitest.Run(t, "", "verify-signature", name, "--key", other.PublicPath).Done(t)
	provenance, sbom := filepath.Join(dir, "provenance.json"), filepath.Join(dir, "sbom.json")
	clitest.Run(t, "", "pull", name, "--attestation", "provenance", "--key", key.PublicPath, "-o", provenance).Done(t)
	clitest.Run(t, "", "pull", name, "--attestation", "sbom", "-o", sbom).Done(t)
	clitest.Run(t, "", "pull", name, "--attestation", "sbom", "--key", other.PublicPath, "-o", sbom+"2").Refused(t, 1, "has not signed it")
	clitest.Run(t, "", "pull", name, "--attestation", "none", "-o", sbom).Refused(t, 2, "there are provenance, sbom")
	checkDocuments(t, provenance, sbom)
	clitest.Run(t, "", "verify-signature", plan, "--key", key.PublicPath).Refused(t, 1, plan+": not signed")
	clitest.Run(t, "", "sign", plan, "--key", key.PrivatePath).Done(t)
	clitest.Run(t, "", "verify-signature", plan, "--key", key.PublicPath).Done(t)
	policy := filepath.Join(dir, "policy.json")
	if err := os.WriteFile(policy, []byte(`{"rules": [{"prefix": "`+host+`/models/", "keys": ["`+key.PublicPath+`"]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	clitest.Run(t, "", "pull", name, "-o", filepath.Join(dir, "x.plan"), "--require-signature", policy).Done(t)
	t.Setenv(sign.PolicyVariable, policy)
	clitest.Run(t, "", "push", plan, host+"/else/demo:v1").Done(t)
	clitest.Run(t, "", "pull", host+"/else/demo:v1", "-o", filepath.Join(dir, "y.plan")).Refused(t, 1, "no rule of "+policy)
}

// checkDocuments reads what a plan of the demo model says of itself, and gives it to other software's readers where they are: SPDX's own, and in-toto's.
func checkDocuments(t *testing.T, provenance, sbom string) {
	t.Helper()
	for path, wants := range map[string][]string{
		provenance: {`"https://slsa.dev/provenance/v1"`, `"https://ci.example/run"`, `"model.safetensors"`, `"x86-64-v3"`, `"quant"`},
		sbom:       {`"SPDX-2.3"`, `"model.safetensors"`, `"pkg:golang/github.com/spf13/cobra@`, `"GENERATED_FROM"`},
	} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(data), want) {
				t.Errorf("%s lacks %s: %.2000s", path, want, data)
			}
		}
	}
	python := os.Getenv("LLMC_ATTEST_PYTHON")
	if python == "" {
		return
	}
	if text, err := exec.Command(python, "../../testdata/scripts/check_attestations.py", provenance, sbom).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, text)
	}
}
