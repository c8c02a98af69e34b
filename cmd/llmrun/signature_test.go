package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"llmc/engine"
	"llmc/engine/oci"
	"llmc/engine/oci/ocitest"
	"llmc/engine/sign"
	"llmc/engine/sign/signtest"
	"llmc/internal/cachedir"
	"llmc/internal/clitest"
)

// TestSignaturesAreRequired runs commands with a policy: nothing is served of a plan that is not signed, in a registry, in a file, in a repository of models, or as an adapter.
func TestSignaturesAreRequired(t *testing.T) {
	_, host := ocitest.Start(t)
	t.Setenv(cachedir.Variable, t.TempDir())
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	path, key := buildDemo(t, ""), signtest.NewPair(t)
	plan, err := engine.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	ref, err := oci.ParseRef(host + "/models/small:v1")
	if err != nil {
		t.Fatal(err)
	}
	client := &oci.Client{}
	if _, err := client.Push(t.Context(), plan, ref); err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(t.TempDir(), "policy.json")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(policy, fmt.Sprintf(`{"rules": [{"prefix": "*", "keys": [%q]}]}`, key.PublicPath))
	models := oneModel(t, path)
	require := []string{"--require-signature", policy}
	run := func(args ...string) clitest.Result {
		t.Helper()
		return clitest.Run(t, "", append(args, require...)...)
	}
	run("serve", ref.String(), "--port", "0").Refused(t, 1, ref.String()+": not signed", "llmc sign")
	run("serve", path, "--port", "0").Refused(t, 1, path+": not signed", "llmc sign")
	run("serve", "--model-repository", models, "--port", "0").Refused(t, 1, "not signed")
	run("generate", path, "--tokens", "1").Refused(t, 1, "not signed")
	if _, err := client.Sign(t.Context(), ref, key.Private); err != nil {
		t.Fatal(err)
	}
	bundle, err := key.Private.SignFile(openFile(t, path))
	if err != nil {
		t.Fatal(err)
	}
	write(path+sign.FileSuffix, string(bundle))
	run("generate", path, "--tokens", "1", "--max-tokens", "1", "--adapter", t.TempDir()).Refused(t, 1, "is no file")
	run("tokenize", path).Done(t)
	t.Setenv(sign.PolicyVariable, policy)
	require = nil
	run("tokenize", ref.String()).Done(t)
	run("tokenize", filepath.Join(models, "small", "1", "model.plan")).Refused(t, 1, "not signed")
	address, _ := startServer(t, clitest.Command("serve", ref.String(), "--port", "0"))
	if address == "" {
		t.Error("a signed plan is not served")
	}
}

func openFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// oneModel is a repository of a model that has a plan.
func oneModel(t *testing.T, path string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "models")
	if err := os.MkdirAll(filepath.Join(dir, "small", "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(path, filepath.Join(dir, "small", "1", "model.plan")); err != nil {
		t.Fatal(err)
	}
	return dir
}
