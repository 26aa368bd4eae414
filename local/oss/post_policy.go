package oss

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// sizeLimits are the least and the most bytes that a file may have.
type sizeLimits struct{ least, most int64 }

// postPolicy is the policy of a form, decoded.
type postPolicy struct {
	Expiration string            `json:"expiration"`
	Conditions []json.RawMessage `json:"conditions"`
}

// checkPolicy checks a form against its policy (base64 of JSON) and returns the
// size that the file must have.
func (s *Service) checkPolicy(r *request, fields form, encoded string) (sizeLimits, *Error) {
	limits := sizeLimits{most: maxPut}
	invalid := func(why string) (sizeLimits, *Error) {
		return limits, &Error{Status: 400, Code: "InvalidPolicyDocument", Message: "Invalid Policy: " + why}
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return invalid("not base64.")
	}
	var p postPolicy
	if err := json.Unmarshal(raw, &p); err != nil {
		return invalid("Invalid JSON.")
	}
	end, err := time.Parse(time.RFC3339, p.Expiration)
	if err != nil {
		return invalid("Invalid JSON or missing expiration.")
	}
	if s.now().After(end) {
		return limits, denied("Invalid according to Policy: Policy expired.")
	}
	value := func(name string) string {
		switch name = strings.ToLower(strings.TrimPrefix(name, "$")); name {
		case "bucket":
			return r.bucket
		case "key":
			return r.key
		default:
			return fields[name]
		}
	}
	for _, c := range p.Conditions {
		ok, e := checkCondition(c, value, &limits)
		if e != nil {
			return limits, e
		}
		if !ok {
			return limits, denied("Invalid according to Policy: Policy Condition failed: %s", c)
		}
	}
	return limits, nil
}

// checkCondition evaluates one condition of a policy: an object of exact
// matches, or a list that begins with an operator.
func checkCondition(c json.RawMessage, value func(string) string, limits *sizeLimits) (bool, *Error) {
	invalid := &Error{Status: 400, Code: "InvalidPolicyDocument", Message: "Invalid Policy: Invalid condition: " + string(c)}
	var exact map[string]string
	if json.Unmarshal(c, &exact) == nil {
		for name, want := range exact {
			if value(name) != want {
				return false, nil
			}
		}
		return true, nil
	}
	var list []json.RawMessage
	var operator string
	if json.Unmarshal(c, &list) != nil || len(list) != 3 || json.Unmarshal(list[0], &operator) != nil {
		return false, invalid
	}
	operator = strings.ToLower(operator)
	if operator == "content-length-range" {
		if json.Unmarshal(list[1], &limits.least) != nil || json.Unmarshal(list[2], &limits.most) != nil {
			return false, invalid
		}
		return true, nil
	}
	var name, want string
	var wants []string
	if json.Unmarshal(list[1], &name) != nil || json.Unmarshal(list[2], &want) != nil && json.Unmarshal(list[2], &wants) != nil {
		return false, invalid
	}
	switch got := value(name); operator {
	case "eq":
		return got == want, nil
	case "starts-with":
		return strings.HasPrefix(got, want), nil
	case "in":
		return slices.Contains(wants, got), nil
	case "not-in":
		return !slices.Contains(wants, got), nil
	}
	return false, invalid
}
