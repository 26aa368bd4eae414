package export

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// lastMilli is the last millisecond that an id has room for, in the year 2109.
const lastMilli = timeMask

func TestNewID(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_999_999, time.FixedZone("", 8*3600))
	a, b := NewID(at), NewID(at)
	if a == b {
		t.Errorf("two ids of one moment are both %s", a)
	}
	for _, id := range []string{a, b} {
		made, err := ParseID(id)
		if err != nil {
			t.Fatal(err)
		}
		if want := at.UTC().Truncate(time.Millisecond); made != want {
			t.Errorf("id %s was made at %v, want %v", id, made, want)
		}
		if !ossPrefix.MatchString(id) {
			t.Errorf("id %s can't be part of an OSSPrefix", id)
		}
	}
}

func TestParseID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]time.Time{
		"9j86nkgt6mq1h": time.UnixMilli(1767323045678).UTC(),
		"fzzzzzzzzzzzz": time.UnixMilli(0).UTC(),
		"0000000000000": time.UnixMilli(lastMilli).UTC(),
	} {
		if got, err := ParseID(id); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", id, got, err, want)
		}
	}
	for name, id := range map[string]string{
		"blank":                   "",
		"too short":               "9j86nkgt6mq1",
		"too long":                "9j86nkgt6mq1h0",
		"upper case":              "9J86NKGT6MQ1H",
		"i":                       "9j86nkgt6mqih",
		"l":                       "9j86nkgt6mqlh",
		"o":                       "9j86nkgt6mqoh",
		"u":                       "9j86nkgt6mquh",
		"more than 64 bits":       "g000000000000",
		"a hyphen":                "9j86n-gt6mq1h",
		"not ASCII, 13 bytes":     "9j86nkgt6mqé",
		"not ASCII, 13 runes":     "9j86nkgt6mq1é",
		"a null byte":             "9j86nkgt6mq1\x00",
		"a line break at the end": "9j86nkgt6mq1\n",
	} {
		if at, err := ParseID(id); err == nil {
			t.Errorf("%s: %q was made at %v", name, id, at)
		}
	}
}

func milli(t *rapid.T, label string) int64 { return rapid.Int64Range(0, lastMilli).Draw(t, label) }

func TestIDProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		earlier, later := milli(t, "earlier"), milli(t, "later")
		if earlier > later {
			earlier, later = later, earlier
		}
		a := newID(time.UnixMilli(earlier), rapid.Uint32().Draw(t, "random of the earlier"))
		b := newID(time.UnixMilli(later), rapid.Uint32().Draw(t, "random of the later"))
		if earlier < later && a <= b {
			t.Errorf("%s of %d sorts before %s of %d", a, earlier, b, later)
		}
		for id, want := range map[string]int64{a: earlier, b: later} {
			if len(id) != IDLength || strings.Trim(id, crockford) != "" {
				t.Errorf("id %q is not %d digits", id, IDLength)
			}
			at, err := ParseID(id)
			if err != nil {
				t.Fatal(err)
			}
			if at.UnixMilli() != want || at.Location() != time.UTC {
				t.Errorf("id %s: %v, want %d ms, UTC", id, at, want)
			}
		}
	})
}

// TestIDRandomness wants the digits behind the time to hold all random bits, so
// that ids of one millisecond differ as those bits do.
func TestIDRandomness(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(milli(t, "at"))
		r, s := rapid.Uint32Range(0, 1<<randomBits-1).Draw(t, "r"), rapid.Uint32Range(0, 1<<randomBits-1).Draw(t, "s")
		if a, b := newID(at, r), newID(at, s); (a == b) != (r == s) || (a < b) != (r < s) {
			t.Errorf("%s of %d and %s of %d", a, r, b, s)
		}
	})
}

func FuzzParseID(f *testing.F) {
	for _, id := range []string{"", "9j86nkgt6mq1h", "fzzzzzzzzzzzz", "0000000000000", "g000000000000", "9J86NKGT6MQ1H", "9j86nkgt6mqé"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		at, err := ParseID(id)
		if err != nil {
			if !at.IsZero() {
				t.Errorf("%q is refused and was made at %v", id, at)
			}
			return
		}
		// Every id that is taken is one that NewID could have given at its time.
		if first, last := newID(at, 0), newID(at, 1<<randomBits-1); id < first || id > last {
			t.Errorf("%q of %v lies outside %s to %s", id, at, first, last)
		}
	})
}
