package ram_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/local/identity"
)

func (c *cloud) assume(role string, pairs ...string) identity.Credentials {
	c.t.Helper()
	body, code, status := c.as(admin, "AssumeRole", append(pairs, "RoleArn", "acs:ram::"+account+":role/"+role, "RoleSessionName", "se.ss@i_on-1")...)
	if code != "" {
		c.t.Fatalf("assume %s: %d %s %v", role, status, code, body)
	}
	end, err := time.Parse("2006-01-02T15:04:05Z", dig(body, "Credentials", "Expiration").(string))
	if err != nil {
		c.t.Fatal(err)
	}
	return identity.Credentials{
		AccessKeyID:     dig(body, "Credentials", "AccessKeyId").(string),
		AccessKeySecret: dig(body, "Credentials", "AccessKeySecret").(string),
		SecurityToken:   dig(body, "Credentials", "SecurityToken").(string),
		Expiration:      end,
	}
}

func TestAssumeRole(t *testing.T) {
	t.Parallel()
	c := open(t)
	made := c.do("CreateRole", "RoleName", "Worker", "AssumeRolePolicyDocument", trustRoot)
	c.do("AttachPolicyToRole", "RoleName", "Worker", "PolicyType", "System", "PolicyName", "AliyunOSSFullAccess")
	roleID := dig(made, "Role", "RoleId").(string)
	body, code, _ := c.as(admin, "AssumeRole", "RoleArn", "acs:ram::"+account+":role/worker", "RoleSessionName", "alice", "DurationSeconds", "900")
	if code != "" {
		t.Fatal(code, body)
	}
	if d := cmp.Diff(any(map[string]any{"Arn": "acs:ram::" + account + ":role/Worker/alice", "AssumedRoleId": roleID + ":alice"}), dig(body, "AssumedRoleUser")); d != "" {
		t.Error(d)
	}
	taken := c.assume("Worker")
	if !strings.HasPrefix(taken.AccessKeyID, "STS.") || len(taken.SecurityToken) < 200 {
		t.Errorf("key %s, token %s", taken.AccessKeyID, taken.SecurityToken)
	}
	if d := time.Until(taken.Expiration); d < 59*time.Minute || d > time.Hour {
		t.Errorf("expires in %v", d)
	}
	who, code, _ := c.as(taken, "GetCallerIdentity")
	if d := cmp.Diff(map[string]any{
		"AccountId": account, "Arn": "acs:ram::" + account + ":assumed-role/Worker/se.ss@i_on-1", "IdentityType": "AssumedRoleUser",
		"RoleId": roleID, "PrincipalId": roleID + ":se.ss@i_on-1",
	}, who); code != "" || d != "" {
		t.Error(code, d)
	}
	id, err := c.service.Identify(taken.AccessKeyID, taken.SecurityToken)
	if err != nil {
		t.Fatal(err)
	}
	if id.Root || !id.Allows("oss:PutObject", "acs:oss:*:"+account+":b/k") || id.Allows("mns:SendMessage", "*") {
		t.Errorf("got %+v", id)
	}
}

func TestGetCallerIdentityOfLongLivedKeys(t *testing.T) {
	t.Parallel()
	c := open(t)
	for _, tc := range []struct {
		who  identity.Credentials
		want map[string]any
	}{
		{root, map[string]any{"AccountId": account, "UserId": account, "PrincipalId": account, "IdentityType": "Account", "Arn": "acs:ram::" + account + ":root"}},
		{admin, map[string]any{"AccountId": account, "UserId": "admin", "PrincipalId": "admin", "IdentityType": "RAMUser", "Arn": "acs:ram::" + account + ":user/admin"}},
	} {
		got, code, _ := c.as(tc.who, "GetCallerIdentity")
		if d := cmp.Diff(tc.want, got); code != "" || d != "" {
			t.Error(code, d)
		}
	}
}

func TestAssumeRoleRefusals(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.do("CreateRole", "RoleName", "worker", "AssumeRolePolicyDocument", trustRoot, "MaxSessionDuration", "7200")
	c.do("CreateRole", "RoleName", "ecsonly", "AssumeRolePolicyDocument", trustECS)
	c.do("CreateRole", "RoleName", "weak", "AssumeRolePolicyDocument", trustRoot)
	c.do("CreateRole", "RoleName", "boss", "AssumeRolePolicyDocument", strings.Replace(trustRoot, ":root", ":role/other", 1))
	weak := c.assume("weak")
	arn := "acs:ram::" + account + ":role/worker"
	for name, tc := range map[string]struct {
		who    identity.Credentials
		pairs  []string
		code   string
		status int
		says   string
	}{
		"by the account":      {root, []string{"RoleArn", arn, "RoleSessionName", "ok"}, "NoPermission", 403, "Roles may not be assumed by root accounts."},
		"without permission":  {weak, []string{"RoleArn", arn, "RoleSessionName", "ok"}, "NoPermission", 403, "You should be authorized by RAM"},
		"not trusted":         {admin, []string{"RoleArn", "acs:ram::" + account + ":role/ecsonly", "RoleSessionName", "ok"}, "NoPermission", 403, "You should be authorized by RAM"},
		"trusts another role": {admin, []string{"RoleArn", "acs:ram::" + account + ":role/boss", "RoleSessionName", "ok"}, "NoPermission", 403, ""},
		"no role":             {admin, []string{"RoleArn", "acs:ram::" + account + ":role/None", "RoleSessionName", "ok"}, "EntityNotExist.Role", 404, "role/none"},
		"other account":       {admin, []string{"RoleArn", "acs:ram::999:role/worker", "RoleSessionName", "ok"}, "EntityNotExist.Role", 404, ""},
		"no ARN":              {admin, []string{"RoleSessionName", "ok"}, "MissingRoleArn", 400, ""},
		"no session name":     {admin, []string{"RoleArn", arn}, "MissingRoleSessionName", 400, ""},
		"bare name":           {admin, []string{"RoleArn", "worker", "RoleSessionName", "ok"}, "InvalidParameter.RoleArn", 400, ""},
		"session name short":  {admin, []string{"RoleArn", arn, "RoleSessionName", "a"}, "InvalidParameter.RoleSessionName", 400, ""},
		"session name long":   {admin, []string{"RoleArn", arn, "RoleSessionName", strings.Repeat("a", 65)}, "InvalidParameter.RoleSessionName", 400, ""},
		"session name chars":  {admin, []string{"RoleArn", arn, "RoleSessionName", "a*b"}, "InvalidParameter.RoleSessionName", 400, ""},
		"too short":           {admin, []string{"RoleArn", arn, "RoleSessionName", "ok", "DurationSeconds", "899"}, "InvalidParameter.DurationSeconds", 400, "15min/2hr"},
		"too long":            {admin, []string{"RoleArn", arn, "RoleSessionName", "ok", "DurationSeconds", "7201"}, "InvalidParameter.DurationSeconds", 400, ""},
		"no number":           {admin, []string{"RoleArn", arn, "RoleSessionName", "ok", "DurationSeconds", "1h"}, "InvalidParameter.DurationSeconds", 400, ""},
		"policy grammar":      {admin, []string{"RoleArn", arn, "RoleSessionName", "ok", "Policy", "{}"}, "InvalidParameter.PolicyGrammar", 400, ""},
		"policy size":         {admin, []string{"RoleArn", arn, "RoleSessionName", "ok", "Policy", strings.Repeat("x", 2049)}, "InvalidParameter.PolicySize", 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, code, status := c.as(tc.who, "AssumeRole", tc.pairs...)
			if message, _ := body["Message"].(string); code != tc.code || status != tc.status || !strings.Contains(message, tc.says) {
				t.Errorf("got %d %s %q", status, code, message)
			}
		})
	}
	if _, code, status := c.as(admin, "AssumeRoleWithSAML"); code != "NotImplemented" || status != 501 {
		t.Errorf("SAML: %d %s", status, code)
	}
}

func TestARoleTakesAnother(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.do("CreateRole", "RoleName", "first", "AssumeRolePolicyDocument", trustRoot)
	c.do("CreateRole", "RoleName", "second", "AssumeRolePolicyDocument", strings.Replace(trustRoot, ":root", ":role/FIRST", 1))
	c.do("CreatePolicy", "PolicyName", "take-second", "PolicyDocument",
		`{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"acs:ram::`+account+`:role/second"}]}`)
	c.do("AttachPolicyToRole", "RoleName", "first", "PolicyType", "Custom", "PolicyName", "take-second")
	first := c.assume("first")
	if _, code, _ := c.as(first, "AssumeRole", "RoleArn", "acs:ram::"+account+":role/second", "RoleSessionName", "ok"); code != "" {
		t.Errorf("second: %s", code)
	}
	if _, code, _ := c.as(first, "AssumeRole", "RoleArn", "acs:ram::"+account+":role/first", "RoleSessionName", "ok"); code != "NoPermission" {
		t.Errorf("first: %s", code)
	}
}

func TestASessionPolicyOnlyTakesAway(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.do("CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", trustRoot)
	c.do("AttachPolicyToRole", "RoleName", "r", "PolicyType", "System", "PolicyName", "AliyunOSSFullAccess")
	taken := c.assume("r", "Policy", `{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:GetObject","mns:*"],"Resource":"*"}]}`)
	id, err := c.service.Identify(taken.AccessKeyID, taken.SecurityToken)
	if err != nil {
		t.Fatal(err)
	}
	for action, want := range map[string]bool{"oss:GetObject": true, "oss:PutObject": false, "mns:SendMessage": false} {
		if got := id.Allows(action, "acs:oss:*:1:b/k"); got != want {
			t.Errorf("%s: %v", action, got)
		}
	}
}

func TestPermissionsFollowTheRole(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.do("CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", trustRoot)
	c.do("CreatePolicy", "PolicyName", "p", "PolicyDocument", readOnly)
	taken := c.assume("r")
	may := func(action string) bool {
		t.Helper()
		id, err := c.service.Identify(taken.AccessKeyID, taken.SecurityToken)
		if err != nil {
			t.Fatal(err)
		}
		return id.Allows(action, "acs:oss:*:1:b/k")
	}
	if may("oss:GetObject") {
		t.Error("before it was given")
	}
	c.do("AttachPolicyToRole", "RoleName", "r", "PolicyType", "Custom", "PolicyName", "p")
	if !may("oss:GetObject") || may("oss:PutObject") {
		t.Error("after it was given")
	}
	c.do("CreatePolicyVersion", "PolicyName", "p", "PolicyDocument", writeOnly, "SetAsDefault", "true")
	if may("oss:GetObject") || !may("oss:PutObject") {
		t.Error("after the new version")
	}
	c.do("DetachPolicyFromRole", "RoleName", "r", "PolicyType", "Custom", "PolicyName", "p")
	if may("oss:PutObject") {
		t.Error("after it was taken away")
	}
	c.do("AttachPolicyToRole", "RoleName", "r", "PolicyType", "Custom", "PolicyName", "p")
	c.do("DetachPolicyFromRole", "RoleName", "r", "PolicyType", "Custom", "PolicyName", "p")
	c.do("DeleteRole", "RoleName", "r")
	c.do("CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", trustRoot)
	c.do("AttachPolicyToRole", "RoleName", "r", "PolicyType", "Custom", "PolicyName", "p")
	if may("oss:PutObject") {
		t.Error("another role of the same name")
	}
}

func TestSessionsExpire(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.do("CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", strings.Replace(trustRoot, `"RAM"`, `"Service":"ecs.aliyuncs.com","RAM"`, 1))
	taken := c.assume("r", "DurationSeconds", "900")
	identify := func(token string) error {
		_, err := c.service.Identify(taken.AccessKeyID, token)
		return err
	}
	if err := identify(""); !errors.Is(err, identity.ErrInvalidToken) {
		t.Errorf("without token: %v", err)
	}
	if err := identify(taken.SecurityToken + "x"); !errors.Is(err, identity.ErrInvalidToken) {
		t.Errorf("other token: %v", err)
	}
	if _, err := c.service.Identify(root.AccessKeyID, taken.SecurityToken); !errors.Is(err, identity.ErrInvalidToken) {
		t.Errorf("the account with a token: %v", err)
	}
	c.clock.forward(15*time.Minute - 5*time.Second)
	if err := identify(taken.SecurityToken); err != nil {
		t.Errorf("before the end: %v", err)
	}
	c.clock.forward(6 * time.Second)
	if err := identify(taken.SecurityToken); !errors.Is(err, identity.ErrExpiredToken) {
		t.Errorf("after the end: %v", err)
	}
	// Another session is made long after: what is old is removed.
	c.clock.forward(2 * time.Hour)
	if _, err := c.service.AssumeAs(context.Background(), "ecs.aliyuncs.com", "r", "s", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := identify(taken.SecurityToken); !errors.Is(err, identity.ErrUnknownKey) {
		t.Errorf("long after: %v", err)
	}
}

func TestAssumeAs(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.do("CreateRole", "RoleName", "AliyunECSImageExportDefaultRole", "AssumeRolePolicyDocument", trustECS)
	c.do("AttachPolicyToRole", "RoleName", "AliyunECSImageExportDefaultRole", "PolicyType", "System", "PolicyName", "AliyunECSImageExportRolePolicy")
	for name, tc := range map[string]struct {
		service, role string
		want          error
	}{
		"by name":        {"ecs.aliyuncs.com", "AliyunECSImageExportDefaultRole", nil},
		"in lower case":  {"ecs.aliyuncs.com", "aliyunecsimageexportdefaultrole", nil},
		"by ARN":         {"ecs.aliyuncs.com", "acs:ram::" + account + ":role/aliyunecsimageexportdefaultrole", nil},
		"other service":  {"fc.aliyuncs.com", "AliyunECSImageExportDefaultRole", identity.ErrNotTrusted},
		"no such role":   {"ecs.aliyuncs.com", "none", identity.ErrNoRole},
		"empty name":     {"ecs.aliyuncs.com", "", identity.ErrNoRole},
		"other account":  {"ecs.aliyuncs.com", "acs:ram::9:role/AliyunECSImageExportDefaultRole", identity.ErrNoRole},
		"ARN of a user":  {"ecs.aliyuncs.com", "acs:ram::" + account + ":user/u", identity.ErrNoRole},
		"not even a ARN": {"ecs.aliyuncs.com", ":", identity.ErrNoRole},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.service.AssumeAs(context.Background(), tc.service, tc.role, "session", 24*time.Hour)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if err != nil {
				return
			}
			if d := time.Until(got.Expiration); d > time.Hour {
				t.Errorf("lasts %v, longer than the role's sessions", d)
			}
			id, err := c.service.Identify(got.AccessKeyID, got.SecurityToken)
			if err != nil {
				t.Fatal(err)
			}
			if !id.Allows("oss:PutObject", "acs:oss:*:1:b/k") || id.Allows("oss:ListObjects", "acs:oss:*:1:b") {
				t.Errorf("policies %v", id.Policies)
			}
		})
	}
}

func TestPermissionsOfRAMItself(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.do("CreateRole", "RoleName", "clerk", "AssumeRolePolicyDocument", trustRoot)
	c.do("CreatePolicy", "PolicyName", "clerk", "PolicyDocument", `{"Version":"1","Statement":[
		{"Effect":"Allow","Action":["ram:GetRole","ram:AttachPolicyToRole"],"Resource":"acs:ram:*:`+account+`:role/clerk"},
		{"Effect":"Allow","Action":"ram:AttachPolicyToRole","Resource":"acs:ram:*:system:policy/AliyunOSSReadOnlyAccess"}]}`)
	c.do("AttachPolicyToRole", "RoleName", "clerk", "PolicyType", "Custom", "PolicyName", "clerk")
	clerk := c.assume("clerk")
	for _, tc := range []struct{ action, params, code string }{
		{"GetRole", "RoleName=Clerk", ""},
		{"GetRole", "RoleName=boss", "NoPermission"},
		{"ListRoles", "", "NoPermission"},
		{"AttachPolicyToRole", "RoleName=clerk|PolicyType=System|PolicyName=AdministratorAccess", "NoPermission"},
		{"AttachPolicyToRole", "RoleName=clerk|PolicyType=System|PolicyName=AliyunOSSReadOnlyAccess", ""},
		{"CreatePolicyVersion", "PolicyName=clerk|PolicyDocument=" + readOnly, "NoPermission"},
	} {
		var pairs []string
		for _, p := range strings.Split(tc.params, "|") {
			if k, v, ok := strings.Cut(p, "="); ok {
				pairs = append(pairs, k, v)
			}
		}
		body, code, status := c.as(clerk, tc.action, pairs...)
		if code != tc.code {
			t.Errorf("%s %s: %d %s %v", tc.action, tc.params, status, code, body)
		}
		if message, _ := body["Message"].(string); code != "" && !strings.Contains(message, "Action: ram:"+tc.action) {
			t.Errorf("%s: %q", tc.action, message)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.do("CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", trustECS)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			got, err := c.service.AssumeAs(context.Background(), "ecs.aliyuncs.com", "r", "s", time.Hour)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := c.service.Identify(got.AccessKeyID, got.SecurityToken); err != nil {
				t.Error(err)
			}
			// One makes it, the others find it made.
			if _, code, _ := c.as(root, "CreatePolicy", "PolicyName", "p", "PolicyDocument", readOnly); code != "" && code != "EntityAlreadyExists.Policy" {
				t.Error(code)
			}
			_, code, _ := c.as(root, "AttachPolicyToRole", "RoleName", "r", "PolicyType", "Custom", "PolicyName", "p")
			if code != "" && code != "EntityAlreadyExists.Role.Policy" {
				t.Error(code)
			}
		})
	}
	wg.Wait()
	if l := dig(c.do("ListPoliciesForRole", "RoleName", "r"), "Policies", "Policy").([]any); len(l) != 1 {
		t.Errorf("attached %v", l)
	}
}
