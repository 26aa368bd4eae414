package ram

import (
	"fmt"
	"slices"
	"strings"
)

// Policy is a policy of a role.
type Policy struct {
	Name     string // for people
	Document string
	Unread   string // why the document is not known, in a clause; blank where it is
}

// Need is an action that a role should be allowed on a resource, which names a
// region and an account and may end with a * for all that begin so:
// {"oss:PutObject", "acs:oss:cn-hangzhou:1234567890123456:images/Demo*"}.
type Need struct{ Action, Resource string }

// Judgement is what policies say about needs. It errs on the side of Unclear: what
// is in no list is allowed, whatever else the policies hold.
type Judgement struct {
	Lacks   []string // actions that no policy allows
	Denied  []string // actions that a policy denies, which wins over any other that allows
	Unclear []string // why the rest can't be told, a clause each
}

// Judge says what of the needs policies grant together. It knows Allow and Deny,
// lists and wildcards; of conditions and other elements it knows that they are
// there.
func Judge(policies []Policy, needs []Need) Judgement {
	var j Judgement
	var rules []rule
	for _, p := range policies {
		if p.Unread != "" {
			j.Unclear = append(j.Unclear, fmt.Sprintf("policy %s can't be read: %s", p.Name, p.Unread))
			continue
		}
		statements, err := parse(p.Document)
		if err != nil {
			j.Unclear = append(j.Unclear, fmt.Sprintf("policy %s %v", p.Name, err))
		}
		for i, s := range statements {
			rules = append(rules, rule{statement: s, name: fmt.Sprintf("statement %d of policy %s", i+1, p.Name)})
		}
	}
	unread := len(j.Unclear) > 0
	for _, n := range needs {
		switch allowed, denied := far(rules, n, false), far(rules, n, true); {
		case denied == all:
			j.Denied = append(j.Denied, n.Action)
		case denied == some:
			doubt(rules, n, true)
		case allowed == some:
			doubt(rules, n, false)
		case allowed == none && !unread:
			j.Lacks = append(j.Lacks, n.Action)
		}
	}
	for _, r := range rules {
		if len(r.doubts) > 0 {
			j.Unclear = append(j.Unclear, r.unclear())
		}
	}
	return j
}

// rule is a statement, with the actions that it leaves in doubt.
type rule struct {
	statement
	name   string
	doubts []string
}

// far says how much of a need is allowed, or denied.
func far(rules []rule, n Need, deny bool) reach {
	f := none
	for _, r := range rules {
		if r.deny == deny {
			f = max(f, r.about(n.Action, n.Resource))
		}
	}
	return f
}

// doubt blames the rules that say something about a need, but not enough.
func doubt(rules []rule, n Need, deny bool) {
	for i := range rules {
		if r := &rules[i]; r.deny == deny && r.about(n.Action, n.Resource) == some {
			r.doubts = append(r.doubts, n.Action)
		}
	}
}

func (r rule) unclear() string {
	verb, why := "allows", "on some resources of those that matter"
	if r.deny {
		verb = "denies"
	}
	if r.partial() {
		why = r.how()
	}
	return fmt.Sprintf("%s %s %s %s", r.name, verb, strings.Join(r.doubts, ", "), why)
}

// Trusts says whether a trust policy lets a service such as ecs.aliyuncs.com take
// the role. Where that is unclear it says true, and why it is unclear.
func Trusts(document, service string) (trusts bool, unclear []string) {
	statements, err := parse(document)
	if err != nil {
		return true, []string{"the trust policy " + err.Error()}
	}
	for i, s := range statements {
		f := s.takes(service)
		if f == some {
			unclear = append(unclear, fmt.Sprintf("statement %d of the trust policy names %s %s", i+1, service, s.how()))
		}
		if s.deny && f == all {
			return false, nil
		}
		trusts = trusts || !s.deny && f != none
	}
	if !trusts {
		unclear = nil
	}
	return trusts, unclear
}

// takes says whether a statement of a trust policy is about a service.
func (s statement) takes(service string) reach {
	named := slices.Contains(s.unjudged, "NotPrincipal") || slices.ContainsFunc(s.services, func(name string) bool { return strings.EqualFold(name, service) })
	if !named {
		return none
	}
	s.resources = []string{"*"}
	return s.about("sts:AssumeRole", "*")
}
