// Package cubin makes GPU code of PTX with NVIDIA's assembler, ptxas, which has to be installed: it may not be redistributed. It owns finding
// the program, telling what it reads, and running it so that the result depends on nothing but its release and the text.
package cubin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Variable is the environment's name for the path of ptxas, or a list of paths of several releases.
const Variable = "LLMC_PTXAS"

// Assembler is a ptxas binary.
type Assembler struct {
	Path    string
	Release string // of CUDA: "12.2"
	Build   string // "12.2.140"
	Version int    // the newest PTX version that it reads for sure, as 10*major + minor
}

// Find lists the assemblers to try: the one at path if that is not empty, else those that the environment names, else that of a CUDA
// installation or of the search path.
func Find(path string) ([]Assembler, error) {
	paths := []string{path}
	if path == "" {
		paths = filepath.SplitList(os.Getenv(Variable))
	}
	if len(paths) == 0 {
		found := installed()
		if found == "" {
			return nil, fmt.Errorf("no ptxas: it is not on the search path, and neither CUDA_HOME nor %s says where it is; "+
				"install NVIDIA's CUDA toolkit or give --ptxas PATH", Variable)
		}
		paths = []string{found}
	}
	var all []Assembler
	for _, p := range paths {
		a, err := Identify(p)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// installed is the path of the ptxas that a CUDA installation has, "" if there is none.
func installed() string {
	for _, name := range []string{"CUDA_HOME", "CUDA_PATH"} {
		if home := os.Getenv(name); home != "" {
			if path, err := exec.LookPath(filepath.Join(home, "bin", "ptxas")); err == nil {
				return path
			}
		}
	}
	for _, name := range []string{"ptxas", "/usr/local/cuda/bin/ptxas"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

var release = regexp.MustCompile(`release ((\d+)\.(\d+)), V([0-9.]+)`)

// Identify asks a binary for its release.
func Identify(path string) (Assembler, error) {
	text, err := exec.Command(path, "--version").Output()
	if err != nil {
		return Assembler{}, fmt.Errorf("%s is not a ptxas that runs: %w", path, err)
	}
	m := release.FindStringSubmatch(string(text))
	if m == nil {
		return Assembler{}, fmt.Errorf("%s is not a ptxas: no release in what --version prints", path)
	}
	major, _ := strconv.Atoi(m[2])
	minor, _ := strconv.Atoi(m[3])
	return Assembler{path, m[1], m[4], newestPTX(major, minor)}, nil
}

// newestPTX is the newest version of PTX that a release of CUDA reads: 12.x reads 8.x up to 12.5, 13.x reads 9.x; releases from 12.6 on are
// bounded from below.
func newestPTX(major, minor int) int {
	version := (major-4)*10 + minor
	if major == 12 && minor >= 6 {
		version--
	}
	if major == 11 {
		version = 70 + minor
	}
	return version
}

var header = regexp.MustCompile(`(?m)^[ \t]*\.version[ \t]+(\d{1,2})\.(\d)\s+\.target[ \t]+(sm_\d+[af]?)\b`)

// head reads version and target off PTX text.
func head(text string) (version int, arch string, err error) {
	m := header.FindStringSubmatch(text[:min(len(text), 4096)])
	if m == nil {
		return 0, "", errors.New("the text does not begin with .version and .target")
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return 10*major + minor, m[3], nil
}

// Choose returns the first assembler that reads the text.
func Choose(all []Assembler, text string) (Assembler, error) {
	version, arch, err := head(text)
	if err != nil {
		return Assembler{}, err
	}
	var have []string
	for _, a := range all {
		if a.Version >= version {
			return a, nil
		}
		have = append(have, fmt.Sprintf("%s of CUDA %s reads PTX up to %d.%d", a.Path, a.Release, a.Version/10, a.Version%10))
	}
	return Assembler{}, fmt.Errorf("%s, the code for %s is PTX %d.%d: take a newer ptxas", strings.Join(have, "; "), arch, version/10, version%10)
}

// Assemble returns the code of a module for the target that it names. Files have fixed names in a directory of their own, since some releases
// keep the command line in what they write.
func (a Assembler) Assemble(ctx context.Context, text string) (image []byte, arch string, err error) {
	if _, arch, err = head(text); err != nil {
		return nil, "", err
	}
	path, err := filepath.Abs(a.Path)
	if err != nil {
		return nil, "", err
	}
	dir, err := os.MkdirTemp("", "llmc-cubin-*")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(dir)
	const source, result = "module.ptx", "module.cubin"
	if err := os.WriteFile(filepath.Join(dir, source), []byte(text), 0o600); err != nil {
		return nil, "", err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, path, "-arch="+arch, "-o", result, source)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	if err := cmd.Run(); err != nil {
		return nil, "", fmt.Errorf("ptxas %s for %s: %w: %.300s", a.Release, arch, err, firstLine(out.String()))
	}
	image, err = os.ReadFile(filepath.Join(dir, result))
	return image, arch, err
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
