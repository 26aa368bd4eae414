package ram

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"ecs-image-export/local/identity"
	"ecs-image-export/local/rpc"
)

// Limits of an account, from RAM's page of limits; lengths are in characters.
const (
	maxRoles           = 1000
	maxPolicies        = 1500
	maxVersions        = 5
	maxAttachedSystem  = 20
	maxAttachedCustom  = 5
	maxRoleName        = 64
	maxPolicyName      = 128
	maxDescription     = 1024
	maxPolicyDocument  = 6144
	maxTrustDocument   = 2048
	minSessionDuration = 3600 // seconds
	maxSessionDuration = 43200
)

func checkName(param, name string, longest int, others string) error {
	if utf8.RuneCountInString(name) > longest {
		return errLength(param)
	}
	for _, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune(others, c) {
			return errChars(param)
		}
	}
	return nil
}

func checkRoleName(name string) error { return checkName("RoleName", name, maxRoleName, ".@-") }

func checkPolicyName(name string) error {
	return checkName("PolicyName", name, maxPolicyName, "-")
}

func checkText(param, text string, longest int) error {
	if utf8.RuneCountInString(text) > longest {
		return errLength(param)
	}
	return nil
}

func checkTrust(param, document string) error {
	if err := checkText(param, document, maxTrustDocument); err != nil {
		return err
	}
	if _, err := identity.ParseTrustPolicy([]byte(document)); err != nil {
		return errMalformed(err)
	}
	return nil
}

func checkPolicy(document string) error {
	if err := checkText("PolicyDocument", document, maxPolicyDocument); err != nil {
		return err
	}
	if _, err := identity.ParsePolicy([]byte(document)); err != nil {
		return errMalformed(err)
	}
	return nil
}

// duration reads a role's longest session in seconds.
func duration(r *rpc.Request, param string, otherwise int) (int, error) {
	s := r.Get(param)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < minSessionDuration || n > maxSessionDuration {
		return 0, errRange(param, minSessionDuration, maxSessionDuration)
	}
	return n, nil
}

// checkUnbuilt refuses what would change the call's meaning and is not built.
func checkUnbuilt(r *rpc.Request) error {
	for name := range r.Params {
		if strings.HasPrefix(name, "Tag.") {
			return rpc.NotImplemented("Ram " + r.Action + " with tags")
		}
	}
	if v := r.Get("CascadingDelete"); v != "" && !strings.EqualFold(v, "false") {
		return rpc.NotImplemented("Ram " + r.Action + " with CascadingDelete")
	}
	return nil
}
