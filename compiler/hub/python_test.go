package hub

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"llmc/compiler/hf"
	"llmc/compiler/hub/hubtest"
)

// python runs the script over huggingface_hub with the client's cache and reads what it prints.
func python(t testing.TB, c *Client, into any, args ...string) {
	t.Helper()
	if err := json.Unmarshal(runPython(t, c, args...), into); err != nil {
		t.Fatal(err)
	}
}

func runPython(t testing.TB, c *Client, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(pythonName(), append([]string{"../../testdata/clients/hub_python.py", testRepo}, args...)...)
	offline := "0"
	if c.Offline {
		offline = "1"
	}
	cmd.Env = append(os.Environ(), "HF_HUB_CACHE="+c.Cache, "HF_HOME="+filepath.Dir(c.Cache), "HF_ENDPOINT="+c.Endpoint.String(), "HF_HUB_OFFLINE="+offline,
		"HF_TOKEN=", "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_PROGRESS_BARS=1", "HF_HUB_DISABLE_UPDATE_CHECK=1", "PYTHONDONTWRITEBYTECODE=1")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	return out
}

func pythonName() string {
	if name := os.Getenv("LLMC_PYTHON"); name != "" {
		return name
	}
	return "python3"
}

// The unmodified huggingface_hub package shares the cache: each uses what the other downloaded, offline, and both may download at once. LLMC_PYTHON names a Python that
// has it.
func TestPythonClient(t *testing.T) {
	if os.Getenv("LLMC_LONG") == "" {
		t.Skip("LLMC_LONG is not set")
	}
	if err := exec.Command(pythonName(), "-c", "import huggingface_hub").Run(); err != nil {
		t.Skipf("%s has no huggingface_hub package (LLMC_PYTHON names another Python): %v", pythonName(), err)
	}
	for _, repo := range []*hubtest.Repo{model(), sharded()} {
		t.Run("theirs", func(t *testing.T) { testTheirCache(t, repo) })
		t.Run("ours", func(t *testing.T) { testOurCache(t, repo) })
		t.Run("together", func(t *testing.T) { testOneCache(t, repo) })
	}
}

// downloaded counts how often the contents of each large file were asked for.
func downloaded(s *hubtest.Server) map[string]int {
	times := map[string]int{}
	for _, seen := range s.Seen() {
		if seen.CDN && seen.Method == "GET" {
			times[seen.Path+" "+seen.Range]++
		}
	}
	return times
}

func testTheirCache(t *testing.T, repo *hubtest.Repo) {
	s, c := start(t, repo)
	var dir string
	python(t, c, &dir, "download")
	s.Forget()
	c.Offline = true
	if snapshot := mustFetch(t, c, testRepo); snapshot.Dir != dir || snapshot.Commit != testCommit {
		t.Errorf("%+v is not %s", snapshot, dir)
	}
	c.Offline = false
	mustFetch(t, c, testRepo)
	if again := downloaded(s); len(again) > 0 {
		t.Errorf("downloaded again: %v", again)
	}
	for name, want := range repo.Files {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != string(want) {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
}

func testOurCache(t *testing.T, repo *hubtest.Repo) {
	s, c := start(t, repo)
	snapshot := mustFetch(t, c, testRepo)
	var names []string
	for name := range repo.Files {
		if isFile(filepath.Join(snapshot.Dir, name)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	c.Offline = true
	var found map[string][2]string
	python(t, c, &found, append([]string{"files"}, names...)...)
	for _, name := range names {
		if got := found[name]; got[0] != filepath.Join(snapshot.Dir, name) || got[1] != hubtest.SHA256(repo.Files[name]) {
			t.Errorf("%s is %v there", name, got)
		}
	}
	var scan struct {
		Warnings   []string
		Repos      map[string]map[string][2][]string
		Incomplete int
	}
	python(t, c, &scan, "scan")
	if rev := scan.Repos[testRepo][testCommit]; len(scan.Warnings) > 0 || scan.Incomplete > 0 || !slices.Equal(rev[0], []string{"main"}) || len(rev[1]) != len(names) {
		t.Errorf("%+v", scan)
	}
	var dir string
	python(t, c, &dir, "download") // offline
	c.Offline = false
	s.Forget()
	python(t, c, &dir, "download")
	for what := range downloaded(s) {
		for _, name := range names {
			if strings.Contains(what, hubtest.SHA256(repo.Files[name])) {
				t.Errorf("it downloads %s again", name)
			}
		}
	}
	// What an interruption leaves is found by its commands, which clean up.
	left := filepath.Join(c.Cache, "models--org--name", "blobs", strings.Repeat("a", 64)+".llmc"+partialSuffix)
	p, err := openPartial(left, 100, 10, "")
	if err != nil || p.close() != nil {
		t.Fatal(err)
	}
	python(t, c, &scan, "scan")
	if len(scan.Warnings) > 0 {
		t.Errorf("%+v", scan)
	}
}

// testOneCache downloads with both at once, from a slow Hub: what one has begun, the other waits for.
func testOneCache(t *testing.T, repo *hubtest.Repo) {
	s, c := start(t, repo)
	theirs, once := make(chan struct{}), sync.Once{}
	s.Before(func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		if !strings.HasPrefix(r.UserAgent(), "llmc/") {
			once.Do(func() { close(theirs) })
		}
		if cdn {
			time.Sleep(50 * time.Millisecond)
		}
		return false
	})
	done := make(chan error)
	go func() {
		<-theirs
		_, err := c.Fetch(t.Context(), Ref{testRepo, "main"}, hf.NeedModel)
		done <- err
	}()
	var found map[string][2]string
	python(t, c, &found, append([]string{"files"}, slices.Sorted(maps.Keys(repo.Files))...)...)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for name, got := range found {
		if got[1] != hubtest.SHA256(repo.Files[name]) {
			t.Errorf("%s is %v there", name, got)
		}
	}
	for what, n := range downloaded(s) {
		if n > 1 {
			t.Errorf("%s was downloaded %d times", what, n)
		}
	}
	if names := leftovers(t, c); len(names) > 0 {
		t.Errorf("%q is left", names)
	}
}
