// Package ram makes roles and policies in RAM (2015-05-01) and takes roles
// through STS (2015-04-01). Every Ensure call is idempotent: it may run twice,
// at once, and after one that stopped half-way.
package ram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"ecs-image-export/shared/rpc"
)

// Config says which services to call and as whom. Blank endpoints are the real
// services; otherwise they are URLs.
type Config struct {
	Region                   string
	RAMEndpoint, STSEndpoint string
	Credentials              rpc.Source
	Timeout                  time.Duration // of each request; zero means 10 seconds
}

// Client calls RAM and STS. It is safe for concurrent use.
type Client struct{ ram, sts *rpc.Client }

// The types of a policy.
const (
	Custom = "Custom"
	System = "System"
)

var (
	// ErrNotFound: there is no such role, policy or attachment.
	ErrNotFound = errors.New("not found")
	// ErrExists: it is there already.
	ErrExists = errors.New("exists already")
	// ErrForbidden: our credentials may not make the call, or the role does not
	// trust them.
	ErrForbidden = errors.New("not permitted")
)

// New checks cfg and returns a client. It makes no request.
func New(cfg Config) (*Client, error) {
	ram, err := rpc.New(rpc.Config{
		Product: "Ram", Version: "2015-05-01", Endpoint: cfg.RAMEndpoint, Region: cfg.Region,
		Credentials: cfg.Credentials, Timeout: cfg.Timeout,
	})
	if err != nil {
		return nil, err
	}
	sts, err := rpc.New(rpc.Config{
		Product: "Sts", Version: "2015-04-01", Endpoint: cfg.STSEndpoint, Region: cfg.Region,
		Credentials: cfg.Credentials, Timeout: cfg.Timeout,
	})
	if err != nil {
		return nil, err
	}
	return &Client{ram: ram, sts: sts}, nil
}

// Role is a role of the account.
type Role struct {
	Name, ARN, Description string
	Trust                  string        // JSON document
	MaxSession             time.Duration // zero means RAM's default, an hour
}

type wireRole struct {
	Role struct {
		RoleName, Arn, Description, AssumeRolePolicyDocument string
		MaxSessionDuration                                   rpc.Int
	}
}

func (w wireRole) role() Role {
	return Role{
		Name: w.Role.RoleName, ARN: w.Role.Arn, Description: w.Role.Description, Trust: w.Role.AssumeRolePolicyDocument,
		MaxSession: time.Duration(w.Role.MaxSessionDuration) * time.Second,
	}
}

// Role returns a role, or ErrNotFound.
func (c *Client) Role(ctx context.Context, name string) (Role, error) {
	var answer wireRole
	err := c.ram.Call(ctx, "GetRole", map[string]string{"RoleName": name}, &answer, rpc.Read)
	return answer.role(), explain(err)
}

// EnsureRole makes the role, or gives an existing one this trust policy and
// longest session. It returns the role as it is then, with its ARN.
func (c *Client) EnsureRole(ctx context.Context, want Role) (Role, error) {
	have, err := c.Role(ctx, want.Name)
	if errors.Is(err, ErrNotFound) {
		have, err = c.CreateRole(ctx, want)
	}
	if errors.Is(err, ErrExists) {
		have, err = c.Role(ctx, want.Name)
	}
	if err != nil {
		return Role{}, err
	}
	sameSession := want.MaxSession == 0 || want.MaxSession == have.MaxSession
	if sameDocument(have.Trust, want.Trust) && sameSession {
		return have, nil
	}
	var answer wireRole
	err = c.ram.Call(ctx, "UpdateRole", map[string]string{
		"RoleName": want.Name, "NewAssumeRolePolicyDocument": want.Trust, "NewMaxSessionDuration": seconds(want.MaxSession),
	}, &answer)
	return answer.role(), explain(err)
}

// CreateRole makes a role. ErrExists: there is one of this name, whatever it may do.
func (c *Client) CreateRole(ctx context.Context, want Role) (Role, error) {
	var answer wireRole
	err := c.ram.Call(ctx, "CreateRole", map[string]string{
		"RoleName": want.Name, "Description": want.Description,
		"AssumeRolePolicyDocument": want.Trust, "MaxSessionDuration": seconds(want.MaxSession),
	}, &answer)
	return answer.role(), explain(err)
}

func seconds(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return strconv.FormatInt(int64(d/time.Second), 10)
}

// EnsurePolicy makes the custom policy, or gives an existing one a new default
// version if its document says something else. The oldest version that is not
// the default gives way when there are too many.
func (c *Client) EnsurePolicy(ctx context.Context, name, description, document string) error {
	have, err := c.Document(ctx, Custom, name)
	if errors.Is(err, ErrNotFound) {
		err = explain(c.ram.Call(ctx, "CreatePolicy", map[string]string{
			"PolicyName": name, "Description": description, "PolicyDocument": document,
		}, nil))
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrExists) {
			have, err = c.Document(ctx, Custom, name)
		}
	}
	if err != nil || sameDocument(have, document) {
		return err
	}
	return explain(c.ram.Call(ctx, "CreatePolicyVersion", map[string]string{
		"PolicyName": name, "PolicyDocument": document, "SetAsDefault": "true",
		"RotateStrategy": "DeleteOldestNonDefaultVersionWhenLimitExceeded",
	}, nil))
}

// EnsureAttached gives the role a policy of type Custom or System.
func (c *Client) EnsureAttached(ctx context.Context, role, policyType, policy string) error {
	err := explain(c.ram.Call(ctx, "AttachPolicyToRole", map[string]string{
		"RoleName": role, "PolicyType": policyType, "PolicyName": policy,
	}, nil))
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// Attached lists the policies of a role, as "<type>/<name>".
func (c *Client) Attached(ctx context.Context, role string) ([]string, error) {
	var answer struct {
		Policies struct {
			Policy []struct{ PolicyName, PolicyType string }
		}
	}
	err := c.ram.Call(ctx, "ListPoliciesForRole", map[string]string{"RoleName": role}, &answer, rpc.Read)
	var names []string
	for _, p := range answer.Policies.Policy {
		names = append(names, p.PolicyType+"/"+p.PolicyName)
	}
	return names, explain(err)
}

// AssumeRole takes a role for a while (15 minutes at least, the role's longest
// session at most; zero means an hour). The session name is 2 to 32 characters
// of letters, digits and .@-_ and shows up in logs. ErrForbidden also means
// that the account's own key was used, which may not take roles.
func (c *Client) AssumeRole(ctx context.Context, roleARN, session string, d time.Duration) (rpc.Credentials, error) {
	var answer struct {
		Credentials struct {
			AccessKeyID     string `json:"AccessKeyId"`
			AccessKeySecret string
			SecurityToken   string
			Expiration      rpc.Time
		}
	}
	// A session that nobody uses harms nothing, so the call may be made again.
	err := c.sts.Call(ctx, "AssumeRole", map[string]string{
		"RoleArn": roleARN, "RoleSessionName": session, "DurationSeconds": seconds(d),
	}, &answer, rpc.Read)
	if err != nil {
		return rpc.Credentials{}, explain(err)
	}
	got := answer.Credentials
	if got.AccessKeyID == "" || got.AccessKeySecret == "" || got.SecurityToken == "" || got.Expiration.IsZero() {
		return rpc.Credentials{}, fmt.Errorf("assume role %s: the answer lacks credentials", roleARN)
	}
	return rpc.Credentials{ID: got.AccessKeyID, Secret: got.AccessKeySecret, Token: got.SecurityToken, Expires: got.Expiration.Time}, nil
}

// explain joins an error with what its code means. It is the only place that
// looks at codes.
func explain(err error) error {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return err
	}
	family, _, _ := strings.Cut(e.Code, ".")
	switch family {
	case "EntityNotExist":
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case "EntityAlreadyExists":
		return fmt.Errorf("%w: %w", ErrExists, err)
	case "NoPermission", "Forbidden":
		return fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	return err
}

// sameDocument compares JSON documents without regard to spaces and the order
// of keys.
func sameDocument(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return a == b
	}
	return reflect.DeepEqual(x, y)
}
