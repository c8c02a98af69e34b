package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings are what the Hub's own client reads from the environment.
type Settings struct {
	Endpoint  *url.URL
	Token     string
	TokenFrom string // what to change to change the token
	Cache     string // directory of all repositories
	Offline   bool

	ListTimeout time.Duration // without an answer to a question
	DataTimeout time.Duration // without a byte of a file
}

const (
	defaultEndpoint = "https://huggingface.co"
	defaultTimeout  = 10 * time.Second
	maxTokenBytes   = 64 << 10
)

// Environment reads the settings.
func Environment() (*Settings, error) {
	home, err := directory("HF_HOME", func() (string, error) {
		cache, err := directory("XDG_CACHE_HOME", func() (string, error) {
			user, err := os.UserHomeDir()
			return filepath.Join(user, ".cache"), err
		})
		return filepath.Join(cache, "huggingface"), err
	})
	if err != nil {
		return nil, fmt.Errorf("directory of downloaded models: %w; set HF_HOME", err)
	}
	s := &Settings{Offline: isTrue("HF_HUB_OFFLINE") || os.Getenv("HF_HUB_OFFLINE") == "" && isTrue("TRANSFORMERS_OFFLINE")}
	s.Cache, err = directory("HF_HUB_CACHE", func() (string, error) {
		return directory("HUGGINGFACE_HUB_CACHE", func() (string, error) { return filepath.Join(home, "hub"), nil })
	})
	if err == nil {
		s.Cache, err = filepath.Abs(s.Cache)
	}
	if err != nil {
		return nil, err
	}
	if s.Endpoint, err = endpoint(os.Getenv("HF_ENDPOINT")); err != nil {
		return nil, err
	}
	if s.ListTimeout, err = seconds("HF_HUB_ETAG_TIMEOUT"); err != nil {
		return nil, err
	}
	if s.DataTimeout, err = seconds("HF_HUB_DOWNLOAD_TIMEOUT"); err != nil {
		return nil, err
	}
	return s, s.findToken(home)
}

// directory returns the directory that a variable names, ~ and other variables in it replaced.
func directory(variable string, otherwise func() (string, error)) (string, error) {
	text := os.Getenv(variable)
	if text == "" {
		return otherwise()
	}
	text = os.Expand(text, func(name string) string {
		if value, ok := os.LookupEnv(name); ok {
			return value
		}
		return "$" + name
	})
	if rest, ok := strings.CutPrefix(text, "~"); ok && (rest == "" || rest[0] == '/') {
		user, err := os.UserHomeDir()
		return filepath.Join(user, rest), err
	}
	return text, nil
}

func isTrue(variable string) bool {
	return slices.Contains([]string{"1", "ON", "YES", "TRUE"}, strings.ToUpper(os.Getenv(variable)))
}

func seconds(variable string) (time.Duration, error) {
	text := os.Getenv(variable)
	if text == "" {
		return defaultTimeout, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 86400 {
		return 0, fmt.Errorf("%s is %s: expected a number of seconds, 1 to 86400", variable, clip(text))
	}
	return time.Duration(n) * time.Second, nil
}

func endpoint(text string) (*url.URL, error) {
	if text == "" {
		text = defaultEndpoint
	}
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("HF_ENDPOINT is %s: expected the address of a Hub, such as %s", clip(text), defaultEndpoint)
	}
	return u, nil
}

// findToken takes the token of the environment, else the one that the Hub's client keeps after a login.
func (s *Settings) findToken(home string) error {
	if isTrue("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
		return nil
	}
	for _, variable := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if s.Token, s.TokenFrom = strings.TrimSpace(os.Getenv(variable)), variable; s.Token != "" {
			return s.checkToken()
		}
	}
	path, err := directory("HF_TOKEN_PATH", func() (string, error) { return filepath.Join(home, "token"), nil })
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("token of the Hub: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxTokenBytes {
		return fmt.Errorf("token of the Hub: %s is no small file", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("token of the Hub: %w", err)
	}
	s.Token, s.TokenFrom = strings.TrimSpace(string(text)), path
	return s.checkToken()
}

// checkToken refuses what can not go into a header. The token itself is never printed.
func (s *Settings) checkToken() error {
	if strings.ContainsFunc(s.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%s holds more than a token: expected letters, digits and signs, without spaces", s.TokenFrom)
	}
	return nil
}
