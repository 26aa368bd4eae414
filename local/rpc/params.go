package rpc

import (
	"net/url"
	"sort"
	"strconv"
	"strings"
)

// maxRepeated is the highest N of a repeated parameter that is looked at.
const maxRepeated = 1000

// Get returns a parameter, or "". A name in another case finds it too: clients
// in production send OssBucket where the API says OSSBucket.
func (r *Request) Get(name string) string { return lookUp(r.Params, name) }

func lookUp(params url.Values, name string) string {
	if v, ok := params[name]; ok && len(v) > 0 {
		return v[0]
	}
	// The smallest of several spellings, so that the answer does not depend on
	// the order of a map.
	found := ""
	for k := range params {
		if strings.EqualFold(k, name) && (found == "" || k < found) {
			found = k
		}
	}
	return params.Get(found)
}

// Require refuses the call as ECS does if one of the parameters is missing or
// empty.
func (r *Request) Require(names ...string) error {
	for _, name := range names {
		if r.Get(name) == "" {
			return MissingParameter(name)
		}
	}
	return nil
}

// Int returns a whole number from lowest to highest, or otherwise where it is
// not given.
func (r *Request) Int(name string, otherwise, lowest, highest int) (int, error) {
	s := r.Get(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < lowest || n > highest {
		return 0, InvalidParameter(name)
	}
	return n, nil
}

// Bool returns true or false as SDKs write it (also 1, 0, True), or false where
// it is not given.
func (r *Request) Bool(name string) (bool, error) {
	s := r.Get(name)
	if s == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, InvalidParameter(name)
	}
	return b, nil
}

// List returns the values of a repeated parameter, name.1, name.2, …, in the
// order of their numbers. Gaps are allowed, numbers above 1000 are ignored.
func (r *Request) List(name string) []string {
	type item struct {
		n     int
		value string
	}
	var items []item
	prefix := name + "."
	for k, v := range r.Params {
		if len(k) <= len(prefix) || !strings.EqualFold(k[:len(prefix)], prefix) || len(v) == 0 {
			continue
		}
		digits := k[len(prefix):]
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || n > maxRepeated || strconv.Itoa(n) != digits {
			continue
		}
		items = append(items, item{n, v[0]})
	}
	sort.Slice(items, func(i, j int) bool {
		if items[i].n != items[j].n {
			return items[i].n < items[j].n
		}
		return items[i].value < items[j].value
	})
	var values []string
	for _, it := range items {
		values = append(values, it.value)
	}
	return values
}
