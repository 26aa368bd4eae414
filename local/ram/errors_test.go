package ram_test

import (
	"strconv"
	"strings"
	"testing"
)

func TestErrorCodes(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.do("CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", trustECS)
	c.do("CreateRole", "RoleName", "used", "AssumeRolePolicyDocument", trustECS)
	c.do("CreatePolicy", "PolicyName", "p", "PolicyDocument", readOnly)
	c.do("CreatePolicy", "PolicyName", "used", "PolicyDocument", readOnly)
	c.do("CreatePolicyVersion", "PolicyName", "p", "PolicyDocument", writeOnly)
	c.do("AttachPolicyToRole", "RoleName", "used", "PolicyType", "Custom", "PolicyName", "used")
	long := strings.Repeat("x", 1025)
	bigPolicy := strings.Replace(readOnly, `"*"`, `"`+strings.Repeat("x", 6144)+`"`, 1)
	bigTrust := strings.Replace(trustECS, "ecs.aliyuncs.com", strings.Repeat("x", 2048), 1)
	for name, tc := range map[string]struct {
		action string
		params string // k=v|k=v
		code   string
		status int
	}{
		"role exists":              {"CreateRole", "RoleName=R|AssumeRolePolicyDocument=" + trustECS, "EntityAlreadyExists.Role", 409},
		"role without name":        {"CreateRole", "AssumeRolePolicyDocument=" + trustECS, "MissingRoleName", 400},
		"role without trust":       {"CreateRole", "RoleName=n", "MissingAssumeRolePolicyDocument", 400},
		"role name chars":          {"CreateRole", "RoleName=a_b|AssumeRolePolicyDocument=" + trustECS, "InvalidParameter.RoleName.InvalidChars", 400},
		"role name length":         {"CreateRole", "RoleName=" + long[:65] + "|AssumeRolePolicyDocument=" + trustECS, "InvalidParameter.RoleName.Length", 400},
		"role description":         {"CreateRole", "RoleName=n|Description=" + long + "|AssumeRolePolicyDocument=" + trustECS, "InvalidParameter.Description.Length", 400},
		"trust not JSON":           {"CreateRole", "RoleName=n|AssumeRolePolicyDocument={", "MalformedPolicyDocument", 400},
		"trust with a resource":    {"CreateRole", "RoleName=n|AssumeRolePolicyDocument=" + readOnly, "MalformedPolicyDocument", 400},
		"trust length":             {"CreateRole", "RoleName=n|AssumeRolePolicyDocument=" + bigTrust, "InvalidParameter.AssumeRolePolicyDocument.Length", 400},
		"session too short":        {"CreateRole", "RoleName=n|MaxSessionDuration=3599|AssumeRolePolicyDocument=" + trustECS, "InvalidParameter.MaxSessionDuration.Range", 400},
		"session too long":         {"UpdateRole", "RoleName=r|NewMaxSessionDuration=43201", "InvalidParameter.NewMaxSessionDuration.Range", 400},
		"tags":                     {"CreateRole", "RoleName=n|Tag.1.Key=k|AssumeRolePolicyDocument=" + trustECS, "NotImplemented", 501},
		"get no role":              {"GetRole", "RoleName=none", "EntityNotExist.Role", 404},
		"update no role":           {"UpdateRole", "RoleName=none", "EntityNotExist.Role", 404},
		"update with bad trust":    {"UpdateRole", "RoleName=r|NewAssumeRolePolicyDocument={}", "MalformedPolicyDocument", 400},
		"delete no role":           {"DeleteRole", "RoleName=none", "EntityNotExist.Role", 404},
		"delete a role in use":     {"DeleteRole", "RoleName=used", "DeleteConflict.Role.Policy", 409},
		"too many items":           {"ListRoles", "MaxItems=1001", "InvalidParameter.MaxItems.Range", 400},
		"marker":                   {"ListRoles", "Marker=%", "InvalidParameter.Marker", 400},
		"policy exists":            {"CreatePolicy", "PolicyName=p|PolicyDocument=" + readOnly, "EntityAlreadyExists.Policy", 409},
		"policy name chars":        {"CreatePolicy", "PolicyName=a.b|PolicyDocument=" + readOnly, "InvalidParameter.PolicyName.InvalidChars", 400},
		"policy name length":       {"CreatePolicy", "PolicyName=" + long[:129] + "|PolicyDocument=" + readOnly, "InvalidParameter.PolicyName.Length", 400},
		"policy length":            {"CreatePolicy", "PolicyName=n|PolicyDocument=" + bigPolicy, "InvalidParameter.PolicyDocument.Length", 400},
		"policy with a condition":  {"CreatePolicy", `PolicyName=n|PolicyDocument={"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{}}]}`, "MalformedPolicyDocument", 400},
		"get no policy":            {"GetPolicy", "PolicyType=Custom|PolicyName=none", "EntityNotExist.Policy", 404},
		"get no system policy":     {"GetPolicy", "PolicyType=System|PolicyName=p", "EntityNotExist.Policy", 404},
		"policy type":              {"GetPolicy", "PolicyType=custom|PolicyName=p", "InvalidParameter.PolicyType", 400},
		"no policy type":           {"GetPolicy", "PolicyName=p", "MissingPolicyType", 400},
		"list type":                {"ListPolicies", "PolicyType=Mine", "InvalidParameter.PolicyType", 400},
		"delete a policy in use":   {"DeletePolicy", "PolicyName=used", "DeleteConflict.Policy.Role", 409},
		"delete with versions":     {"DeletePolicy", "PolicyName=p", "DeleteConflict.Policy.Version", 409},
		"cascading delete":         {"DeletePolicy", "PolicyName=p|CascadingDelete=true", "NotImplemented", 501},
		"delete a system policy":   {"DeletePolicy", "PolicyName=AliyunOSSFullAccess", "EntityNotExist.Policy", 404},
		"delete the default":       {"DeletePolicyVersion", "PolicyName=p|VersionId=v1", "DeleteConflict.Policy.Version.Default", 409},
		"delete no version":        {"DeletePolicyVersion", "PolicyName=p|VersionId=v9", "EntityNotExist.Policy.Version", 404},
		"version format":           {"GetPolicyVersion", "PolicyType=Custom|PolicyName=p|VersionId=latest", "InvalidParameter.VersionId.Format", 400},
		"no version to make":       {"SetDefaultPolicyVersion", "PolicyName=p|VersionId=v9", "EntityNotExist.Policy.Version", 404},
		"rotation":                 {"CreatePolicyVersion", "PolicyName=p|RotateStrategy=All|PolicyDocument=" + readOnly, "InvalidParameter.RotateStrategy", 400},
		"default that is no bool":  {"CreatePolicyVersion", "PolicyName=p|SetAsDefault=perhaps|PolicyDocument=" + readOnly, "InvalidParameter.SetAsDefault", 400},
		"attach twice":             {"AttachPolicyToRole", "RoleName=used|PolicyType=Custom|PolicyName=used", "EntityAlreadyExists.Role.Policy", 409},
		"attach to no role":        {"AttachPolicyToRole", "RoleName=none|PolicyType=Custom|PolicyName=p", "EntityNotExist.Role", 404},
		"attach no policy":         {"AttachPolicyToRole", "RoleName=r|PolicyType=Custom|PolicyName=none", "EntityNotExist.Policy", 404},
		"detach what is not there": {"DetachPolicyFromRole", "RoleName=r|PolicyType=Custom|PolicyName=p", "EntityNotExist.Role.Policy", 404},
		"policies of no role":      {"ListPoliciesForRole", "RoleName=none", "EntityNotExist.Role", 404},
		"no action":                {"MakeCoffee", "", "InvalidAction.NotFound", 404},
		"action not built":         {"CreateUser", "UserName=u", "NotImplemented", 501},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pairs []string
			for _, p := range strings.Split(tc.params, "|") {
				if k, v, ok := strings.Cut(p, "="); ok {
					pairs = append(pairs, k, v)
				}
			}
			body, code, status := c.as(root, tc.action, pairs...)
			if code != tc.code || status != tc.status {
				t.Errorf("got %d %s %v, want %d %s", status, code, body, tc.status, tc.code)
			}
		})
	}
}

func TestARoleHasAtMostFiveCustomPolicies(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.do("CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", trustECS)
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		c.do("CreatePolicy", "PolicyName", name, "PolicyDocument", readOnly)
		_, code, status := c.as(root, "AttachPolicyToRole", "RoleName", "r", "PolicyType", "Custom", "PolicyName", name)
		want := ""
		if name == "f" {
			want = "LimitExceeded.Role.Policy"
		}
		if code != want {
			t.Errorf("%s: %d %s", name, status, code)
		}
	}
	// System policies count apart.
	c.do("AttachPolicyToRole", "RoleName", "r", "PolicyType", "System", "PolicyName", "AliyunOSSFullAccess")
}

// An account has room for a thousand roles, and the set-up may come upon that.
func TestTheLimitOfRoles(t *testing.T) {
	t.Parallel()
	c := open(t)
	for n := range 1000 {
		c.do("CreateRole", "RoleName", "r"+strconv.Itoa(n), "AssumeRolePolicyDocument", trustECS)
	}
	if _, code, status := c.as(root, "CreateRole", "RoleName", "more", "AssumeRolePolicyDocument", trustECS); status != 409 || code != "LimitExceeded.Role" {
		t.Errorf("one more: %d %s", status, code)
	}
	if _, code, _ := c.as(root, "CreateRole", "RoleName", "r0", "AssumeRolePolicyDocument", trustECS); code != "EntityAlreadyExists.Role" {
		t.Errorf("one that is there: %s", code)
	}
	c.do("DeleteRole", "RoleName", "r0")
	c.do("CreateRole", "RoleName", "more", "AssumeRolePolicyDocument", trustECS)
}
