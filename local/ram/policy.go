package ram

import (
	"context"
	"fmt"
	"sort"

	"go.etcd.io/bbolt"

	"ecs-image-export/local/rpc"
)

// The two types of policy.
const (
	custom = "Custom"
	system = "System"
)

// policy is a custom policy as it is kept, or a system policy put in the same
// shape.
type policy struct {
	Name, Type, Description string
	Created, Updated        string
	Default                 string // a version's id
	Made                    int    // versions ever made; ids are not used again
	Versions                []version
}

type version struct{ ID, Document, Created string }

func (p policy) version(id string) (version, bool) {
	for _, v := range p.Versions {
		if v.ID == id {
			return v, true
		}
	}
	return version{}, false
}

type policyView struct {
	PolicyName, PolicyType, Description string
	DefaultVersion                      string
	CreateDate                          string
	UpdateDate                          string `json:",omitempty"`
	AttachmentCount                     *int   `json:",omitempty"`
}

func (p policy) view(attached *int) policyView {
	return policyView{p.Name, p.Type, p.Description, p.Default, p.Created, p.Updated, attached}
}

type versionView struct {
	VersionID        string `json:"VersionId"`
	IsDefaultVersion bool
	PolicyDocument   string
	CreateDate       string
}

func (p policy) viewVersion(v version) versionView {
	return versionView{v.ID, v.ID == p.Default, v.Document, v.Created}
}

func (s *Service) createPolicy(_ context.Context, r *rpc.Request) (any, error) {
	if err := checkUnbuilt(r); err != nil {
		return nil, err
	}
	date := s.date()
	made := policy{
		Name: r.Get("PolicyName"), Type: custom, Description: r.Get("Description"), Created: date, Updated: date,
		Default: "v1", Made: 1, Versions: []version{{"v1", r.Get("PolicyDocument"), date}},
	}
	if err := checkPolicyName(made.Name); err != nil {
		return nil, err
	}
	if err := checkText("Description", made.Description, maxDescription); err != nil {
		return nil, err
	}
	if err := checkPolicy(made.Versions[0].Document); err != nil {
		return nil, err
	}
	err := s.write(func(tx *bbolt.Tx) error {
		b := tx.Bucket(policiesBucket)
		if b.Get([]byte(made.Name)) != nil {
			return errPolicyExists
		}
		if b.Stats().KeyN >= maxPolicies {
			return errTooManyPolicies
		}
		return save(tx, policiesBucket, made.Name, made)
	})
	if err != nil {
		return nil, err
	}
	v := made.view(nil)
	v.UpdateDate = ""
	return struct{ Policy policyView }{v}, nil
}

func (s *Service) getPolicy(_ context.Context, r *rpc.Request) (any, error) {
	var answer struct {
		Policy               policyView
		DefaultPolicyVersion versionView
	}
	err := s.read(func(tx *bbolt.Tx) error {
		found, err := findPolicy(tx, r.Get("PolicyType"), r.Get("PolicyName"))
		if err != nil {
			return err
		}
		counts, err := attachments(tx)
		if err != nil {
			return err
		}
		n := counts[found.Type+"/"+found.Name]
		v, _ := found.version(found.Default)
		answer.Policy, answer.DefaultPolicyVersion = found.view(&n), found.viewVersion(v)
		return nil
	})
	return answer, err
}

func (s *Service) listPolicies(_ context.Context, r *rpc.Request) (any, error) {
	page, err := newPage(r)
	if err != nil {
		return nil, err
	}
	kind := r.Get("PolicyType")
	if kind != "" && kind != custom && kind != system {
		return nil, errPolicyType
	}
	var answer struct {
		listed
		Policies struct{ Policy []policyView }
	}
	answer.Policies.Policy = []policyView{}
	err = s.read(func(tx *bbolt.Tx) error {
		all, keys, err := policiesAfter(tx, kind, page.after)
		if err != nil {
			return err
		}
		counts, err := attachments(tx)
		if err != nil {
			return err
		}
		return page.pick(keys, func(key string) error {
			n := counts[key]
			answer.Policies.Policy = append(answer.Policies.Policy, all[key].view(&n))
			return nil
		})
	})
	answer.listed = page.listed
	return answer, err
}

// policiesAfter returns the policies of a type, or of both, by type and name,
// and the sorted keys of those that come after one.
func policiesAfter(tx *bbolt.Tx, kind, after string) (map[string]policy, []string, error) {
	all := map[string]policy{}
	if kind != custom {
		for name := range systemPolicies {
			all[system+"/"+name] = asPolicy(name)
		}
	}
	if kind != system {
		err := tx.Bucket(policiesBucket).ForEach(func(k, _ []byte) error {
			p, _, err := load[policy](tx, policiesBucket, string(k))
			all[custom+"/"+p.Name] = p
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	var keys []string
	for k := range all {
		if k > after {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	return all, keys, nil
}

func (s *Service) deletePolicy(_ context.Context, r *rpc.Request) (any, error) {
	if err := checkUnbuilt(r); err != nil {
		return nil, err
	}
	return nil, s.write(func(tx *bbolt.Tx) error {
		found, err := findPolicy(tx, custom, r.Get("PolicyName"))
		if err != nil {
			return err
		}
		counts, err := attachments(tx)
		switch {
		case err != nil:
			return err
		case counts[custom+"/"+found.Name] > 0:
			return errPolicyInUse
		case len(found.Versions) > 1:
			return errPolicyVersions
		}
		return tx.Bucket(policiesBucket).Delete([]byte(found.Name))
	})
}

func findPolicy(tx *bbolt.Tx, kind, name string) (policy, error) {
	if kind != custom && kind != system {
		return policy{}, errPolicyType
	}
	if err := checkPolicyName(name); err != nil {
		return policy{}, err
	}
	if kind == system {
		if _, ok := systemPolicies[name]; !ok {
			return policy{}, errNoPolicy
		}
		return asPolicy(name), nil
	}
	found, ok, err := load[policy](tx, policiesBucket, name)
	if err == nil && !ok {
		err = errNoPolicy
	}
	return found, err
}

func asPolicy(name string) policy {
	p := systemPolicies[name]
	return policy{
		Name: name, Type: system, Description: p.description, Created: p.created, Updated: p.created,
		Default: "v1", Made: 1, Versions: []version{{"v1", p.document, p.created}},
	}
}

// policyResource names a policy in a permission. System policies belong to no
// account.
func (s *Service) policyResource(r *rpc.Request) string {
	if r.Get("PolicyType") == system {
		return fmt.Sprintf("acs:ram:*:system:policy/%s", r.Get("PolicyName"))
	}
	return s.resource("policy/" + r.Get("PolicyName"))
}
