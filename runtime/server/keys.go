package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Keys are the API keys that a server accepts, one a line in a file that is read again when it changes. Lines that begin with # and empty lines mean
// nothing. Behind a tab a line may say more of its key, as name=value separated by white space: see keyOptions.
type Keys struct {
	rules *reloaded[[]keyRule]

	mu   sync.Mutex
	used map[digest]*keyUse
}

type digest = [sha256.Size]byte

// keyRule is what a key may do.
type keyRule struct {
	sum       digest
	priority  int // requests run no sooner than this says; lower runs first
	share     int // of the service among keys that wait; 0: 1
	perMinute int // requests that may begin in a minute; 0: any number
	atOnce    int // requests that may run at a time; 0: any number
	// tokensPerMinute is how many tokens may be used in a minute, prompts and outputs; 0: any number
	tokensPerMinute int
	shared          bool // its prompts are found in the prefix cache by others, and those of others by it
}

// keyOptions are the names of what a line may say.
var keyOptions = map[string]func(k *keyRule, value string) error{
	"priority":            func(k *keyRule, value string) error { return whole(&k.priority, value, math.MinInt32) },
	"requests-per-minute": func(k *keyRule, value string) error { return whole(&k.perMinute, value, 1) },
	"tokens-per-minute":   func(k *keyRule, value string) error { return whole(&k.tokensPerMinute, value, 1) },
	"share":               func(k *keyRule, value string) error { return whole(&k.share, value, 1) },
	"max-concurrent":      func(k *keyRule, value string) error { return whole(&k.atOnce, value, 1) },
	"prefix-cache": func(k *keyRule, value string) error {
		if k.shared = value == "shared"; !k.shared && value != "own" {
			return errors.New("must be own or shared")
		}
		return nil
	},
}

func whole(to *int, value string, least int) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > math.MaxInt32 {
		return fmt.Errorf("must be an integer from %d", least)
	}
	*to = n
	return nil
}

// LoadKeys reads a file of keys. A file without any is an error: it would lock everybody out.
func LoadKeys(path string, log *slog.Logger) (*Keys, error) {
	failed := func(err error) { log.Error("api keys unchanged: the file can not be used", "err", err) }
	rules, err := readFiles(failed, parseKeys, path)
	if err != nil {
		return nil, err
	}
	return &Keys{rules: rules, used: map[digest]*keyUse{}}, nil
}

func parseKeys(contents [][]byte) ([]keyRule, error) {
	var rules []keyRule
	number := 0
	for line := range bytes.Lines(contents[0]) {
		number++
		key, options, _ := bytes.Cut(bytes.TrimSpace(line), []byte("\t"))
		if key = bytes.TrimSpace(key); len(key) == 0 || key[0] == '#' {
			continue
		}
		rule := keyRule{sum: sha256.Sum256(key)}
		for _, option := range strings.Fields(string(options)) {
			name, value, _ := strings.Cut(option, "=")
			set := keyOptions[name]
			if set == nil {
				return nil, fmt.Errorf("line %d: %.32q is not known; there are %s", number, name, strings.Join(slices.Sorted(maps.Keys(keyOptions)), ", "))
			}
			if err := set(&rule, value); err != nil {
				return nil, fmt.Errorf("line %d: %s %w", number, name, err)
			}
		}
		rules = append(rules, rule)
	}
	if len(rules) == 0 {
		return nil, errors.New("no api key in the file, give one a line")
	}
	return rules, nil
}

// of returns the rule of the key that an Authorization header carries, nil when it carries none. Digests of equal length are compared, all of them, so
// that the time taken says nothing about how much of a key was right.
func (k *Keys) of(authorization []byte) *keyRule {
	scheme, key, _ := strings.Cut(string(authorization), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(key)))
	rules, found := k.rules.get(), -1
	for i := range rules {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], rules[i].sum[:]), i, found)
	}
	if found < 0 || !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	return &rules[found]
}

// accept tells whether an Authorization header carries a key.
func (k *Keys) accept(authorization []byte) bool { return k.of(authorization) != nil }
