package ram

import (
	"context"

	"go.etcd.io/bbolt"

	"ecs-image-export/local/rpc"
)

// attachment is a policy that a role has.
type attachment struct{ Type, Name, Date string }

func (s *Service) attach(_ context.Context, r *rpc.Request) (any, error) {
	if err := s.ram.Permit(r, s.policyResource(r)); err != nil {
		return nil, err
	}
	return nil, s.write(func(tx *bbolt.Tx) error {
		p, err := findPolicy(tx, r.Get("PolicyType"), r.Get("PolicyName"))
		if err != nil {
			return err
		}
		found, err := findRole(tx, r.Get("RoleName"))
		if err != nil {
			return err
		}
		count := 0
		for _, a := range found.Attached {
			if a.Type == p.Type && a.Name == p.Name {
				return errAttached
			}
			if a.Type == p.Type {
				count++
			}
		}
		if p.Type == system && count >= maxAttachedSystem || p.Type == custom && count >= maxAttachedCustom {
			return errTooManyAttached
		}
		found.Attached = append(found.Attached, attachment{p.Type, p.Name, s.date()})
		return save(tx, rolesBucket, roleKey(found.Name), found)
	})
}

func (s *Service) detach(_ context.Context, r *rpc.Request) (any, error) {
	if err := s.ram.Permit(r, s.policyResource(r)); err != nil {
		return nil, err
	}
	return nil, s.write(func(tx *bbolt.Tx) error {
		p, err := findPolicy(tx, r.Get("PolicyType"), r.Get("PolicyName"))
		if err != nil {
			return err
		}
		found, err := findRole(tx, r.Get("RoleName"))
		if err != nil {
			return err
		}
		for i, a := range found.Attached {
			if a.Type == p.Type && a.Name == p.Name {
				found.Attached = append(found.Attached[:i], found.Attached[i+1:]...)
				return save(tx, rolesBucket, roleKey(found.Name), found)
			}
		}
		return errNotAttached
	})
}

func (s *Service) listForRole(_ context.Context, r *rpc.Request) (any, error) {
	type item struct {
		PolicyName, PolicyType, Description, DefaultVersion, AttachDate string
	}
	var answer struct{ Policies struct{ Policy []item } }
	answer.Policies.Policy = []item{}
	err := s.read(func(tx *bbolt.Tx) error {
		found, err := findRole(tx, r.Get("RoleName"))
		if err != nil {
			return err
		}
		for _, a := range found.Attached {
			p, err := findPolicy(tx, a.Type, a.Name)
			if err != nil {
				return err
			}
			answer.Policies.Policy = append(answer.Policies.Policy, item{p.Name, p.Type, p.Description, p.Default, a.Date})
		}
		return nil
	})
	return answer, err
}

func (s *Service) listEntities(_ context.Context, r *rpc.Request) (any, error) {
	type item struct {
		RoleID                                 string `json:"RoleId"`
		RoleName, Arn, Description, AttachDate string
	}
	var answer struct {
		Groups struct{ Group []struct{} }
		Users  struct{ User []struct{} }
		Roles  struct{ Role []item }
	}
	answer.Groups.Group, answer.Users.User, answer.Roles.Role = []struct{}{}, []struct{}{}, []item{}
	err := s.read(func(tx *bbolt.Tx) error {
		p, err := findPolicy(tx, r.Get("PolicyType"), r.Get("PolicyName"))
		if err != nil {
			return err
		}
		return eachAttachment(tx, func(owner role, a attachment) {
			if a.Type == p.Type && a.Name == p.Name {
				answer.Roles.Role = append(answer.Roles.Role, item{owner.ID, owner.Name, s.arn("role/" + owner.Name), owner.Description, a.Date})
			}
		})
	})
	return answer, err
}

// attachments counts the roles that have each policy, by type and name.
func attachments(tx *bbolt.Tx) (map[string]int, error) {
	counts := map[string]int{}
	err := eachAttachment(tx, func(_ role, a attachment) { counts[a.Type+"/"+a.Name]++ })
	return counts, err
}

func eachAttachment(tx *bbolt.Tx, f func(role, attachment)) error {
	return tx.Bucket(rolesBucket).ForEach(func(k, _ []byte) error {
		found, _, err := load[role](tx, rolesBucket, string(k))
		for _, a := range found.Attached {
			f(found, a)
		}
		return err
	})
}
