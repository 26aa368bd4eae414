package ram

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ecs-image-export/local/identity"
	"ecs-image-export/local/rpc"
)

// STS's refusals, from the error codes of AssumeRole.
var (
	errRoleARN       = bad("InvalidParameter.RoleArn", "The parameter RoleArn is wrongly formed.")
	errSessionName   = bad("InvalidParameter.RoleSessionName", "The parameter RoleSessionName is wrongly formed.")
	errPolicyGrammar = bad("InvalidParameter.PolicyGrammar", "The parameter Policy has not passed grammar check.")
	errPolicySize    = bad("InvalidParameter.PolicySize", fmt.Sprintf("The size of Policy must be smaller than %d bytes.", maxSessionPolicy))
	errRootAssumes   = &rpc.Error{Status: http.StatusForbidden, Code: "NoPermission", Message: "Roles may not be assumed by root accounts."}
)

func errNotAuthorized() *rpc.Error {
	return &rpc.Error{
		Status: http.StatusForbidden, Code: "NoPermission",
		Message: "You are not authorized to do this action. You should be authorized by RAM.",
	}
}

const (
	defaultDuration  = time.Hour
	minDuration      = 15 * time.Minute
	maxSessionPolicy = 2048 // bytes
)

var (
	roleARN     = regexp.MustCompile(`^acs:ram::[0-9]+:role/[a-zA-Z0-9.@_-]{1,64}$`)
	sessionName = regexp.MustCompile(`^[a-zA-Z0-9.@_-]{2,64}$`)
)

type credentialsView struct {
	AccessKeyID     string `json:"AccessKeyId"`
	AccessKeySecret string
	SecurityToken   string
	Expiration      string
}

type assumedView struct {
	Arn           string
	AssumedRoleID string `json:"AssumedRoleId"`
}

func (s *Service) assumeRole(_ context.Context, r *rpc.Request) (any, error) {
	if r.Caller.Root {
		return nil, errRootAssumes
	}
	arn, name, document := r.Get("RoleArn"), r.Get("RoleSessionName"), r.Get("Policy")
	switch {
	case !roleARN.MatchString(arn):
		return nil, errRoleARN
	case !sessionName.MatchString(name):
		return nil, errSessionName
	case len(document) > maxSessionPolicy:
		return nil, errPolicySize
	}
	if document != "" {
		if _, err := identity.ParsePolicy([]byte(document)); err != nil {
			return nil, errPolicyGrammar
		}
	}
	taken, trust, err := s.trusted(arn)
	if errors.Is(err, identity.ErrNoRole) {
		return nil, notFound("EntityNotExist.Role", "The role not exists: "+strings.ToLower(arn))
	}
	if err != nil {
		return nil, err
	}
	if !trust.TrustsCaller(r.Caller) {
		e := errNotAuthorized()
		e.AccessDenied = &rpc.AccessDenied{
			AuthAction: "sts:AssumeRole", AuthPrincipalOwnerID: s.cfg.AccountID,
			NoPermissionType: "ImplicitDeny", PolicyType: "AssumeRolePolicy",
		}
		return nil, e
	}
	d, err := sessionDuration(r, time.Duration(taken.MaxSessionDuration)*time.Second)
	if err != nil {
		return nil, err
	}
	c, err := s.newSession(taken, name, document, d)
	if err != nil {
		return nil, err
	}
	return struct {
		Credentials     credentialsView
		AssumedRoleUser assumedView
	}{
		credentialsView{c.AccessKeyID, c.AccessKeySecret, c.SecurityToken, c.Expiration.Format(time.RFC3339)},
		assumedView{s.arn("role/" + taken.Name + "/" + name), taken.ID + ":" + name},
	}, nil
}

func sessionDuration(r *rpc.Request, longest time.Duration) (time.Duration, error) {
	text := r.Get("DurationSeconds")
	if text == "" {
		return defaultDuration, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	d := time.Duration(n) * time.Second
	if err != nil || d < minDuration || d > longest {
		return 0, bad("InvalidParameter.DurationSeconds", fmt.Sprintf("The Min/Max value of DurationSeconds is 15min/%vhr.", longest.Hours()))
	}
	return d, nil
}

// assumedResource is the role that is to be assumed, in the form of a
// permission's resource.
func (s *Service) assumedResource(r *rpc.Request) string {
	return strings.Replace(r.Get("RoleArn"), "acs:ram::", "acs:ram:*:", 1)
}

func (s *Service) callerIdentity(_ context.Context, r *rpc.Request) (any, error) {
	type view struct {
		IdentityType string
		AccountID    string `json:"AccountId"`
		PrincipalID  string `json:"PrincipalId"`
		UserID       string `json:"UserId,omitempty"`
		RoleID       string `json:"RoleId,omitempty"`
		Arn          string
	}
	id := r.Caller
	v := view{AccountID: id.AccountID, Arn: id.ARN}
	rest := strings.TrimPrefix(id.ARN, s.arn(""))
	if assumed, ok := strings.CutPrefix(rest, "assumed-role/"); ok {
		roleName, session, _ := strings.Cut(assumed, "/")
		taken, _, err := s.trusted(roleName)
		if err != nil && !errors.Is(err, identity.ErrNoRole) {
			return nil, err
		}
		v.IdentityType, v.RoleID, v.PrincipalID = "AssumedRoleUser", taken.ID, taken.ID+":"+session
		return v, nil
	}
	v.IdentityType, v.UserID, v.PrincipalID = "Account", id.AccountID, id.AccountID
	if user, ok := strings.CutPrefix(rest, "user/"); ok {
		// Users are configured and have no id of their own: their name does.
		v.IdentityType, v.UserID, v.PrincipalID = "RAMUser", user, user
	}
	return v, nil
}
