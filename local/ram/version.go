package ram

import (
	"context"
	"fmt"
	"regexp"

	"go.etcd.io/bbolt"

	"ecs-image-export/local/rpc"
)

var versionID = regexp.MustCompile(`^v[1-9][0-9]{0,8}$`)

const rotateOldest = "DeleteOldestNonDefaultVersionWhenLimitExceeded"

func (s *Service) createVersion(_ context.Context, r *rpc.Request) (any, error) {
	setDefault, err := r.Bool("SetAsDefault")
	if err != nil {
		return nil, bad("InvalidParameter.SetAsDefault", `The parameter - "SetAsDefault" is incorrect.`)
	}
	strategy := r.Get("RotateStrategy")
	if strategy != "" && strategy != "None" && strategy != rotateOldest {
		return nil, bad("InvalidParameter.RotateStrategy", `The parameter - "RotateStrategy" is incorrect.`)
	}
	document := r.Get("PolicyDocument")
	if err := checkPolicy(document); err != nil {
		return nil, err
	}
	var answer struct{ PolicyVersion versionView }
	err = s.change(r, func(p *policy) error {
		if len(p.Versions) >= maxVersions {
			if strategy != rotateOldest {
				return errTooManyVersions
			}
			p.dropOldest()
		}
		p.Made++
		v := version{fmt.Sprintf("v%d", p.Made), document, s.date()}
		p.Versions = append(p.Versions, v)
		if setDefault {
			p.Default = v.ID
		}
		answer.PolicyVersion = p.viewVersion(v)
		return nil
	})
	return answer, err
}

// dropOldest removes the first version that is not the default.
func (p *policy) dropOldest() {
	for i, v := range p.Versions {
		if v.ID != p.Default {
			p.Versions = append(p.Versions[:i], p.Versions[i+1:]...)
			return
		}
	}
}

func (s *Service) getVersion(_ context.Context, r *rpc.Request) (any, error) {
	var answer struct{ PolicyVersion versionView }
	err := s.read(func(tx *bbolt.Tx) error {
		found, err := findPolicy(tx, r.Get("PolicyType"), r.Get("PolicyName"))
		if err != nil {
			return err
		}
		v, err := found.find(r.Get("VersionId"))
		answer.PolicyVersion = found.viewVersion(v)
		return err
	})
	return answer, err
}

func (s *Service) listVersions(_ context.Context, r *rpc.Request) (any, error) {
	var answer struct {
		PolicyVersions struct{ PolicyVersion []versionView }
	}
	err := s.read(func(tx *bbolt.Tx) error {
		found, err := findPolicy(tx, r.Get("PolicyType"), r.Get("PolicyName"))
		for _, v := range found.Versions {
			answer.PolicyVersions.PolicyVersion = append(answer.PolicyVersions.PolicyVersion, found.viewVersion(v))
		}
		return err
	})
	return answer, err
}

func (s *Service) deleteVersion(_ context.Context, r *rpc.Request) (any, error) {
	return nil, s.change(r, func(p *policy) error {
		v, err := p.find(r.Get("VersionId"))
		if err != nil {
			return err
		}
		if v.ID == p.Default {
			return errDefaultVersion
		}
		for i := range p.Versions {
			if p.Versions[i].ID == v.ID {
				p.Versions = append(p.Versions[:i], p.Versions[i+1:]...)
				break
			}
		}
		return nil
	})
}

func (s *Service) setDefaultVersion(_ context.Context, r *rpc.Request) (any, error) {
	return nil, s.change(r, func(p *policy) error {
		v, err := p.find(r.Get("VersionId"))
		if err != nil {
			return err
		}
		p.Default = v.ID
		return nil
	})
}

// change loads the custom policy that r names, lets f change it and keeps it.
func (s *Service) change(r *rpc.Request, f func(*policy) error) error {
	return s.write(func(tx *bbolt.Tx) error {
		found, err := findPolicy(tx, custom, r.Get("PolicyName"))
		if err != nil {
			return err
		}
		if err := f(&found); err != nil {
			return err
		}
		found.Updated = s.date()
		return save(tx, policiesBucket, found.Name, found)
	})
}

func (p policy) find(id string) (version, error) {
	if !versionID.MatchString(id) {
		return version{}, errVersionID
	}
	v, ok := p.version(id)
	if !ok {
		return version{}, errNoVersion
	}
	return v, nil
}
