package identity

import "strings"

// Allows says whether the caller may do action ("oss:PutObject") on resource
// ("acs:oss:*:<uid>:<bucket>/<key>"; "*" for an action on nothing in
// particular). The account itself may do everything. For everyone else
// something must allow it and nothing may deny it; what is not mentioned is
// denied. Credentials that were taken with a policy of their own are further
// limited to what that policy allows.
func (id *Identity) Allows(action, resource string) bool {
	if id == nil {
		return false
	}
	if id.Root {
		return true
	}
	if id.Session != nil && !allowed([]Policy{*id.Session}, action, resource) {
		return false
	}
	return allowed(id.Policies, action, resource)
}

func allowed(policies []Policy, action, resource string) bool {
	ok := false
	for _, p := range policies {
		for _, s := range p.Statement {
			if !s.covers(action, resource) {
				continue
			}
			if s.Effect == Deny {
				return false
			}
			ok = ok || s.Effect == Allow
		}
	}
	return ok
}

func (s Statement) covers(action, resource string) bool {
	return matchesAny(s.Action, action, matchAction) && matchesAny(s.Resource, resource, matchResource)
}

func matchesAny(patterns []string, s string, match func(pattern, s string) bool) bool {
	for _, p := range patterns {
		if match(p, s) {
			return true
		}
	}
	return false
}

func matchAction(pattern, action string) bool {
	return wildcard(strings.ToLower(pattern), strings.ToLower(action))
}

// matchResource compares acs:<service>:<region>:<account>:<rest> part by part,
// so that a wildcard in one part does not reach into the next. A region that is
// empty or * on either side is any region: buckets, roles and policies have
// none. RAM's own names are compared without case, all others with. Only * itself
// covers an action on nothing in particular.
func matchResource(pattern, resource string) bool {
	if pattern == "*" {
		return true
	}
	p, r := strings.SplitN(pattern, ":", 5), strings.SplitN(resource, ":", 5)
	if len(p) != 5 || len(r) != 5 {
		return false
	}
	if strings.EqualFold(r[1], "ram") {
		p[4], r[4] = strings.ToLower(p[4]), strings.ToLower(r[4])
	}
	anyRegion := p[2] == "" || p[2] == "*" || r[2] == "" || r[2] == "*"
	return wildcard(p[0], r[0]) && wildcard(p[1], r[1]) &&
		(anyRegion || wildcard(p[2], r[2])) &&
		wildcard(p[3], r[3]) && wildcard(p[4], r[4])
}

// wildcard matches * to any run of characters, also none, and ? to one. It
// takes time in proportion to the product of both lengths at most.
func wildcard(pattern, s string) bool {
	p, r := []rune(pattern), []rune(s)
	i, j, star, mark := 0, 0, -1, 0
	for j < len(r) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == r[j]):
			i++
			j++
		case star >= 0:
			// Let the last star take one character more.
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
