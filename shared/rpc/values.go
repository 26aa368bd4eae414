package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bool is a boolean that a service writes as true or as "true". Anything that
// is neither counts as false.
type Bool bool

// UnmarshalJSON takes any JSON value.
func (b *Bool) UnmarshalJSON(data []byte) error {
	v, _ := strconv.ParseBool(strings.ToLower(unquote(data)))
	*b = Bool(v)
	return nil
}

// Int is a whole number that a service writes as 60 or as "60", and as "" where
// there is none.
type Int int64

// UnmarshalJSON takes a number, a number in a string, "" and null.
func (n *Int) UnmarshalJSON(data []byte) error {
	s := unquote(data)
	if s == "" {
		*n = 0
		return nil
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || f != float64(int64(f)) {
			return fmt.Errorf("%s is not a whole number", data)
		}
		v = int64(f)
	}
	*n = Int(v)
	return nil
}

// Text is a string that a service may write as a number or a boolean.
type Text string

// UnmarshalJSON takes any JSON value; what is not a string is kept as JSON.
func (t *Text) UnmarshalJSON(data []byte) error {
	*t = Text(unquote(data))
	return nil
}

// Time is a time in UTC with seconds or without, as in "2020-11-24T12:50Z". It
// is zero where there is none.
type Time struct{ time.Time }

// UnmarshalJSON takes both forms, "" and null.
func (t *Time) UnmarshalJSON(data []byte) error {
	s := unquote(data)
	if s == "" {
		t.Time = time.Time{}
		return nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if v, err := time.Parse(layout, s); err == nil {
			t.Time = v.UTC()
			return nil
		}
	}
	return fmt.Errorf("%s is not a time", data)
}

// unquote returns the content of a JSON string, other JSON as it is, and "" for
// null.
func unquote(data []byte) string {
	data = bytes.TrimSpace(data)
	if string(data) == "null" {
		return ""
	}
	var s string
	if json.Unmarshal(data, &s) == nil {
		return strings.TrimSpace(s)
	}
	return string(data)
}
