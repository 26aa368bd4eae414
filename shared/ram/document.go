package ram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ecs-image-export/shared/rpc"
)

// Document returns the document in force of a policy of type Custom or System, or
// ErrNotFound.
func (c *Client) Document(ctx context.Context, policyType, name string) (string, error) {
	var answer struct {
		Policy               struct{ DefaultVersion string }
		DefaultPolicyVersion struct{ PolicyDocument string }
	}
	params := map[string]string{"PolicyType": policyType, "PolicyName": name}
	if err := c.ram.Call(ctx, "GetPolicy", params, &answer, rpc.Read); err != nil {
		return "", explain(err)
	}
	if document := answer.DefaultPolicyVersion.PolicyDocument; document != "" {
		return document, nil
	}
	// GetPolicy did not always answer with the document.
	var version struct {
		PolicyVersion struct{ PolicyDocument string }
	}
	params["VersionId"] = answer.Policy.DefaultVersion
	err := c.ram.Call(ctx, "GetPolicyVersion", params, &version, rpc.Read)
	return version.PolicyVersion.PolicyDocument, explain(err)
}

// statement is a statement of a policy, or of a trust policy.
type statement struct {
	deny      bool
	actions   []string
	resources []string // of a policy
	services  []string // that a trust policy names
	// unjudged are the elements that are not judged here, such as Condition. With any,
	// the statement may hold or not.
	unjudged []string
}

// parse reads a document. RAM has checked it, so what is not as RAM documents it
// is nothing to guess about. Names of elements are compared with case, as RAM
// does, and json does not where it fills a struct.
func parse(document string) ([]statement, error) {
	var top map[string]json.RawMessage
	if json.Unmarshal([]byte(document), &top) != nil {
		return nil, errors.New("is no JSON object")
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal(top["Statement"], &list) != nil {
		return nil, errors.New("has no list of statements")
	}
	statements := make([]statement, len(list))
	for i, elements := range list {
		if err := statements[i].read(elements); err != nil {
			return nil, fmt.Errorf("has in statement %d %w", i+1, err)
		}
	}
	return statements, nil
}

func (s *statement) read(elements map[string]json.RawMessage) error {
	var effect string
	if json.Unmarshal(elements["Effect"], &effect) != nil || !slices.Contains([]string{"Allow", "Deny"}, effect) {
		return errors.New("an Effect that is neither Allow nor Deny")
	}
	s.deny = effect == "Deny"
	var principal map[string]json.RawMessage
	for name, raw := range elements {
		ok := true
		switch name {
		case "Effect":
		case "Action":
			s.actions, ok = texts(raw)
		case "Resource":
			s.resources, ok = texts(raw)
		case "Principal":
			ok = json.Unmarshal(raw, &principal) == nil
			if service, named := principal["Service"]; ok && named {
				s.services, ok = texts(service)
			}
		default:
			s.unjudged = append(s.unjudged, name)
		}
		if !ok {
			return fmt.Errorf("an element %s that can't be read", name)
		}
	}
	slices.Sort(s.unjudged)
	return nil
}

// partial says that the statement has elements that are not judged here.
func (s statement) partial() bool { return len(s.unjudged) > 0 }

// how names the elements that are not judged here, behind what the statement does.
func (s statement) how() string {
	if slices.Equal(s.unjudged, []string{"Condition"}) {
		return "under a condition"
	}
	return fmt.Sprintf("by its %s, which is not judged here", strings.Join(s.unjudged, " and "))
}

// texts reads a string or a list of strings.
func texts(raw json.RawMessage) ([]string, bool) {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, true
	}
	var many []string
	err := json.Unmarshal(raw, &many)
	return many, err == nil
}

// reach is how much of something a statement is about.
type reach int

const (
	none reach = iota
	some       // some of it, or all of it under a condition
	all
)

// about says how much of an action on a resource the statement is about.
func (s statement) about(action, resource string) reach {
	by := func(patterns []string, reaches func(pattern string) reach) reach {
		if patterns == nil && s.partial() { // NotAction, NotResource
			return some
		}
		far := none
		for _, p := range patterns {
			far = max(far, reaches(p))
		}
		return far
	}
	far := min(
		by(s.actions, func(p string) reach { return reaches(strings.ToLower(p), strings.ToLower(action)) }),
		by(s.resources, func(p string) reach { return reachesResource(p, resource) }),
	)
	if s.partial() {
		far = min(far, some)
	}
	return far
}

// reachesResource compares acs:<service>:<region>:<account>:<rest> part by part. How
// far RAM lets a * reach where a pattern has fewer parts is not documented.
func reachesResource(pattern, resource string) reach {
	p, r := strings.SplitN(pattern, ":", 5), strings.SplitN(resource, ":", 5)
	switch {
	case pattern == "*":
		return all
	case len(p) != len(r):
		return min(some, reaches(pattern, resource))
	}
	far := all
	for i := range p {
		part := reaches(p[i], r[i])
		if i == 2 {
			// OSS writes a region as cn-hangzhou and as oss-cn-hangzhou, and none
			// is all.
			part = max(part, reaches(p[i], "oss-"+r[i]))
			if p[i] == "" {
				part = all
			}
		}
		far = min(far, part)
	}
	return far
}

// reaches says how many of the texts that b stands for a pattern reaches. In both, *
// stands for any characters or none; ? for one, in the pattern.
func reaches(pattern, b string) reach {
	// Row i of the table is about pattern[i:], and its column j about b[j:].
	var below []reach
	for i := len(pattern); i >= 0; i-- {
		row := make([]reach, len(b)+1)
		for j := len(b); j >= 0; j-- {
			inPattern, inB := i < len(pattern), j < len(b)
			switch {
			case !inPattern && !inB:
				row[j] = all
			case inPattern && pattern[i] == '*':
				if row[j] = below[j]; inB {
					row[j] = max(row[j], row[j+1])
				}
			case inB && b[j] == '*':
				// The pattern asks for something where b leaves it open.
				if row[j] = row[j+1]; inPattern {
					row[j] = max(row[j], below[j])
				}
				row[j] = min(row[j], some)
			case inPattern && inB && (pattern[i] == '?' || pattern[i] == b[j]):
				row[j] = below[j+1]
			}
		}
		below = row
	}
	return below[0]
}
