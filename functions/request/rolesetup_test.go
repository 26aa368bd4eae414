package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"ecs-image-export/local/cloud"
)

// grantSetup gives the function's role what the set-up step gives it where the
// deployment allows that.
func (a account) grantSetup() {
	a.t.Helper()
	text, err := os.ReadFile("../../docs/policies/ecs-image-export-request.json")
	if err != nil {
		a.t.Fatal(err)
	}
	var file struct {
		Policies []struct {
			Name, If string
			Document json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		a.t.Fatal(err)
	}
	for _, p := range file.Policies {
		if p.If == "ALLOW_ROLE_SETUP" {
			a.policy(p.Name, strings.NewReplacer("${accountId}", "1234567890123456", "${exportRole}", consoleRole).Replace(string(p.Document)))
			a.call("AttachPolicyToRole", "RoleName", "ecs-image-export-request", "PolicyType", "Custom", "PolicyName", p.Name)
		}
	}
}

func TestAuthorizationIsNotSetUpUnasked(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	a := b.account(t)
	a.deleteRole()
	b.count("ram")
	if p := b.instance(t).do(t, "POST", "/authorization", "").problem(t); p.Status != 403 || p.Code != codeNoRoleSetup || !strings.Contains(p.Detail, "ALLOW_ROLE_SETUP") || !strings.Contains(p.Detail, authorizeURL) {
		t.Errorf("%+v", p)
	}
	if n := b.count("ram"); n != 0 {
		t.Errorf("RAM was called %d times", n)
	}
	// Allowed by the variable, but set up without it.
	b.config.AllowRoleSetup = true
	api := b.instance(t)
	if p := api.do(t, "POST", "/authorization", "").problem(t); p.Status != 403 || p.Code != codeNoRoleSetup || !strings.Contains(p.Detail, "ram:CreateRole") {
		t.Errorf("%+v", p)
	}
	a.grantSetup()
	if p := api.do(t, "POST", "/authorization", "", "Authorization", "Bearer "+scoped("exports:read exports:write")).problem(t); p.Status != 403 || p.Code != codeForbidden {
		t.Errorf("without the scope: %+v", p)
	}
	if r := api.authorization(t, "GET", "/authorization"); *r.Role.Exists || !r.SetupAllowed {
		t.Errorf("the role was made: %+v", r)
	}
}

// TestSetUpAuthorization makes the role with the rights that the function is
// deployed with, and wants what is there to stay.
func TestSetUpAuthorization(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	b.config.AllowRoleSetup = true
	api := b.instance(t)
	a := b.account(t)
	a.grantSetup()
	const system = "System/AliyunECSImageExportRolePolicy"
	good := func(r authorizationReport, created ...string) {
		t.Helper()
		if r.Authorized == nil || !*r.Authorized || !slices.Equal(r.Created, created) {
			t.Errorf("created %v, want %v: %+v", r.Created, created, r)
		}
	}
	good(api.authorization(t, "POST", "/authorization"))
	a.deleteRole()
	good(api.authorization(t, "POST", "/authorization"), "role", "permissions")
	good(api.authorization(t, "POST", "/authorization"))

	a.policies() // it stopped half-way
	good(api.authorization(t, "POST", "/authorization"), "permissions")

	enough := a.policy("enough", permissionPolicy)
	a.policies(enough)
	good(api.authorization(t, "POST", "/authorization"))
	if r := api.authorization(t, "GET", "/authorization"); !slices.Equal(r.Role.Policies, []string{enough}) {
		t.Errorf("policies %v", r.Role.Policies)
	}

	denies := a.policy("denies", `{"Version":"1","Statement":[{"Effect":"Deny","Action":"oss:PutObject","Resource":"*"}]}`)
	a.policies(denies)
	if r := api.authorization(t, "POST", "/authorization"); r.Authorized == nil || *r.Authorized || !slices.Contains(r.Role.Policies, denies) || !slices.Contains(r.Role.Policies, system) {
		t.Errorf("%+v", r)
	}

	const theirs = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":["fc.aliyuncs.com"]}}]}`
	a.policies()
	a.role(theirs)
	if p := api.do(t, "POST", "/authorization", "").problem(t); p.Status != 409 || p.Code != codeRoleTrust {
		t.Errorf("%+v", p)
	}
	if role, err := a.ram.Role(t.Context(), consoleRole); err != nil || role.Trust != theirs {
		t.Errorf("the trust policy is %s, %v", role.Trust, err)
	}
	if r := api.authorization(t, "GET", "/authorization"); len(r.Role.Policies) != 0 {
		t.Errorf("policies %v", r.Role.Policies)
	}

	// Many at once: each finds the role made by another, or not yet.
	a.deleteRole()
	var wg sync.WaitGroup
	reports := make([]authorizationReport, 8)
	for i := range reports {
		wg.Go(func() { reports[i] = b.instance(t).authorization(t, "POST", "/authorization") })
	}
	wg.Wait()
	made := 0
	for _, r := range reports {
		if r.Authorized == nil || !*r.Authorized {
			t.Errorf("%+v", r)
		}
		if slices.Contains(r.Created, "role") {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d calls made the role", made)
	}
}

// TestSetUpAuthorizationBehindAnother makes what another call has made since it
// looked: "exists already" is what was wanted.
func TestSetUpAuthorizationBehindAnother(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	b.config.AllowRoleSetup = true
	api := b.instance(t)
	b.account(t).grantSetup()
	stale := map[string]string{ // what was so when it looked, once each
		"ram GetRole":             `{"RequestId":"R","Code":"EntityNotExist.Role","Message":"The role does not exist."}`,
		"ram ListPoliciesForRole": `{"RequestId":"R","Policies":{"Policy":[]}}`,
	}
	var mu sync.Mutex
	b.meddle(func(call string, w http.ResponseWriter) bool {
		mu.Lock()
		defer mu.Unlock()
		body, found := stale[call]
		if found {
			if delete(stale, call); strings.Contains(body, "Code") {
				w.WriteHeader(http.StatusNotFound)
			}
			_, _ = w.Write([]byte(body))
		}
		return found
	})
	b.count("ram")
	if r := api.authorization(t, "POST", "/authorization"); r.Authorized == nil || !*r.Authorized || slices.Contains(r.Created, "role") {
		t.Errorf("%+v", r)
	}
	if creates, attaches := b.count("ram CreateRole"), b.count("ram AttachPolicyToRole"); creates != 1 || attaches != 1 {
		t.Errorf("%d tries to create the role, %d to attach the policy", creates, attaches)
	}
}

// TestSetUpAuthorizationNotShownYet lets RAM tell of what was made some calls later, as
// it may. Whatever it hides, the answer says that the role is whole only when it is,
// and a second call makes it so.
func TestSetUpAuthorizationNotShownYet(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	b.config.AllowRoleSetup = true
	api := b.instance(t)
	a := b.account(t)
	a.grantSetup()
	const unknown, none = `{"RequestId":"R","Code":"EntityNotExist.Role","Message":"The role does not exist."}`, `{"RequestId":"R","Policies":{"Policy":[]}}`
	for name, test := range map[string]struct {
		hides  map[string]int // how many answers to an action are out of date
		status int
	}{
		"nothing":                         {nil, 200},
		"the role at the second look":     {map[string]int{"GetRole": 2}, 200},
		"the role at every look":          {map[string]int{"GetRole": 9}, 503},
		"the role's policies, once":       {map[string]int{"ListPoliciesForRole": 1}, 200},
		"the role's policies, for longer": {map[string]int{"ListPoliciesForRole": 9}, 503},
		"the role, to whoever attaches":   {map[string]int{"AttachPolicyToRole": 1}, 503},
	} {
		a.deleteRole()
		var mu sync.Mutex
		hides := maps.Clone(test.hides)
		b.meddle(func(call string, w http.ResponseWriter) bool {
			mu.Lock()
			defer mu.Unlock()
			action := strings.TrimPrefix(call, "ram ")
			if hides[action] == 0 {
				return false
			}
			hides[action]--
			if action == "ListPoliciesForRole" {
				_, _ = w.Write([]byte(none))
				return true
			}
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(unknown))
			return true
		})
		answer := api.do(t, "POST", "/authorization", "")
		b.meddle(nil)
		var report authorizationReport
		answer.into(t, &report)
		switch {
		case answer.status != test.status:
			t.Errorf("%s: %d %s", name, answer.status, answer.body)
		case answer.status == 200 && (report.Authorized == nil || !*report.Authorized || !slices.Equal(report.Created, []string{"role", "permissions"})):
			t.Errorf("%s: %s", name, answer.body)
		case answer.status == 503 && (answer.header["Retry-After"] == "" || !strings.Contains(answer.problem(t).Detail, "Call this again.")):
			t.Errorf("%s: %v %s", name, answer.header, answer.body)
		}
		if r := api.authorization(t, "POST", "/authorization"); r.Authorized == nil || !*r.Authorized {
			t.Errorf("%s, and once more: %+v", name, r)
		}
	}
}

// TestSetUpAuthorizationRefused wants what RAM says to be told, and no half-truth
// where it says nothing.
func TestSetUpAuthorizationRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	b.config.AllowRoleSetup = true
	api := b.instance(t)
	a := b.account(t)
	a.grantSetup()
	a.deleteRole()
	fails := func(action string, status int, code string) {
		b.meddle(func(call string, w http.ResponseWriter) bool {
			if call != "ram "+action {
				return false
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"RequestId":"R","Code":"` + code + `","Message":"it said so"}`))
			return true
		})
	}
	fails("CreateRole", 409, "LimitExceeded.Role")
	if p := api.do(t, "POST", "/authorization", "").problem(t); p.Status != 409 || p.Code != codeRoleRefused || p.Errors[0].Code != "LimitExceeded.Role" || !strings.Contains(p.Detail, "it said so") {
		t.Errorf("%+v", p)
	}
	if p := api.do(t, "POST", "/authorization", "").problem(t); !strings.Contains(p.Detail, "Or make the role in the RAM console") {
		t.Errorf("no remedy: %s", p.Detail)
	}
	fails("GetRole", 400, "InvalidSecurityToken.Expired")
	if p := api.do(t, "POST", "/authorization", "").problem(t); p.Status != 500 || p.Code != codeRefused || strings.Contains(p.Detail, "Call this again") {
		t.Errorf("credentials that are not taken: %+v", p)
	}
	for _, action := range []string{"CreateRole", "AttachPolicyToRole"} {
		fails(action, 500, "InternalError")
		if p := api.do(t, "POST", "/authorization", "").problem(t); p.Status != 503 || !strings.Contains(p.Detail, action) {
			t.Errorf("%+v", p)
		}
	}
	b.meddle(nil)
	if r := api.authorization(t, "POST", "/authorization"); r.Authorized == nil || !*r.Authorized || !slices.Equal(r.Created, []string{"permissions"}) {
		t.Errorf("%+v", r)
	}
	// It is done when RAM shows it, and not when RAM does not tell.
	fails("ListPoliciesForRole", 500, "InternalError")
	if p := api.do(t, "POST", "/authorization", "").problem(t); p.Status != 503 || !strings.Contains(p.Detail, "call this again") && !strings.Contains(p.Detail, "Call this again") {
		t.Errorf("%+v", p)
	}
	fails("ListPoliciesForRole", 403, "NoPermission")
	if p := api.do(t, "POST", "/authorization", "").problem(t); p.Status != 403 || p.Code != codeNoRoleSetup || !strings.Contains(p.Detail, "ram:ListPoliciesForRole") {
		t.Errorf("%+v", p)
	}
	// What can't be told is not told.
	fails("GetRole", 403, "NoPermission")
	if r := api.authorization(t, "GET", "/authorization"); r.Authorized != nil || r.Role.Exists != nil || len(r.Missing) != 0 {
		t.Errorf("%+v", r)
	}
	a.policies("System/AliyunOSSFullAccess")
	fails("GetPolicy", 403, "NoPermission")
	if r := api.authorization(t, "GET", "/authorization"); r.Authorized != nil || len(r.Missing) != 0 || !strings.Contains(r.Findings[0].Found, "policy System/AliyunOSSFullAccess can't be read: the function's role lacks ram:GetPolicy") {
		t.Errorf("%+v", r)
	}
}
