package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/engine/oci"
	"llmc/engine/oci/ocitest"
	"llmc/internal/clitest"
)

// TestRegistryCommands pushes, lists, copies, pulls and inspects, as a user would.
func TestRegistryCommands(t *testing.T) {
	_, host := ocitest.Start(t)
	t.Setenv(oci.CacheVariable, t.TempDir())
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
