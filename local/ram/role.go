package ram

import (
	"context"
	"crypto/rand"
	"math/big"

	"go.etcd.io/bbolt"

	"ecs-image-export/local/rpc"
)

// role is a role as it is kept.
type role struct {
	Name, ID, Description, Trust string
	MaxSessionDuration           int // seconds
	Created, Updated             string
	Attached                     []attachment
}

// roleView is a role as the API shows it. Lists leave the trust policy out.
type roleView struct {
	RoleID                   string `json:"RoleId"`
	RoleName                 string
	Arn                      string
	Description              string
	AssumeRolePolicyDocument string `json:",omitempty"`
	MaxSessionDuration       int
	CreateDate               string
	UpdateDate               string
}

type roleAnswer struct{ Role roleView }

func (s *Service) view(r role) roleView {
	return roleView{
		RoleID:                   r.ID,
		RoleName:                 r.Name,
		Arn:                      s.arn("role/" + r.Name),
		Description:              r.Description,
		AssumeRolePolicyDocument: r.Trust,
		MaxSessionDuration:       r.MaxSessionDuration,
		CreateDate:               r.Created,
		UpdateDate:               r.Updated,
	}
}

func (s *Service) createRole(_ context.Context, r *rpc.Request) (any, error) {
	if err := checkUnbuilt(r); err != nil {
		return nil, err
	}
	longest, err := duration(r, "MaxSessionDuration", minSessionDuration)
	if err != nil {
		return nil, err
	}
	date := s.date()
	made := role{
		Name: r.Get("RoleName"), ID: newID(), Description: r.Get("Description"),
		Trust: r.Get("AssumeRolePolicyDocument"), MaxSessionDuration: longest, Created: date, Updated: date,
	}
	if err := checkRoleName(made.Name); err != nil {
		return nil, err
	}
	if err := checkText("Description", made.Description, maxDescription); err != nil {
		return nil, err
	}
	if err := checkTrust("AssumeRolePolicyDocument", made.Trust); err != nil {
		return nil, err
	}
	err = s.write(func(tx *bbolt.Tx) error {
		b := tx.Bucket(rolesBucket)
		if b.Get([]byte(roleKey(made.Name))) != nil {
			return errRoleExists
		}
		if b.Stats().KeyN >= maxRoles {
			return errTooManyRoles
		}
		return save(tx, rolesBucket, roleKey(made.Name), made)
	})
	if err != nil {
		return nil, err
	}
	return roleAnswer{s.view(made)}, nil
}

func (s *Service) getRole(_ context.Context, r *rpc.Request) (any, error) {
	var found role
	err := s.read(func(tx *bbolt.Tx) (err error) {
		found, err = findRole(tx, r.Get("RoleName"))
		return err
	})
	if err != nil {
		return nil, err
	}
	return roleAnswer{s.view(found)}, nil
}

func (s *Service) updateRole(_ context.Context, r *rpc.Request) (any, error) {
	var changed role
	err := s.write(func(tx *bbolt.Tx) error {
		found, err := findRole(tx, r.Get("RoleName"))
		if err != nil {
			return err
		}
		if trust := r.Get("NewAssumeRolePolicyDocument"); trust != "" {
			if err := checkTrust("NewAssumeRolePolicyDocument", trust); err != nil {
				return err
			}
			found.Trust = trust
		}
		if text := r.Get("NewDescription"); text != "" {
			if err := checkText("NewDescription", text, maxDescription); err != nil {
				return err
			}
			found.Description = text
		}
		if found.MaxSessionDuration, err = duration(r, "NewMaxSessionDuration", found.MaxSessionDuration); err != nil {
			return err
		}
		found.Updated = s.date()
		changed = found
		return save(tx, rolesBucket, roleKey(found.Name), found)
	})
	if err != nil {
		return nil, err
	}
	return roleAnswer{s.view(changed)}, nil
}

func (s *Service) listRoles(_ context.Context, r *rpc.Request) (any, error) {
	page, err := newPage(r)
	if err != nil {
		return nil, err
	}
	var answer struct {
		listed
		Roles struct{ Role []roleView }
	}
	answer.Roles.Role = []roleView{}
	err = s.read(func(tx *bbolt.Tx) error {
		return page.each(tx, rolesBucket, func(key string) error {
			found, _, err := load[role](tx, rolesBucket, key)
			if err != nil {
				return err
			}
			v := s.view(found)
			v.AssumeRolePolicyDocument = ""
			answer.Roles.Role = append(answer.Roles.Role, v)
			return nil
		})
	})
	answer.listed = page.listed
	return answer, err
}

func (s *Service) deleteRole(_ context.Context, r *rpc.Request) (any, error) {
	if err := checkUnbuilt(r); err != nil {
		return nil, err
	}
	return nil, s.write(func(tx *bbolt.Tx) error {
		found, err := findRole(tx, r.Get("RoleName"))
		if err != nil {
			return err
		}
		if len(found.Attached) > 0 {
			return errRoleInUse
		}
		return tx.Bucket(rolesBucket).Delete([]byte(roleKey(found.Name)))
	})
}

func findRole(tx *bbolt.Tx, name string) (role, error) {
	if err := checkRoleName(name); err != nil {
		return role{}, err
	}
	found, ok, err := load[role](tx, rolesBucket, roleKey(name))
	if err == nil && !ok {
		err = errNoRole
	}
	return found, err
}

// newID returns 18 digits that begin with a 3, as the ids of roles do.
func newID() string {
	lowest := new(big.Int).SetUint64(300000000000000000)
	n, err := rand.Int(rand.Reader, big.NewInt(1e17))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return n.Add(n, lowest).String()
}
