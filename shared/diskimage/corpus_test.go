package diskimage_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ecs-image-export/shared/diskimage"
)

// FuzzFile begins with a sound file of every format, in each way to read it.
func TestCorpusHasEveryFormat(t *testing.T) {
	t.Parallel()
	opened, streamed := map[diskimage.Format]bool{}, map[diskimage.Format]bool{}
	names, err := filepath.Glob("testdata/fuzz/FuzzFile/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file := corpusFile(t, name)
		if img, err := diskimage.Open(bytes.NewReader(file), int64(len(file)), diskimage.Limits{}); err == nil && diskimage.Check(img) == nil {
			opened[img.Format()] = true
		}
		if s, err := diskimage.NewStream(bytes.NewReader(file), diskimage.Limits{}); err == nil && drained(s) == nil {
			streamed[s.Format()] = true
		}
	}
	for _, k := range kinds {
		if !opened[k.format] && k.format != diskimage.TarGz {
			t.Errorf("no %s that can be opened", k.format)
		}
		if k.stream && !streamed[k.format] {
			t.Errorf("no %s that is a stream", k.format)
		}
	}
}

// corpusFile is the file in one of the corpus, which holds it as a Go literal.
func corpusFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	literal, ok := strings.CutPrefix(string(b), "go test fuzz v1\n[]byte(")
	content, err := strconv.Unquote(strings.TrimSuffix(strings.TrimSpace(literal), ")"))
	if err != nil || !ok {
		t.Fatal(errors.Join(err, errors.New(name+" is no corpus file")))
	}
	return []byte(content)
}
