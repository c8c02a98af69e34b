package hub

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// environment sets the variables of a test and clears all others that are read.
func environment(t *testing.T, set map[string]string) {
	t.Helper()
	for _, name := range []string{"HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH",
		"HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_DISABLE_IMPLICIT_TOKEN"} {
		t.Setenv(name, set[name])
	}
	if home, ok := set["HOME"]; ok {
		t.Setenv("HOME", home)
	}
}

func TestEnvironment(t *testing.T) {
	home := t.TempDir()
	token := func(path string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(" hf_file\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	token(filepath.Join(home, ".cache", "huggingface", "token"))
	token(filepath.Join(home, "elsewhere"))
	for _, c := range []struct {
		set                    map[string]string
		cache, token, endpoint string
		offline                bool
	}{
		{nil, home + "/.cache/huggingface/hub", "hf_file", "https://huggingface.co", false},
		{map[string]string{"XDG_CACHE_HOME": "/xdg"}, "/xdg/huggingface/hub", "", "https://huggingface.co", false},
		{map[string]string{"XDG_CACHE_HOME": "/xdg", "HF_HOME": "~/h"}, home + "/h/hub", "", "https://huggingface.co", false},
		{map[string]string{"HF_HOME": "/h", "HUGGINGFACE_HUB_CACHE": "/old"}, "/old", "", "https://huggingface.co", false},
		{map[string]string{"HF_HOME": "/h", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "$HOME/c"}, home + "/c", "", "https://huggingface.co", false},
		{map[string]string{"HF_HOME": "/h", "HF_TOKEN_PATH": "~/elsewhere"}, "/h/hub", "hf_file", "https://huggingface.co", false},
		{map[string]string{"HF_HOME": "/h", "HF_TOKEN": "hf_a\n", "HUGGING_FACE_HUB_TOKEN": "hf_b"}, "/h/hub", "hf_a", "https://huggingface.co", false},
		{map[string]string{"HF_HOME": "/h", "HUGGING_FACE_HUB_TOKEN": "hf_b", "HF_HUB_OFFLINE": "yes"}, "/h/hub", "hf_b", "https://huggingface.co", true},
		{map[string]string{"HF_HOME": "/h", "HF_TOKEN": "hf_a", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"}, "/h/hub", "",
			"https://huggingface.co", false},
		{map[string]string{"HF_HOME": "/h", "TRANSFORMERS_OFFLINE": "1", "HF_ENDPOINT": "http://mirror:8080/hub/"}, "/h/hub", "", "http://mirror:8080/hub", true},
	} {
		with := map[string]string{"HOME": home}
		for name, value := range c.set {
			with[name] = value
		}
		environment(t, with)
		s, err := Environment()
		if err != nil {
			t.Errorf("%v: %v", c.set, err)
			continue
		}
		if s.Cache != c.cache || s.Token != c.token || s.Endpoint.String() != c.endpoint || s.Offline != c.offline || s.ListTimeout != 10*time.Second {
			t.Errorf("%v: %+v", c.set, s)
		}
	}
	for want, set := range map[string]map[string]string{
		"HF_ENDPOINT is ftp://x":                  {"HF_ENDPOINT": "ftp://x"},
		"HF_ENDPOINT is huggingface.co":           {"HF_ENDPOINT": "huggingface.co"},
		"HF_ENDPOINT is https://user:pw@x":        {"HF_ENDPOINT": "https://user:pw@x"},
		"HF_HUB_ETAG_TIMEOUT is soon":             {"HF_HUB_ETAG_TIMEOUT": "soon"},
		"HF_HUB_DOWNLOAD_TIMEOUT is 0":            {"HF_HUB_DOWNLOAD_TIMEOUT": "0"},
		"HF_TOKEN holds more than a token":        {"HF_TOKEN": "hf_secret hf_more"},
		"token of the Hub: " + home + " is no sm": {"HF_TOKEN_PATH": home},
	} {
		environment(t, set)
		if _, err := Environment(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hf_secret") {
			t.Errorf("%v: %v lacks %q", set, err, want)
		}
	}
}

func TestParseRef(t *testing.T) {
	for text, want := range map[string]Ref{
		"org/name": {"org/name", "main"}, "o/n@v1.0": {"o/n", "v1.0"}, "a.b/c_d-e@refs/pr/7": {"a.b/c_d-e", "refs/pr/7"}, "o/n@a+b#c": {"o/n", "a+b#c"},
	} {
		if got, err := ParseRef(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "name", "/name", "org/", "a/b/c", "../x", "org/..", "o--p/n", "o/n--m", "org/name.git", "o/n@", "o/n@../../x", "o/n@/x", "o/n@-x", "o/n@a//b",
		"o/n@a\nb", "o/n@a\\b", "-o/n", "o/n-", "o/" + strings.Repeat("n", 97), "ö/n"} {
		if got, err := ParseRef(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// Whatever a name is, once it passes it stays below the directory, and messages are one line.
func FuzzNames(f *testing.F) {
	for _, name := range []string{"a", "a/b.json", "../x", "/etc", "a//b", "a\\..\\b", "C:x", "a\x00", "a/./b", "\u2028", strings.Repeat("x", 300)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if strings.ContainsAny(clip(name), "\n\r\x1b\x00") {
			t.Errorf("%q is no text for a message", clip(name))
		}
		if checkName(name) != nil {
			return
		}
		rel, err := filepath.Rel("/base", filepath.Join("/base", filepath.FromSlash(name)))
		if err != nil || rel != name || !filepath.IsLocal(rel) {
			t.Errorf("%q leads to %q, %v", name, rel, err)
		}
	})
}
