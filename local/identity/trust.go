package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// TrustPolicy says who may take a role: RAM's AssumeRolePolicyDocument.
type TrustPolicy struct {
	Version   string           `json:"Version"`
	Statement []TrustStatement `json:"Statement"`
}

// TrustStatement is one rule of a trust policy.
type TrustStatement struct {
	Effect    string     `json:"Effect"`
	Action    StringList `json:"Action"`
	Principal Principal  `json:"Principal"`
}

// Principal names who is trusted: identities of an account
// (acs:ram::<uid>:root for all of them, acs:ram::<uid>:role/<name>,
// acs:ram::<uid>:user/<name>) and cloud services (ecs.aliyuncs.com).
type Principal struct {
	RAM     StringList `json:"RAM,omitempty"`
	Service StringList `json:"Service,omitempty"`
}

// ParseTrustPolicy reads a trust policy as strictly as ParsePolicy does. A
// Federated principal is refused: the stand-in has no identity providers.
func ParseTrustPolicy(data []byte) (TrustPolicy, error) {
	p := TrustPolicy{}
	err := parseDocument(data, &p.Version, func(data json.RawMessage) error {
		s := TrustStatement{}
		err := object(data, map[string]any{"Effect": &s.Effect, "Action": &s.Action, "Principal": &s.Principal})
		if err != nil {
			return err
		}
		if err := checkRule(s.Effect, s.Action); err != nil {
			return err
		}
		p.Statement = append(p.Statement, s)
		return nil
	})
	if err != nil {
		return TrustPolicy{}, fmt.Errorf("trust policy: %w", err)
	}
	return p, nil
}

// UnmarshalJSON refuses kinds of principal that it does not know.
func (p *Principal) UnmarshalJSON(data []byte) error {
	var kinds map[string]StringList
	if err := json.Unmarshal(data, &kinds); err != nil {
		return errors.New("not an object of lists")
	}
	*p = Principal{}
	for kind, names := range kinds {
		switch kind {
		case "RAM":
			for _, n := range names {
				if parts := strings.SplitN(n, ":", 5); len(parts) != 5 || parts[0] != "acs" || parts[1] != "ram" || parts[3] == "" || parts[4] == "" {
					return fmt.Errorf("RAM principal %q is not acs:ram::<uid>:<name>", n)
				}
			}
			p.RAM = names
		case "Service":
			p.Service = names
		default:
			return fmt.Errorf("kind of principal %q is not supported", kind)
		}
	}
	if len(p.RAM)+len(p.Service) == 0 {
		return errors.New("names nobody")
	}
	return nil
}

const assumeRole = "sts:AssumeRole"

// TrustsService says whether a cloud service such as "fc.aliyuncs.com" may take
// the role.
func (p TrustPolicy) TrustsService(service string) bool {
	return p.trusts(func(who Principal) bool {
		for _, s := range who.Service {
			if strings.EqualFold(s, service) {
				return true
			}
		}
		return false
	})
}

// TrustsCaller says whether id may take the role. The caller needs a policy
// that allows sts:AssumeRole besides.
func (p TrustPolicy) TrustsCaller(id *Identity) bool {
	return p.trusts(func(who Principal) bool {
		for _, name := range who.RAM {
			if isPrincipal(name, id) {
				return true
			}
		}
		return false
	})
}

func (p TrustPolicy) trusts(named func(Principal) bool) bool {
	ok := false
	for _, s := range p.Statement {
		if !matchesAny(s.Action, assumeRole, matchAction) || !named(s.Principal) {
			continue
		}
		if s.Effect == Deny {
			return false
		}
		ok = true
	}
	return ok
}

func isPrincipal(name string, id *Identity) bool {
	who := strings.SplitN(name, ":", 5)
	if len(who) != 5 || who[3] != id.AccountID {
		return false
	}
	if who[4] == "root" {
		return true
	}
	me := strings.SplitN(id.ARN, ":", 5)
	if len(me) != 5 {
		return false
	}
	// A role's session is acs:ram::<uid>:assumed-role/<role>/<session>.
	if session, ok := strings.CutPrefix(me[4], "assumed-role/"); ok {
		role, _, _ := strings.Cut(session, "/")
		return strings.EqualFold(who[4], "role/"+role)
	}
	return strings.EqualFold(who[4], me[4])
}
