package ram_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/google/go-cmp/cmp"

	"ecs-image-export/local/identity"
	"ecs-image-export/local/ram"
)

const account = "1234567890123456"

var (
	root  = identity.Credentials{AccessKeyID: "LTAIroot", AccessKeySecret: "rootsecret"}
	admin = identity.Credentials{AccessKeyID: "LTAIadmin", AccessKeySecret: "adminsecret"}
)

// cloud is a RAM and an STS that are reached by the official SDK.
type cloud struct {
	t        *testing.T
	service  *ram.Service
	cfg      ram.Config
	ram, sts *httptest.Server
	clock    *clock
}

// clock runs with the real one, since the SDK stamps requests by that, and can
// be put forward for what the service takes the time for.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func open(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{t: t, clock: &clock{}}
	c.cfg = ram.Config{
		Dir: t.TempDir(), AccountID: account, Region: "cn-hangzhou", Root: root, Now: c.clock.now,
		Users: []ram.User{{Name: "admin", Credentials: admin, Policies: []string{"AdministratorAccess"}}},
	}
	c.start()
	t.Cleanup(func() { c.stop() })
	return c
}

func (c *cloud) start() {
	c.t.Helper()
	s, err := ram.Open(c.cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.service, c.ram, c.sts = s, httptest.NewServer(s.RAM()), httptest.NewServer(s.STS())
}

func (c *cloud) stop() {
	c.t.Helper()
	c.ram.Close()
	c.sts.Close()
	if err := c.service.Close(); err != nil {
		c.t.Error(err)
	}
}

// as calls an action with the official SDK and returns the answer without its
// request id, or the error's code and status.
func (c *cloud) as(who identity.Credentials, action string, pairs ...string) (map[string]any, string, int) {
	c.t.Helper()
	config := sdk.NewConfig()
	var provider credentials.CredentialsProvider = credentials.NewStaticAKCredentialsProvider(who.AccessKeyID, who.AccessKeySecret)
	if who.SecurityToken != "" {
		provider = credentials.NewStaticSTSCredentialsProvider(who.AccessKeyID, who.AccessKeySecret, who.SecurityToken)
	}
	client, err := sdk.NewClientWithOptions("cn-hangzhou", config, provider)
	if err != nil {
		c.t.Fatal(err)
	}
	r := requests.NewCommonRequest()
	r.Method, r.Scheme, r.ApiName = "POST", "http", action
	r.Product, r.Version, r.Domain = "Ram", "2015-05-01", strings.TrimPrefix(c.ram.URL, "http://")
	if action == "AssumeRole" || action == "GetCallerIdentity" || action == "AssumeRoleWithSAML" {
		r.Product, r.Version, r.Domain = "Sts", "2015-04-01", strings.TrimPrefix(c.sts.URL, "http://")
	}
	for i := 0; i < len(pairs); i += 2 {
		r.QueryParams[pairs[i]] = pairs[i+1]
	}
	answer, err := client.ProcessCommonRequest(r)
	if e, ok := err.(*sdkerrors.ServerError); ok {
		return map[string]any{"Message": e.Message()}, e.ErrorCode(), e.HttpStatus()
	}
	if err != nil {
		c.t.Fatalf("%s: %v", action, err)
	}
	var body map[string]any
	if err := json.Unmarshal(answer.GetHttpContentBytes(), &body); err != nil {
		c.t.Fatalf("%s: %v", action, err)
	}
	if body["RequestId"] == "" {
		c.t.Errorf("%s: no request id", action)
	}
	delete(body, "RequestId")
	return body, "", answer.GetHttpStatus()
}

// do calls as the account and fails the test on an error.
func (c *cloud) do(action string, pairs ...string) map[string]any {
	c.t.Helper()
	body, code, status := c.as(root, action, pairs...)
	if code != "" {
		c.t.Fatalf("%s %v: %d %s %v", action, pairs, status, code, body)
	}
	return body
}

// dig returns what lies at the end of keys and indexes.
func dig(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func names(list any, field string) []string {
	got := []string{}
	l, _ := list.([]any)
	for _, item := range l {
		got = append(got, dig(item, field).(string))
	}
	return got
}

const (
	trustECS  = `{"Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":["ecs.aliyuncs.com"]}}],"Version":"1"}`
	trustRoot = `{"Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"RAM":["acs:ram::` + account + `:root"]}}],"Version":"1"}`
	readOnly  = `{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:Get*"],"Resource":"*"}]}`
	writeOnly = `{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:Put*"],"Resource":"*"}]}`
)

func TestRoles(t *testing.T) {
	t.Parallel()
	c := open(t)
	made := dig(c.do("CreateRole", "RoleName", "MyRole", "Description", "a role", "AssumeRolePolicyDocument", trustECS), "Role").(map[string]any)
	id, date := made["RoleId"].(string), made["CreateDate"].(string)
	if len(id) != 18 {
		t.Errorf("role id %q", id)
	}
	if _, err := time.Parse("2006-01-02T15:04:05Z", date); err != nil {
		t.Error(err)
	}
	want := map[string]any{
		"RoleName": "MyRole", "RoleId": id, "Arn": "acs:ram::" + account + ":role/MyRole", "Description": "a role",
		"AssumeRolePolicyDocument": trustECS, "MaxSessionDuration": 3600.0, "CreateDate": date, "UpdateDate": date,
	}
	if d := cmp.Diff(want, made); d != "" {
		t.Error(d)
	}
	// Names are compared without case.
	if d := cmp.Diff(any(want), dig(c.do("GetRole", "RoleName", "myROLE"), "Role")); d != "" {
		t.Error(d)
	}
	updated := dig(c.do("UpdateRole", "RoleName", "myrole", "NewDescription", "better", "NewMaxSessionDuration", "7200", "NewAssumeRolePolicyDocument", trustRoot), "Role")
	want["Description"], want["MaxSessionDuration"], want["AssumeRolePolicyDocument"] = "better", 7200.0, trustRoot
	want["UpdateDate"] = dig(updated, "UpdateDate")
	if d := cmp.Diff(any(want), updated); d != "" {
		t.Error(d)
	}
	c.do("DeleteRole", "RoleName", "MYROLE")
	if _, code, status := c.as(root, "GetRole", "RoleName", "MyRole"); code != "EntityNotExist.Role" || status != 404 {
		t.Errorf("got %d %s", status, code)
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	c := open(t)
	made := dig(c.do("CreatePolicy", "PolicyName", "read", "Description", "d", "PolicyDocument", readOnly), "Policy")
	date := dig(made, "CreateDate")
	if d := cmp.Diff(any(map[string]any{
		"PolicyName": "read", "PolicyType": "Custom", "Description": "d", "DefaultVersion": "v1", "CreateDate": date,
	}), made); d != "" {
		t.Error(d)
	}
	second := dig(c.do("CreatePolicyVersion", "PolicyName", "read", "PolicyDocument", writeOnly), "PolicyVersion")
	if dig(second, "VersionId") != "v2" || dig(second, "IsDefaultVersion") != false || dig(second, "PolicyDocument") != writeOnly {
		t.Errorf("got %v", second)
	}
	got := c.do("GetPolicy", "PolicyName", "read", "PolicyType", "Custom")
	if dig(got, "DefaultPolicyVersion", "PolicyDocument") != readOnly || dig(got, "Policy", "AttachmentCount") != 0.0 {
		t.Errorf("got %v", got)
	}
	c.do("SetDefaultPolicyVersion", "PolicyName", "read", "VersionId", "v2")
	got = c.do("GetPolicy", "PolicyName", "read", "PolicyType", "Custom")
	if dig(got, "DefaultPolicyVersion", "PolicyDocument") != writeOnly || dig(got, "Policy", "DefaultVersion") != "v2" {
		t.Errorf("got %v", got)
	}
	c.do("DeletePolicyVersion", "PolicyName", "read", "VersionId", "v1")
	// Ids of versions are not used again.
	c.do("CreatePolicyVersion", "PolicyName", "read", "PolicyDocument", readOnly, "SetAsDefault", "true")
	versions := dig(c.do("ListPolicyVersions", "PolicyName", "read", "PolicyType", "Custom"), "PolicyVersions", "PolicyVersion")
	if d := cmp.Diff([]string{"v2", "v3"}, names(versions, "VersionId")); d != "" {
		t.Error(d)
	}
	v3 := dig(c.do("GetPolicyVersion", "PolicyName", "read", "PolicyType", "Custom", "VersionId", "v3"), "PolicyVersion")
	if dig(v3, "IsDefaultVersion") != true || dig(v3, "PolicyDocument") != readOnly {
		t.Errorf("got %v", v3)
	}
	c.do("DeletePolicyVersion", "PolicyName", "read", "VersionId", "v2")
	c.do("DeletePolicy", "PolicyName", "read")
}

func TestVersionsRotate(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.do("CreatePolicy", "PolicyName", "p", "PolicyDocument", readOnly)
	for range 4 {
		c.do("CreatePolicyVersion", "PolicyName", "p", "PolicyDocument", writeOnly)
	}
	if _, code, status := c.as(root, "CreatePolicyVersion", "PolicyName", "p", "PolicyDocument", writeOnly); code != "LimitExceeded.Policy.Version" || status != 409 {
		t.Errorf("got %d %s", status, code)
	}
	c.do("CreatePolicyVersion", "PolicyName", "p", "PolicyDocument", writeOnly, "RotateStrategy", "DeleteOldestNonDefaultVersionWhenLimitExceeded")
	versions := dig(c.do("ListPolicyVersions", "PolicyName", "p", "PolicyType", "Custom"), "PolicyVersions", "PolicyVersion")
	if d := cmp.Diff([]string{"v1", "v3", "v4", "v5", "v6"}, names(versions, "VersionId")); d != "" {
		t.Error(d)
	}
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.do("CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", trustECS)
	c.do("CreatePolicy", "PolicyName", "p", "PolicyDocument", readOnly)
	c.do("AttachPolicyToRole", "RoleName", "R", "PolicyType", "Custom", "PolicyName", "p")
	c.do("AttachPolicyToRole", "RoleName", "r", "PolicyType", "System", "PolicyName", "AliyunECSImageExportRolePolicy")
	attached := dig(c.do("ListPoliciesForRole", "RoleName", "r"), "Policies", "Policy")
	if d := cmp.Diff([]string{"p", "AliyunECSImageExportRolePolicy"}, names(attached, "PolicyName")); d != "" {
		t.Error(d)
	}
	entities := c.do("ListEntitiesForPolicy", "PolicyType", "Custom", "PolicyName", "p")
	if dig(entities, "Roles", "Role", 0, "RoleName") != "r" || dig(entities, "Roles", "Role", 0, "Arn") != "acs:ram::"+account+":role/r" {
		t.Errorf("got %v", entities)
	}
	if d := cmp.Diff([]any{}, dig(entities, "Users", "User")); d != "" {
		t.Error(d)
	}
	if n := dig(c.do("GetPolicy", "PolicyType", "Custom", "PolicyName", "p"), "Policy", "AttachmentCount"); n != 1.0 {
		t.Errorf("attachments: %v", n)
	}
	c.do("DetachPolicyFromRole", "RoleName", "r", "PolicyType", "Custom", "PolicyName", "p")
	c.do("DeletePolicy", "PolicyName", "p")
	c.do("DetachPolicyFromRole", "RoleName", "r", "PolicyType", "System", "PolicyName", "AliyunECSImageExportRolePolicy")
	if l := dig(c.do("ListPoliciesForRole", "RoleName", "r"), "Policies", "Policy"); len(l.([]any)) != 0 {
		t.Errorf("left: %v", l)
	}
	c.do("DeleteRole", "RoleName", "r")
}

func TestListsComeInPages(t *testing.T) {
	t.Parallel()
	c := open(t)
	want := []string{"a", "b", "c", "d", "e"}
	for _, name := range want {
		c.do("CreateRole", "RoleName", name, "AssumeRolePolicyDocument", trustECS)
		c.do("CreatePolicy", "PolicyName", name, "PolicyDocument", readOnly)
	}
	for list, field := range map[string][]string{"ListRoles": {"Roles", "Role", "RoleName"}, "ListPolicies": {"Policies", "Policy", "PolicyName"}} {
		var got []string
		marker := ""
		for pages := 1; ; pages++ {
			body := c.do(list, "MaxItems", "2", "Marker", marker, "PolicyType", "Custom")
			got = append(got, names(dig(body, field[0], field[1]), field[2])...)
			if body["IsTruncated"] != true {
				if pages != 3 || body["Marker"] != nil {
					t.Errorf("%s: %d pages, marker %v", list, pages, body["Marker"])
				}
				break
			}
			marker = body["Marker"].(string)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", list, d)
		}
	}
	all := names(dig(c.do("ListPolicies"), "Policies", "Policy"), "PolicyType")
	if strings.Count(strings.Join(all, " "), "Custom") != 5 || !strings.Contains(strings.Join(all, " "), "System") {
		t.Errorf("types: %v", all)
	}
}

func TestSystemPoliciesAreReadable(t *testing.T) {
	t.Parallel()
	c := open(t)
	list := names(dig(c.do("ListPolicies", "PolicyType", "System"), "Policies", "Policy"), "PolicyName")
	if len(list) < 5 {
		t.Fatalf("only %v", list)
	}
	for _, name := range list {
		got := dig(c.do("GetPolicy", "PolicyType", "System", "PolicyName", name), "DefaultPolicyVersion", "PolicyDocument").(string)
		if _, err := identity.ParsePolicy([]byte(got)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStateSurvivesARestart(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.do("CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", trustRoot)
	c.do("AttachPolicyToRole", "RoleName", "r", "PolicyType", "System", "PolicyName", "AliyunOSSFullAccess")
	taken := c.assume("r")
	c.stop()
	c.start()
	if got := dig(c.do("ListPoliciesForRole", "RoleName", "r"), "Policies", "Policy", 0, "PolicyName"); got != "AliyunOSSFullAccess" {
		t.Errorf("got %v", got)
	}
	id, err := c.service.Identify(taken.AccessKeyID, taken.SecurityToken)
	if err != nil {
		t.Fatal(err)
	}
	if !id.Allows("oss:PutObject", "acs:oss:*:"+account+":b/k") {
		t.Error("the session lost its permissions")
	}
}

func TestTheStateHasOneOwner(t *testing.T) {
	t.Parallel()
	c := open(t)
	if s, err := ram.Open(c.cfg); err == nil {
		t.Error("opened twice", s.Close())
	}
	for name, cfg := range map[string]ram.Config{
		"no account": {Dir: t.TempDir(), Root: root},
		"no root":    {Dir: t.TempDir(), AccountID: account},
		"unknown policy": {Dir: t.TempDir(), AccountID: account, Root: root,
			Users: []ram.User{{Name: "u", Policies: []string{"AliyunNothing"}}}},
	} {
		if s, err := ram.Open(cfg); err == nil {
			t.Errorf("%s: opened, %v", name, s.Close())
		}
	}
}
