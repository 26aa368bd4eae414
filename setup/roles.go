package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"ecs-image-export/shared/ram"
)

func (r *report) roles(ctx context.Context, wanted []role, client *ram.Client) {
	for _, want := range wanted {
		outcome, err := ensureRole(ctx, client, want)
		r.line("role", want.Role, outcome, err)
		for _, p := range want.Policies {
			if p.Type == ram.Custom {
				outcome, err := ensurePolicy(ctx, client, want, p)
				r.line("policy", p.Name, outcome, err)
			}
		}
		if err != nil {
			continue
		}
		attached, err := client.Attached(ctx, want.Role)
		for _, p := range want.Policies {
			outcome := unchanged
			if err == nil && !slices.Contains(attached, p.Type+"/"+p.Name) {
				outcome, err = made, client.EnsureAttached(ctx, want.Role, p.Type, p.Name)
			}
			r.line("grant", want.Role+" "+p.Name, outcome, err)
		}
	}
}

func ensureRole(ctx context.Context, client *ram.Client, want role) (outcome string, err error) {
	outcome = unchanged
	before, err := client.Role(ctx, want.Role)
	switch {
	case errors.Is(err, ram.ErrNotFound):
		outcome = made
	case err != nil:
		return "", err
	case !same(before.Trust, string(want.Trust)):
		outcome = changed
	}
	_, err = client.EnsureRole(ctx, ram.Role{Name: want.Role, Description: want.Description, Trust: string(want.Trust)})
	return outcome, err
}

func ensurePolicy(ctx context.Context, client *ram.Client, want role, p policy) (outcome string, err error) {
	outcome = unchanged
	before, err := client.Document(ctx, ram.Custom, p.Name)
	switch {
	case errors.Is(err, ram.ErrNotFound):
		outcome = made
	case err != nil:
		return "", err
	case !same(before, string(p.Document)):
		outcome = changed
	}
	err = client.EnsurePolicy(ctx, p.Name, want.Description, string(p.Document))
	return outcome, err
}

// same compares JSON documents without regard to spaces and the order of keys.
func same(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// role is a file of docs/policies with its placeholders filled in.
type role struct {
	Role        string          `json:"role"`
	Description string          `json:"description"`
	Trust       json.RawMessage `json:"trust"`
	Policies    []policy        `json:"policies"`
}

type policy struct {
	Type     string          `json:"type"` // Custom or System
	Name     string          `json:"name"`
	If       string          `json:"if,omitempty"`       // a variable without which the role does not get it
	Document json.RawMessage `json:"document,omitempty"` // of a custom one
}

// check wants a role that can be made. On are the variables that a policy can
// depend on.
func (r role) check(on map[string]bool) error {
	var problems []error
	if r.Role == "" || len(r.Trust) == 0 || len(r.Policies) == 0 {
		problems = append(problems, errors.New("want a role, its trust policy and at least one policy"))
	}
	for _, p := range r.Policies {
		if _, known := on[p.If]; p.If != "" && !known {
			problems = append(problems, fmt.Errorf("policy %s: no variable %s is known", p.Name, p.If))
		}
		switch {
		case p.Name == "":
			problems = append(problems, errors.New("a policy has no name"))
		case p.Type != ram.Custom && p.Type != ram.System:
			problems = append(problems, fmt.Errorf("policy %s: type %q is neither Custom nor System", p.Name, p.Type))
		case (p.Type == ram.Custom) != (len(p.Document) > 0):
			problems = append(problems, fmt.Errorf("policy %s: a custom policy has a document, a system policy has none", p.Name))
		}
	}
	return errors.Join(problems...)
}

// trustsRole tells whether the trust policy names another role, which must be there
// before.
func (r role) trustsRole() bool { return bytes.Contains(r.Trust, []byte(":role/")) }
