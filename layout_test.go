// Package layout checks the shape of the repository: who may import whom, and
// that what is fuzzed has a corpus.
package layout

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const module = "ecs-image-export/"

// imports go one way: functions → shared → events, and local → events. Tests may
// start local, and so may packages for tests, whose names end in "test".
var allowed = map[string][]string{
	"functions": {"shared", "events"},
	"setup":     {"shared"},
	"shared":    {"shared", "events"},
	"local":     {"local", "events", "shared/diskimage"},
	"events":    {},
}

func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; packages++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		path := strings.TrimPrefix(p.ImportPath, module)
		room, _, _ := strings.Cut(path, "/")
		if path == strings.TrimSuffix(module, "/") {
			continue // this package
		}
		rooms, known := allowed[room]
		if !known {
			t.Errorf("%s: no room of the design", path)
		}
		for _, imported := range p.Imports {
			if to, ours := strings.CutPrefix(imported, module); ours && !within(to, rooms) && !strings.HasSuffix(path, "test") {
				t.Errorf("%s imports %s; %s may import %v", path, to, room, rooms)
			}
			if strings.Contains(imported, "aliyun") && strings.HasPrefix(path, "shared/export") {
				t.Errorf("%s imports %s: the domain knows no SDK", path, imported)
			}
		}
	}
	if packages < 20 {
		t.Errorf("go list shows %d packages: is this run at the top?", packages)
	}
}

func within(path string, rooms []string) bool {
	for _, r := range rooms {
		if path == r || strings.HasPrefix(path, r+"/") {
			return true
		}
	}
	return false
}

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// Every fuzz target has a corpus in the repository, and every corpus a target.
func TestCorpora(t *testing.T) {
	t.Parallel()
	targets, corpora := map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch dir := filepath.Dir(path); {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".":
			return filepath.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			source, err := os.ReadFile(path)
			for _, found := range fuzzTarget.FindAllSubmatch(source, -1) {
				targets[filepath.Join(dir, "testdata", "fuzz", string(found[1]))] = true
			}
			return err
		case strings.HasSuffix(filepath.Dir(dir), filepath.Join("testdata", "fuzz")):
			corpora[dir] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir := range targets {
		if !corpora[dir] {
			t.Errorf("%s is missing: the target has no corpus", dir)
		}
	}
	for dir := range corpora {
		if !targets[dir] {
			t.Errorf("%s: there is no such target", dir)
		}
	}
	if len(targets) < 30 {
		t.Errorf("%d fuzz targets: is this run at the top?", len(targets))
	}
}
