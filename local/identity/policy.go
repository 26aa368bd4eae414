package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Policy is a RAM policy document.
type Policy struct {
	Version   string      `json:"Version"`
	Statement []Statement `json:"Statement"`
}

// Statement is one rule of a policy.
type Statement struct {
	Effect   string     `json:"Effect"`
	Action   StringList `json:"Action"`
	Resource StringList `json:"Resource"`
}

// The two effects that a statement can have.
const (
	Allow = "Allow"
	Deny  = "Deny"
)

// StringList is a JSON string or a list of strings. It is written as a list.
type StringList []string

// UnmarshalJSON takes a string or a list of strings.
func (l *StringList) UnmarshalJSON(data []byte) error {
	var one *string
	if json.Unmarshal(data, &one) == nil && one != nil {
		*l = StringList{*one}
		return nil
	}
	var many []*string
	if err := json.Unmarshal(data, &many); err != nil || many == nil {
		return errors.New("neither a string nor a list of strings")
	}
	list := make(StringList, len(many))
	for i, s := range many {
		if s == nil {
			return errors.New("neither a string nor a list of strings")
		}
		list[i] = *s
	}
	*l = list
	return nil
}

// ParsePolicy reads a policy document. It refuses every element that it does
// not understand (Condition, NotAction, NotResource, Principal) with an error
// that names it, because a rule that is silently left out grants too much.
// Names of elements and effects are compared with case, as RAM does.
func ParsePolicy(data []byte) (Policy, error) {
	p := Policy{}
	err := parseDocument(data, &p.Version, func(data json.RawMessage) error {
		s := Statement{}
		err := object(data, map[string]any{"Effect": &s.Effect, "Action": &s.Action, "Resource": &s.Resource})
		if err != nil {
			return err
		}
		if err := checkRule(s.Effect, s.Action); err != nil {
			return err
		}
		if err := checkResources(s.Resource); err != nil {
			return err
		}
		p.Statement = append(p.Statement, s)
		return nil
	})
	if err != nil {
		return Policy{}, fmt.Errorf("policy: %w", err)
	}
	return p, nil
}

func parseDocument(data []byte, version *string, statement func(json.RawMessage) error) error {
	var statements []json.RawMessage
	if err := object(data, map[string]any{"Version": version, "Statement": &statements}); err != nil {
		return err
	}
	if *version != "1" {
		return fmt.Errorf("element Version is %q, not \"1\"", *version)
	}
	if len(statements) == 0 {
		return errors.New("element Statement is empty")
	}
	for i, data := range statements {
		if err := statement(data); err != nil {
			return fmt.Errorf("statement %d: %w", i+1, err)
		}
	}
	return nil
}

func checkRule(effect string, actions StringList) error {
	if effect != Allow && effect != Deny {
		return fmt.Errorf("element Effect is %q, neither Allow nor Deny", effect)
	}
	if len(actions) == 0 {
		return errors.New("element Action is empty")
	}
	for _, a := range actions {
		service, name, found := strings.Cut(a, ":")
		if a != "*" && (!found || service == "" || name == "") {
			return fmt.Errorf("action %q is neither * nor <service>:<action>", a)
		}
	}
	return nil
}

func checkResources(resources StringList) error {
	if len(resources) == 0 {
		return errors.New("element Resource is empty")
	}
	for _, r := range resources {
		if r == "" {
			return errors.New("element Resource holds an empty string")
		}
	}
	return nil
}

// object reads a JSON object that must have exactly the given keys, each once.
func object(data []byte, fields map[string]any) error {
	d := json.NewDecoder(strings.NewReader(string(data)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		field, known := fields[key]
		if !known {
			return fmt.Errorf("element %q is not supported", key)
		}
		if seen[key] {
			return fmt.Errorf("element %q is there twice", key)
		}
		seen[key] = true
		if err := d.Decode(field); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("not a JSON object: %w", err)
	}
	if d.More() {
		return errors.New("something follows the JSON object")
	}
	if _, err := d.Token(); err == nil {
		return errors.New("something follows the JSON object")
	}
	for key := range fields {
		if !seen[key] {
			return fmt.Errorf("element %q is missing", key)
		}
	}
	return nil
}
