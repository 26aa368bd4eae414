package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// values are what the placeholders of docs/policies stand for. ${exportBucket} is
// apart: a list repeats the strings that have it, once for each bucket.
type values struct {
	one     map[string]string
	buckets []string
	on      map[string]bool // variables that a policy can depend on
}

func (c Config) values() values {
	return values{
		one: map[string]string{
			"region": c.Region, "accountId": c.AccountID, "recordsBucket": c.RecordsBucket,
			"taskQueue": c.TaskQueue, "eventTopic": c.EventTopic,
			"exportRole": c.ExportRole, "downloadRole": c.DownloadRole,
		},
		buckets: c.ExportBuckets,
		on:      map[string]bool{"ALLOW_ROLE_SETUP": c.AllowRoleSetup},
	}
}

const bucketHolder = "${exportBucket}"

var placeholder = regexp.MustCompile(`\$\{[^}]*\}`)

// loadRoles reads every role of a folder. Those that others trust come first.
func loadRoles(folder string, v values) ([]role, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no roles in %s", folder)
	}
	if err != nil {
		return nil, err
	}
	var first, last []role
	var problems []error
	for _, file := range files {
		r, err := loadRole(file, v)
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("%s: %w", file, err))
		case r.trustsRole():
			last = append(last, r)
		default:
			first = append(first, r)
		}
	}
	return append(first, last...), errors.Join(problems...)
}

func loadRole(file string, v values) (role, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return role{}, err
	}
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		return role{}, err
	}
	// Filling in what was decoded, not the text, keeps a name with a quotation
	// mark a name.
	if document, err = v.fill(document); err != nil {
		return role{}, err
	}
	if text, err = json.Marshal(document); err != nil {
		return role{}, err
	}
	var r role
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return role{}, err
	}
	if err := r.check(v.on); err != nil {
		return role{}, err
	}
	r.Policies = slices.DeleteFunc(r.Policies, func(p policy) bool { return p.If != "" && !v.on[p.If] })
	return r, nil
}

// fill puts the values in the place of their placeholders, wherever a string is.
func (v values) fill(document any) (any, error) {
	switch d := document.(type) {
	case string:
		return v.text(d)
	case map[string]any:
		for key, value := range d {
			filled, err := v.fill(value)
			if err != nil {
				return nil, err
			}
			d[key] = filled
		}
		return d, nil
	case []any:
		list := make([]any, 0, len(d))
		for _, element := range d {
			expanded := []any{element}
			if text, ok := element.(string); ok && strings.Contains(text, bucketHolder) {
				expanded = nil
				for _, bucket := range v.buckets {
					expanded = append(expanded, strings.ReplaceAll(text, bucketHolder, bucket))
				}
			}
			for _, one := range expanded {
				filled, err := v.fill(one)
				if err != nil {
					return nil, err
				}
				list = append(list, filled)
			}
		}
		return list, nil
	}
	return document, nil
}

func (v values) text(s string) (string, error) {
	var problems []error
	s = placeholder.ReplaceAllStringFunc(s, func(holder string) string {
		value, ok := v.one[holder[2:len(holder)-1]]
		if !ok {
			problems = append(problems, fmt.Errorf("nothing to put in the place of %s here", holder))
		}
		return value
	})
	return s, errors.Join(problems...)
}
