package lint

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	module        = "llmc"
	maxFileLines  = 400
	maxFuncLines  = 60
	generatedMark = "Code generated"
)

type source struct {
	path string // relative to the module root, slashes
	text []byte
	fset *token.FileSet
	file *ast.File
}

func (s *source) generated() bool {
	head, _, _ := bytes.Cut(s.text, []byte("\npackage "))
	return bytes.Contains(head, []byte(generatedMark))
}

func load(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var sources []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); p != root && (strings.HasPrefix(name, ".") && name != ".." || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, p, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		sources = append(sources, source{filepath.ToSlash(rel), text, fset, f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) < 20 {
		t.Fatalf("found only %d Go files", len(sources))
	}
	return sources
}

func covers(pattern, pkg string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == base || strings.HasPrefix(pkg, base+"/")
	}
	return pkg == pattern
}

func allowed(pkg, dep string) (rule string, ok bool) {
	for _, r := range importRules {
		if !covers(r.pkg, pkg) {
			continue
		}
		for _, a := range r.allow {
			if covers(a, dep) {
				return r.pkg, true
			}
		}
		return r.pkg, pkg == dep
	}
	return "", false
}

func TestImportTable(t *testing.T) {
	for _, s := range load(t) {
		pkg := path.Dir(s.path)
		test := strings.HasSuffix(s.path, "_test.go")
		for _, im := range s.file.Imports {
			dep, _ := strconv.Unquote(im.Path.Value)
			dep, ours := strings.CutPrefix(dep, module+"/")
			if !ours || test && (dep == "internal/golden" || dep == "internal/ptxas" || dep == pkg) {
				continue
			}
			if test && s.file.Name.Name == path.Base(pkg)+"_test" {
				continue // an external test may wire any two sides together
			}
			if rule, ok := allowed(pkg, dep); !ok {
				t.Errorf("%s: %s may not import %s (rule %q)", s.path, pkg, dep, rule)
			}
		}
	}
}

func TestImportRulesRejectCrossing(t *testing.T) {
	for _, c := range []struct{ pkg, dep string }{
		{"compiler", "runtime"}, {"runtime", "compiler"}, {"engine", "ir"}, {"engine", "runtime/kv"},
		{"runtime/server", "ir"}, {"ir", "engine"}, {"passes", "codegen/x86"}, {"internal/quant", "engine"},
		{"runtime/sched", "runtime/device/cpu"}, {"cmd/llmrun", "compiler"},
	} {
		if _, ok := allowed(c.pkg, c.dep); ok {
			t.Errorf("%s may import %s", c.pkg, c.dep)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, s := range load(t) {
		if s.generated() {
			continue
		}
		if n := bytes.Count(s.text, []byte("\n")); n > maxFileLines {
			t.Errorf("%s: %d lines, at most %d", s.path, n, maxFileLines)
		}
		for _, d := range s.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			first, last := s.fset.Position(fn.Pos()).Line, s.fset.Position(fn.End()).Line
			if n := last - first + 1; n > maxFuncLines {
				t.Errorf("%s:%d: func %s has %d lines, at most %d", s.path, first, fn.Name.Name, n, maxFuncLines)
			}
		}
	}
}

func TestPackageNamesAndDocs(t *testing.T) {
	banned := map[string]bool{"util": true, "utils": true, "common": true, "manager": true, "impl": true, "helpers": true, "misc": true}
	documented := map[string]bool{}
	packages := map[string]bool{}
	for _, s := range load(t) {
		pkg := path.Dir(s.path)
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		packages[pkg] = true
		if banned[s.file.Name.Name] {
			t.Errorf("%s: package name %q says nothing", s.path, s.file.Name.Name)
		}
		documented[pkg] = documented[pkg] || s.file.Doc != nil
		for _, d := range s.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" && !s.generated() {
				t.Errorf("%s: init(): register in an explicit table instead", s.path)
			}
		}
	}
	for pkg := range packages {
		if !documented[pkg] {
			t.Errorf("package %s has no doc comment", pkg)
		}
	}
}
