package sign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"llmc/internal/cli"
)

// PolicyVariable names a policy where no flag does, for all commands of a cluster.
const PolicyVariable = "LLMC_REQUIRE_SIGNATURE"

// Bounds of policies.
const (
	maxPolicyBytes = 1 << 20
	maxRules       = 1000
	maxKeys        = 100 // of a rule
)

// everything is the prefix of all references.
const everything = "*"

// FileScheme begins what policies call a plan in a file, before its absolute path.
const FileScheme = "file:"

// Policy says whose signatures plans need, by what they are called. What no rule names is refused.
type Policy struct {
	path  string
	rules []rule // the longest prefixes first
}

type rule struct {
	prefix   string
	keys     []*PublicKey
	needed   int
	unsigned bool
}

// policyFile is a policy as it is written.
type policyFile struct {
	Rules []struct {
		Prefix   string   `json:"prefix"`
		Keys     []string `json:"keys"`
		Needed   int      `json:"needed"`
		Unsigned bool     `json:"unsigned"`
	} `json:"rules"`
}

// LoadPolicy reads a policy in JSON:
//
//	{"rules": [{"prefix": "registry.example/models/", "keys": ["release.pub", "next.pub"]},
//	           {"prefix": "registry.example/scratch/", "unsigned": true}]}
//
// A rule is for references that begin with its prefix, which ends where a part of the name does; "*" is for all. The longest one decides. Keys are files, relative to the policy's
// directory, env://NAME, or PEM itself; signatures of so many of them are needed (1 if it says nothing).
func LoadPolicy(path string) (*Policy, error) {
	data, err := cli.ReadFile(path, maxPolicyBytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	p, err := parsePolicy(data, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrPolicy, path, err)
	}
	p.path = path
	return p, nil
}

func parsePolicy(data []byte, dir string) (*Policy, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var file policyFile
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("%w; expected {\"rules\": [{\"prefix\": \"registry.example/models/\", \"keys\": [\"release.pub\"]}]}", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON object")
	}
	if n := len(file.Rules); n == 0 || n > maxRules {
		return nil, fmt.Errorf("it has %s; from 1 to %d are allowed", counted(n, "rule"), maxRules)
	}
	p := &Policy{}
	for i, written := range file.Rules {
		r := rule{prefix: canonical(written.Prefix), needed: max(1, written.Needed), unsigned: written.Unsigned}
		fail := func(format string, args ...any) error {
			return fmt.Errorf("rules[%d]: %w", i, fmt.Errorf(format, args...))
		}
		switch {
		case r.prefix == "":
			return nil, fail("prefix is empty; %q is for all references", everything)
		case slices.ContainsFunc(p.rules, func(other rule) bool { return other.prefix == r.prefix }):
			return nil, fail("prefix %q has a rule already", r.prefix)
		case r.unsigned && (len(written.Keys) > 0 || written.Needed != 0):
			return nil, fail("unsigned is true, and keys are given")
		case !r.unsigned && (len(written.Keys) == 0 || len(written.Keys) > maxKeys):
			return nil, fail("it has %s; from 1 to %d are allowed, or \"unsigned\": true", counted(len(written.Keys), "key"), maxKeys)
		}
		for j, from := range written.Keys {
			k, err := policyKey(from, dir)
			if err != nil {
				return nil, fail("keys[%d]: %w", j, err)
			}
			if slices.ContainsFunc(r.keys, k.Same) {
				return nil, fail("keys[%d]: %s is there already", j, k.Name)
			}
			r.keys = append(r.keys, k)
		}
		if !r.unsigned && (written.Needed < 0 || r.needed > len(r.keys)) {
			return nil, fail("needed is %d, and it has %s", written.Needed, counted(len(r.keys), "key"))
		}
		p.rules = append(p.rules, r)
	}
	slices.SortStableFunc(p.rules, func(a, b rule) int { return b.length() - a.length() })
	return p, nil
}

// length orders rules; that of all references is the last.
func (r *rule) length() int {
	if r.prefix == everything {
		return 0
	}
	return len(r.prefix)
}

func policyKey(from, dir string) (*PublicKey, error) {
	switch {
	case strings.HasPrefix(from, "-----BEGIN"):
		return ParsePublicKey("a key in the policy", []byte(from))
	case strings.HasPrefix(from, envScheme), filepath.IsAbs(from):
		return ReadPublicKey(from)
	}
	k, err := ReadPublicKey(filepath.Join(dir, from))
	if err == nil {
		k.Name = from
	}
	return k, err
}

// PolicyOf reads the policy that a flag or, where it is "", the environment names; nil: none does.
func PolicyOf(flag string) (*Policy, error) {
	if flag == "" {
		flag = os.Getenv(PolicyVariable)
	}
	if flag == "" {
		return nil, nil
	}
	return LoadPolicy(flag)
}

// fits tells whether a rule is for a reference: its prefix ends with it, or where one of its parts does. A port is a part of a registry's name.
func (r *rule) fits(reference string) bool {
	if r.prefix == everything {
		return true
	}
	rest, ok := strings.CutPrefix(canonical(reference), r.prefix)
	if !ok || rest == "" {
		return ok
	}
	ends := "/:@"
	if !strings.Contains(r.prefix, "/") {
		ends = "/"
	}
	last := r.prefix[len(r.prefix)-1]
	return last == '/' || last == ':' || strings.IndexByte(ends, rest[0]) >= 0
}

// canonical writes a registry's name as DNS compares it, without a scheme.
func canonical(reference string) string {
	reference = strings.TrimPrefix(reference, "oci://")
	host, rest, more := strings.Cut(reference, "/")
	if strings.HasSuffix(host, ":") { // FileScheme, or that of layouts, before a path
		return reference
	}
	if host = strings.ToLower(host); more {
		host += "/"
	}
	return host + rest
}

// Demand is what a policy asks of one plan.
type Demand struct {
	policy *Policy
	rule   *rule
}

// For finds what is asked of a plan by its reference, without a scheme, or FileScheme with an absolute path.
func (p *Policy) For(reference string) (*Demand, error) {
	for i := range p.rules {
		if p.rules[i].fits(reference) {
			return &Demand{p, &p.rules[i]}, nil
		}
	}
	return nil, fmt.Errorf("%w: no rule of %s is for %s: add one with the keys that may sign it", ErrPolicy, p.path, reference)
}

// Unsigned tells whether nothing is asked.
func (d *Demand) Unsigned() bool { return d.rule.unsigned }

// Met counts the keys that have signed; by tells it of one. have is how many signatures there are; sign says how to sign.
func (d *Demand) Met(have int, by func(*PublicKey) bool, sign string) error {
	if d.rule.unsigned {
		return nil
	}
	var good, names []string
	for _, k := range d.rule.keys {
		names = append(names, k.Name)
		if have > 0 && by(k) {
			good = append(good, k.Name)
		}
	}
	switch {
	case len(good) >= d.rule.needed:
		return nil
	case have == 0:
		return fmt.Errorf("%w: %s asks for a signature by %s, and there is none: %s", ErrUnsigned, d.policy.path, strings.Join(names, " or "), sign)
	case len(good) > 0:
		return fmt.Errorf("%w: %s asks for %d signatures, and there are those of %s alone", ErrUntrusted, d.policy.path, d.rule.needed, strings.Join(good, ", "))
	}
	return fmt.Errorf("%w: there is %s, and none of this plan by %s, which %s asks for", ErrUntrusted, counted(have, "signature"), strings.Join(names, " or "), d.policy.path)
}

// One is the demand that one key has signed.
func One(k *PublicKey) *Demand {
	return &Demand{&Policy{path: "--key"}, &rule{keys: []*PublicKey{k}, needed: 1}}
}
