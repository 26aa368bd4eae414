package oss

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// modelList is listing by its definition: every key in order, grouped, then cut.
func modelList(keys []string, prefix, delimiter, marker string, limit int) (entries []string, truncated bool) {
	for _, k := range keys {
		if !strings.HasPrefix(k, prefix) || k <= marker {
			continue
		}
		e := k
		if delimiter != "" {
			if i := strings.Index(k[len(prefix):], delimiter); i >= 0 {
				e = k[:len(prefix)+i+len(delimiter)]
				if e == marker || len(entries) > 0 && entries[len(entries)-1] == e {
					continue
				}
			}
		}
		if len(entries) == limit {
			return entries, true
		}
		entries = append(entries, e)
	}
	return entries, false
}

func TestListingMatchesItsDefinition(t *testing.T) {
	t.Parallel()
	db, err := openDB(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	text := rapid.StringOfN(rapid.SampledFrom([]rune("ab/!é")), 0, 4, -1)
	rapid.Check(t, func(rt *rapid.T) {
		keys := rapid.SliceOfDistinct(text.Filter(func(s string) bool { return s != "" }), rapid.ID).Draw(rt, "keys")
		slices.Sort(keys)
		prefix, delimiter, marker := text.Draw(rt, "prefix"), rapid.SampledFrom([]string{"", "/", "a", "//", "é"}).Draw(rt, "delimiter"), text.Draw(rt, "marker")
		limit := rapid.IntRange(1, 6).Draw(rt, "limit")
		err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.Bucket(objectsRoot).CreateBucket([]byte("b"))
			if err != nil {
				return err
			}
			defer func() { _ = tx.Bucket(objectsRoot).DeleteBucket([]byte("b")) }()
			for _, k := range keys {
				if err := putJSON(b, []byte(k), object{}); err != nil {
					return err
				}
			}
			for round := 0; ; round++ {
				want, more := modelList(keys, prefix, delimiter, marker, limit)
				p, err := listPage(b, prefix, delimiter, marker, limit, nil)
				if err != nil {
					return err
				}
				var got []string
				for _, o := range p.objects {
					got = append(got, o.Key)
				}
				for _, g := range p.prefixes {
					got = append(got, g.Prefix)
				}
				slices.Sort(got)
				if d := cmp.Diff(want, got); d != "" || more != p.truncated {
					return fmt.Errorf("page %d: truncated %v, want %v: %s", round, p.truncated, more, d)
				}
				if !more {
					return nil
				}
				marker = p.last
			}
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func TestCombineCRC64(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOf(rapid.Byte()).Draw(t, "a"), rapid.SliceOf(rapid.Byte()).Draw(t, "b")
		want := crcOf(append(slices.Clone(a), b...))
		if got := combineCRC64(crcOf(a), crcOf(b), int64(len(b))); got != want {
			t.Fatalf("combined %x, want %x", got, want)
		}
	})
}

func TestParseRange(t *testing.T) {
	t.Parallel()
	// The examples of the GetObject page: an object of 1000 bytes.
	for _, c := range []struct {
		header        string
		standard      bool
		start, length int64
		partial       bool
		code          string
	}{
		{header: "", length: 1000},
		{header: "bytes=0-499", length: 500, partial: true},
		{header: "bytes=500-", start: 500, length: 500, partial: true},
		{header: "bytes=-100", start: 900, length: 100, partial: true},
		{header: "bytes=0-999", length: 1000, partial: true},
		{header: "bytes=500-2000", length: 1000},
		{header: "bytes=1000-2000", length: 1000},
		{header: "bytes=-2000", length: 1000},
		{header: "bytes=-0", length: 1000},
		{header: "bytes=5-4", length: 1000},
		{header: "bytes=a-b", length: 1000},
		{header: "bytes=-", length: 1000},
		{header: "bytes=0-1,3-4", length: 1000},
		{header: "items=0-1", length: 1000},
		{header: "bytes=99999999999999999999-", length: 1000},
		{header: "bytes=500-2000", standard: true, start: 500, length: 500, partial: true},
		{header: "bytes=-2000", standard: true, length: 1000, partial: true},
		{header: "bytes=1000-2000", standard: true, code: "InvalidRange"},
		{header: "bytes=1000-", standard: true, code: "InvalidRange"},
	} {
		start, length, partial, e := parseRange(c.header, 1000, c.standard)
		code := ""
		if e != nil {
			code = e.Code
		}
		if start != c.start || length != c.length || partial != c.partial || code != c.code {
			t.Errorf("%q standard %v: %d+%d %v %q", c.header, c.standard, start, length, partial, code)
		}
	}
}
