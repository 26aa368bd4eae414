// Package identity says who signs a request to the stand-in cloud and what that
// caller may do. local/ram keeps the identities; the other services only ask.
package identity

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrUnknownKey means that no access key has this id.
	ErrUnknownKey = errors.New("unknown access key id")
	// ErrInvalidToken means that the security token does not belong to the
	// access key, or is missing where the key is a temporary one.
	ErrInvalidToken = errors.New("invalid security token")
	// ErrExpiredToken means that the temporary credentials have expired.
	ErrExpiredToken = errors.New("expired security token")
	// ErrNoRole means that the account has no role of this name.
	ErrNoRole = errors.New("no such role")
	// ErrNotTrusted means that the role's trust policy does not name the caller.
	ErrNotTrusted = errors.New("role does not trust the caller")
)

// Credentials are an access key, with a token and an end where it is temporary.
type Credentials struct {
	AccessKeyID     string
	AccessKeySecret string
	SecurityToken   string
	Expiration      time.Time // zero: does not expire
}

// Identity is a caller whose key is known. Its secret is there for the services
// to check signatures with.
type Identity struct {
	AccountID string
	ARN       string // acs:ram::<uid>:root, …:user/<name> or …:assumed-role/<role>/<session>
	Credentials
	// Policies is what the caller may do; nil for the account itself, which may
	// do everything.
	Policies []Policy
	// Session is the policy that temporary credentials were taken with: they may
	// do what it allows and Policies allows. Nil where none was given.
	Session *Policy
	// Root is true for the account's own key.
	Root bool
}

// Source finds identities.
type Source interface {
	// Identify returns the owner of an access key, or ErrUnknownKey,
	// ErrInvalidToken or ErrExpiredToken. The identity is shared: nobody may
	// change it.
	Identify(accessKeyID, securityToken string) (*Identity, error)
}

// Roles hands out the credentials of a role to a cloud service that the role
// trusts, as FC and ECS take the roles that they are configured with.
type Roles interface {
	// AssumeAs returns credentials of role (a name or an ARN, compared without
	// case) for service, such as "fc.aliyuncs.com". It returns ErrNoRole or
	// ErrNotTrusted where the real service would be refused.
	AssumeAs(ctx context.Context, service, role, session string, d time.Duration) (Credentials, error)
}
