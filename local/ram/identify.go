package ram

import (
	"context"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"ecs-image-export/local/identity"
)

// Identify returns the owner of an access key. What a role's session may do is
// what the role's policies say now, not what they said when it began; a role
// that was deleted may do nothing.
func (s *Service) Identify(accessKeyID, securityToken string) (*identity.Identity, error) {
	id, err := s.find(accessKeyID)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(id.SecurityToken), []byte(securityToken)) != 1 {
		return nil, identity.ErrInvalidToken
	}
	if !id.Expiration.IsZero() && !s.now().Before(id.Expiration) {
		return nil, identity.ErrExpiredToken
	}
	return id, nil
}

func (s *Service) find(key string) (*identity.Identity, error) {
	if key == s.cfg.Root.AccessKeyID {
		return &identity.Identity{AccountID: s.cfg.AccountID, ARN: s.arn("root"), Credentials: s.cfg.Root, Root: true}, nil
	}
	if id, ok := s.users[key]; ok {
		return id, nil
	}
	s.mu.Lock()
	id, changes := s.known[key], s.changes
	s.mu.Unlock()
	if id != nil {
		return id, nil
	}
	err := s.read(func(tx *bbolt.Tx) (err error) {
		id, err = s.identity(tx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// What was read before a change of roles or policies must not be remembered
	// after it.
	if s.changes == changes {
		s.known[key] = id
	}
	return id, nil
}

func (s *Service) identity(tx *bbolt.Tx, key string) (*identity.Identity, error) {
	found, ok, err := load[session](tx, sessionsBucket, key)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, identity.ErrUnknownKey
	}
	id := &identity.Identity{
		AccountID: s.cfg.AccountID,
		ARN:       s.arn("assumed-role/" + found.RoleName + "/" + found.Name),
		Credentials: identity.Credentials{
			AccessKeyID: key, AccessKeySecret: found.Secret, SecurityToken: found.Token, Expiration: found.Expires,
		},
	}
	if found.Policy != "" {
		p, err := identity.ParsePolicy([]byte(found.Policy))
		if err != nil {
			return nil, fmt.Errorf("session %s: %w", key, err)
		}
		id.Session = &p
	}
	taken, ok, err := load[role](tx, rolesBucket, found.RoleKey)
	if err != nil || !ok || taken.ID != found.RoleID {
		return id, err
	}
	for _, a := range taken.Attached {
		p, err := findPolicy(tx, a.Type, a.Name)
		if err != nil {
			return nil, fmt.Errorf("policy %s of role %s: %w", a.Name, taken.Name, err)
		}
		v, _ := p.version(p.Default)
		parsed, err := identity.ParsePolicy([]byte(v.Document))
		if err != nil {
			return nil, fmt.Errorf("policy %s of role %s: %w", a.Name, taken.Name, err)
		}
		id.Policies = append(id.Policies, parsed)
	}
	return id, nil
}

// AssumeAs hands role, a name or an ARN, to a cloud service that its trust
// policy names. The credentials last for d, but no longer than the role's
// sessions may.
func (s *Service) AssumeAs(_ context.Context, service, name, session string, d time.Duration) (identity.Credentials, error) {
	taken, trust, err := s.trusted(name)
	if err != nil {
		return identity.Credentials{}, err
	}
	if !trust.TrustsService(service) {
		return identity.Credentials{}, fmt.Errorf("role %s, service %s: %w", name, service, identity.ErrNotTrusted)
	}
	return s.newSession(taken, session, "", min(d, time.Duration(taken.MaxSessionDuration)*time.Second))
}

// trusted returns a role, named or given as an ARN of this account, and whom it
// trusts.
func (s *Service) trusted(name string) (role, identity.TrustPolicy, error) {
	key := roleKey(name)
	if strings.Contains(key, ":") {
		var ok bool
		if key, ok = strings.CutPrefix(key, s.arn("role/")); !ok {
			return role{}, identity.TrustPolicy{}, fmt.Errorf("role %s: %w", name, identity.ErrNoRole)
		}
	}
	var taken role
	err := s.read(func(tx *bbolt.Tx) error {
		found, ok, err := load[role](tx, rolesBucket, key)
		if err == nil && !ok {
			err = fmt.Errorf("role %s: %w", name, identity.ErrNoRole)
		}
		taken = found
		return err
	})
	if err != nil {
		return role{}, identity.TrustPolicy{}, err
	}
	trust, err := identity.ParseTrustPolicy([]byte(taken.Trust))
	if err != nil {
		return role{}, identity.TrustPolicy{}, fmt.Errorf("role %s: %w", name, err)
	}
	return taken, trust, nil
}
