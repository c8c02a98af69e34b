package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"llmc/engine/oci/ocitest"
	"llmc/engine/sign/signtest"
	"llmc/internal/clitest"
)

// TestCIScript runs the script that the GitHub Action and the GitLab template run: a plan that is pushed, signed and described; nothing where the gate does not hold.
func TestCIScript(t *testing.T) {
	_, host := ocitest.Start(t)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	key, dir := signtest.NewPair(t), t.TempDir()
	self := clitest.Command()
	var asLlmc strings.Builder
	asLlmc.WriteString("#!/bin/sh\n")
	for _, v := range self.Env {
		if !slices.Contains(os.Environ(), v) {
			fmt.Fprintf(&asLlmc, "export %s\n", v)
		}
	}
	fmt.Fprintf(&asLlmc, "exec %q \"$@\"\n", self.Path)
	if err := os.WriteFile(filepath.Join(dir, "llmc"), []byte(asLlmc.String()), 0o755); err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(key.PrivatePath)
	if err != nil {
		t.Fatal(err)
	}
	out, reference := filepath.Join(dir, "out"), host+"/models/demo:ci"
	run := func(gate string) (string, error) {
		cmd := exec.Command("sh", "../../ci/plan.sh")
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "PLAN_MODEL=../../testdata/demo", "PLAN_REFERENCE="+reference, "PLAN_ARCH=x86-64-v3", "PLAN_QUANT=int4", "PLAN_GATE="+gate,
			"PLAN_BUILD_FLAGS=--threads 2", "PLAN_FILE="+filepath.Join(dir, "x.plan"), "PLAN_SIGNING_KEY="+string(secret), "PLAN_PUBLIC_KEY="+string(key.Public.PEM()),
			"PLAN_BUILDER_ID=https://ci.example/1", "PLAN_DOTENV="+out)
		text, err := cmd.CombinedOutput()
		return string(text), err
	}
	if text, err := run("weight_error<=0.0001"); err == nil || !strings.Contains(text, "weight_error") {
		t.Errorf("a gate that does not hold: %v, %s", err, text)
	}
	if row := clitest.Run(t, "", "list", reference).Done(t); !strings.Contains(row, "not there") {
		t.Errorf("pushed in spite of the gate: %q", row)
	}
	if text, err := run("weight_error<=0.5"); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if row := clitest.Run(t, "", "list", reference).Done(t); !strings.Contains(row, "signatures:1,provenance,sbom") {
		t.Errorf("pushed: %q", row)
	}
	if text, err := os.ReadFile(out); err != nil || !regexp.MustCompile(`(?m)^PLAN_REFERENCE_PUSHED=oci://.*@sha256:[0-9a-f]{64}\nPLAN_DIGEST=sha256:[0-9a-f]{64}$`).Match(text) {
		t.Errorf("%v: %s", err, text)
	}
}

// TestCIFiles wants every variable of the script to be one that the files for GitHub and GitLab set or tell of, and no other.
func TestCIFiles(t *testing.T) {
	name := regexp.MustCompile(`PLAN_[A-Z]+(_[A-Z]+)*\b`)
	names := func(path string) []string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all := name.FindAllString(string(data), -1)
		slices.Sort(all)
		return slices.Compact(all)
	}
	known := names("../../ci/plan.sh")
	if len(known) < 10 {
		t.Fatalf("the script reads %v alone", known)
	}
	docs := names("../../docs/ci.md")
	for _, v := range known {
		if !slices.Contains(docs, v) {
			t.Errorf("docs/ci.md says nothing of %s", v)
		}
	}
	for _, path := range []string{"../../ci/github/action.yml", "../../ci/gitlab/plan.yml", "../../docs/ci.md"} {
		for _, v := range names(path) {
			if !slices.Contains(known, v) {
				t.Errorf("%s names %s, which ci/plan.sh does not read", path, v)
			}
		}
	}
}
