package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/syaml"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/function"
	"ecs-image-export/shared/ram"
	"ecs-image-export/shared/rpc"
)

// account changes RAM as the account's administrator.
type account struct {
	t   *testing.T
	rpc *rpc.Client
	ram *ram.Client
}

func (b *bench) account(t *testing.T) account {
	t.Helper()
	e := b.environment
	calls, err := rpc.New(rpc.Config{Product: "Ram", Version: "2015-05-01", Endpoint: e["RAM_ENDPOINT"], Region: e["REGION"], Credentials: b.administrator})
	if err != nil {
		t.Fatal(err)
	}
	roles, err := ram.New(ram.Config{Region: e["REGION"], RAMEndpoint: e["RAM_ENDPOINT"], STSEndpoint: e["STS_ENDPOINT"], Credentials: b.administrator})
	if err != nil {
		t.Fatal(err)
	}
	return account{t, calls, roles}
}

func (a account) call(action string, params ...string) {
	a.t.Helper()
	m := map[string]string{}
	for i := 0; i+1 < len(params); i += 2 {
		m[params[i]] = params[i+1]
	}
	if err := a.rpc.Call(a.t.Context(), action, m, nil); err != nil {
		a.t.Fatal(err)
	}
}

// policies gives the export role these policies, as type and name, and no others.
func (a account) policies(names ...string) {
	a.t.Helper()
	has, err := a.ram.Attached(a.t.Context(), consoleRole)
	if err != nil {
		a.t.Fatal(err)
	}
	change := func(action string, full string) {
		kind, name, _ := strings.Cut(full, "/")
		a.call(action, "RoleName", consoleRole, "PolicyType", kind, "PolicyName", name)
	}
	for _, full := range has {
		change("DetachPolicyFromRole", full)
	}
	for _, full := range names {
		change("AttachPolicyToRole", full)
	}
}

func (a account) policy(name, document string) string {
	a.t.Helper()
	if err := a.ram.EnsurePolicy(a.t.Context(), name, "", document); err != nil {
		a.t.Fatal(err)
	}
	return "Custom/" + name
}

func (a account) role(trust string) {
	a.t.Helper()
	if _, err := a.ram.EnsureRole(a.t.Context(), ram.Role{Name: consoleRole, Trust: trust}); err != nil {
		a.t.Fatal(err)
	}
}

func (a account) deleteRole() {
	a.t.Helper()
	a.policies()
	a.call("DeleteRole", "RoleName", consoleRole)
}

func (i *instance) authorization(t *testing.T, method, target string) authorizationReport {
	t.Helper()
	a := i.do(t, method, target, "")
	if a.status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, target, a.status, a.body)
	}
	var report authorizationReport
	a.into(t, &report)
	i.conforms(t, "AuthorizationReport", a)
	return report
}

// TestAuthorization is the table of what the role may be like, asked for with the
// function's own rights.
func TestAuthorization(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	b.config.ExportBuckets = []string{"image-exports", "more-exports"}
	api := b.instance(t)
	a := b.account(t)
	const (
		system  = "System/AliyunECSImageExportRolePolicy"
		fcTrust = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":["fc.aliyuncs.com"]}}]}`
	)
	statement := func(effect, action, resource string) string {
		return `{"Version":"1","Statement":[{"Effect":"` + effect + `","Action":"` + action + `","Resource":"` + resource + `"}]}`
	}
	both := `{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:GetBucket*","oss:ListMultipartUploads"],"Resource":["acs:oss:*:*:image-exports","acs:oss:*:*:more-exports"]},
		{"Effect":"Allow","Action":["oss:*Object","oss:AbortMultipartUpload","oss:ListParts"],"Resource":["acs:oss:*:*:image-exports/*","acs:oss:*:*:more-exports/*"]}]}`
	yes, no := true, false
	for _, test := range []struct {
		name       string
		set        func()
		authorized *bool
		missing    []string
		rules      []string
		found      string // in the first finding
	}{
		{"as the set-up step makes it", func() {}, &yes, nil, nil, ""},
		{"a custom policy on both buckets", func() { a.policies(a.policy("both", both)) }, &yes, nil, nil, ""},
		{"another system policy that grants enough", func() { a.policies("System/AliyunOSSFullAccess") }, &yes, nil, nil, ""},
		{"no policy", func() { a.policies() }, &no, []string{"permissions"}, []string{"role-grants", "role-grants"}, "does not allow oss:GetBucketLocation"},
		{"a policy that only reads", func() { a.policies("System/AliyunOSSReadOnlyAccess") }, &no, []string{"permissions"}, []string{"role-grants", "role-grants"}, "does not allow oss:PutObject, oss:DeleteObject, oss:AbortMultipartUpload on bucket image-exports"},
		{"a policy on one bucket", func() { a.policies(a.policy("one", statement("Allow", "oss:*", "acs:oss:*:*:image-exports*"))) }, &no, []string{"permissions"}, []string{"role-grants"}, "on bucket more-exports"},
		{"a policy on some objects", func() {
			a.policies(a.policy("both", both), a.policy("some", statement("Deny", "oss:PutObject", "acs:oss:*:*:*/*.vhd")))
		}, nil, nil, []string{"role-judged"}, "denies oss:PutObject on some resources"},
		{"a policy that denies", func() {
			a.policies(system, a.policy("no-delete", statement("Deny", "oss:DeleteObject", "acs:oss:*:*:more-*")))
		}, &no, nil, []string{"role-grants"}, "denies oss:DeleteObject on bucket more-exports"},
		{"a trust policy for another service", func() { a.policies(system); a.role(fcTrust) }, &no, []string{"trust"}, []string{"role-trust"}, "does not let ecs.aliyuncs.com take it"},
		{"neither trust nor permissions", func() { a.policies() }, &no, []string{"permissions", "trust"}, []string{"role-trust", "role-grants", "role-grants"}, "trust policy"},
		{"no role", a.deleteRole, &no, []string{"role"}, []string{"role-exists"}, "has no role " + consoleRole},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.set()
			r := api.authorization(t, "GET", "/authorization")
			var rules []string
			for _, f := range r.Findings {
				rules = append(rules, f.Rule)
			}
			if d := cmp.Diff(test.authorized, r.Authorized) + cmp.Diff(append([]string{}, test.missing...), r.Missing) + cmp.Diff(test.rules, rules); d != "" {
				t.Errorf("(-want +got) %s\n%+v", d, r.Findings)
			}
			if test.found != "" && (len(r.Findings) == 0 || !strings.Contains(r.Findings[0].Found, test.found) || r.Findings[0].Remedy == "") {
				t.Errorf("findings %+v, want %q", r.Findings, test.found)
			}
			if r.AuthorizeURL != authorizeURL || r.Role.Name != consoleRole || *r.Role.Exists != !slices.Contains(r.Missing, "role") || r.SetupAllowed || r.Created != nil {
				t.Errorf("%+v", r)
			}
		})
	}
	if r := api.authorization(t, "GET", "/authorization?roleName=another"); r.Authorized != nil || r.AuthorizeURL != "" || r.Role.Exists != nil ||
		!slices.ContainsFunc(r.Findings, func(f brokenRule) bool {
			return f.Rule == "role-judged" && strings.Contains(f.Found, "the function's role lacks ram:GetRole")
		}) {
		t.Errorf("a role that the function may not look at: %+v", r)
	}
	if p := api.do(t, "GET", "/authorization?roleName=a%20b", "").problem(t); p.Status != 422 {
		t.Errorf("impossible role: %+v", p)
	}
}

// TestRolesOfOthers wants nobody but an administrator to read what roles there are
// in the account beside those that exports are for, and what they may do.
func TestRolesOfOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	b.config.ExportRole = "exporter"
	api := b.instance(t)
	const both = "exports:read exports:admin"
	for _, test := range []struct {
		query, scopes string
		status        int
		lacks         string
	}{
		{"", "exports:read", http.StatusOK, ""},
		{"?roleName=exporter", "exports:read", http.StatusOK, ""},
		{"?roleName=Exporter", "exports:read", http.StatusOK, ""}, // RAM tells no capitals apart
		{"?roleName=" + consoleRole, "exports:read", http.StatusOK, ""},
		{"?roleName=another", "exports:read exports:write", http.StatusForbidden, "exports:admin"},
		{"?roleName=another", both, http.StatusOK, ""},
		{"?roleName=another", "exports:admin", http.StatusForbidden, "exports:read"},
	} {
		a := api.do(t, "GET", "/authorization"+test.query, "", "Authorization", "Bearer "+scoped(test.scopes))
		if a.status != test.status {
			t.Errorf("%s with %s: %d %s", test.query, test.scopes, a.status, a.body)
		}
		if a.status != http.StatusForbidden {
			continue
		}
		challenge := a.header["Www-Authenticate"]
		if p := a.problem(t); p.Code != codeForbidden || !strings.Contains(p.Detail, "the scope "+test.lacks) || !strings.Contains(p.Errors[0].Message, test.lacks) ||
			!strings.Contains(challenge, `error="insufficient_scope", error_description="The token lacks the scope `+test.lacks+`"`) {
			t.Errorf("%s with %s: %s %s", test.query, test.scopes, challenge, a.body)
		}
		if test.lacks == "exports:admin" && !strings.HasSuffix(challenge, `scope="`+both+`"`) {
			t.Errorf("whoever asks for what the challenge says comes back for more: %s", challenge)
		}
	}
}

// TestAuthorizationDocuments wants policies that work as they are answered: a role
// that is made of them may export.
func TestAuthorizationDocuments(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	api := b.instance(t)
	a := b.account(t)
	a.deleteRole()
	needed := api.authorization(t, "GET", "/authorization").Needed
	text := func(document any) string {
		s, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		return string(s)
	}
	a.role(text(needed.TrustPolicy))
	a.policies(a.policy("mine", text(needed.PermissionPolicy)))
	if r := api.authorization(t, "GET", "/authorization"); r.Authorized == nil || !*r.Authorized || len(r.Findings) != 0 {
		t.Errorf("%+v", r)
	}
	sum := api.create(t, order("imageId", b.images[0]))
	if x := b.follow(t, sum.ID, func(x export.Export) bool { return x.State.Terminal() }); x.State != export.Completed {
		t.Errorf("the export is %s: %+v", x.State, x.Failure)
	}
}

// TestOrdersAreCheckedForTheRole wants an order refused that ECS would refuse for
// its role, and no other.
func TestOrdersAreCheckedForTheRole(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	api := b.instance(t)
	a := b.account(t)
	const resources = `["acs:oss:*:*:image-exports","acs:oss:*:*:image-exports/Demo*"]`
	a.policies(a.policy("demo", `{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:*","Resource":`+resources+`}]}`))
	for prefix, want := range map[string][]string{"Demo": nil, "Demo1": nil, "Test": {"role-grants"}, "": {"role-judged"}} {
		if r := api.check(t, order("imageId", b.images[0], "prefix", prefix)); !slices.Equal(r.rules(), want) {
			t.Errorf("prefix %q: %v, want %v", prefix, r.rules(), want)
		}
	}
	a.deleteRole()
	p := api.do(t, "POST", "/exports", order("imageId", b.images[0])).problem(t)
	if p.Status != 422 || len(p.Errors) != 1 {
		t.Fatalf("%+v", p)
	}
	if f := p.Errors[0]; f.Rule != "role-exists" || f.Code != "NoSetRoletoECSServiceAcount" || f.Location != "body.roleName" || !strings.Contains(f.Remedy, authorizeURL) {
		t.Errorf("%+v", f)
	}
	if ids := b.recorded(t); len(ids) != 0 {
		t.Errorf("recorded %v", ids)
	}

	// RAM out of order keeps nobody from exporting.
	a.role(trustPolicy)
	a.policies("System/AliyunECSImageExportRolePolicy")
	b.meddle(func(call string, w http.ResponseWriter) bool {
		if strings.HasPrefix(call, "ram ") {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"RequestId":"R","Code":"InvalidAction.NotFound","Message":"m"}`))
			return true
		}
		return false
	})
	if r := api.check(t, order("imageId", b.images[0])); !slices.Equal(r.rules(), []string{"role-judged"}) || r.Verdict != verdict(export.Ready) {
		t.Errorf("%s %+v", r.Verdict, r.Findings)
	}
	api.create(t, order("imageId", b.images[0]))
}

// TestWatchedBuckets wants WATCHED_BUCKETS of s.yaml to name the buckets that have
// every trigger of the catalog.
func TestWatchedBuckets(t *testing.T) {
	t.Parallel()
	project, err := syaml.Load("../../s.yaml", syaml.Options{})
	if err != nil {
		t.Fatal(err)
	}
	suffixes := map[string]int{} // by bucket
	var said []string
	for _, f := range project.Functions {
		for _, trigger := range f.Triggers {
			if trigger.OSS != nil {
				suffixes[trigger.OSS.Bucket]++
			}
		}
		if list := f.Environment["WATCHED_BUCKETS"]; list != "" {
			said = strings.Split(list, ",")
		}
	}
	var watched []string
	for bucket, n := range suffixes {
		if n == len(export.Formats) {
			watched = append(watched, bucket)
		}
	}
	slices.Sort(watched)
	slices.Sort(said)
	if !slices.Equal(said, watched) {
		t.Errorf("WATCHED_BUCKETS says %v, the triggers are on %v", said, watched)
	}
	c := validConfig()
	for _, test := range []struct {
		watched   []string
		unwatched bool
	}{{nil, false}, {[]string{"image-exports"}, false}, {[]string{"other"}, true}} {
		if c.WatchedBuckets = test.watched; c.unwatched("image-exports") != test.unwatched {
			t.Errorf("%v: unwatched is %v", test.watched, !test.unwatched)
		}
	}
	e := validEnvironment()
	e["WATCHED_BUCKETS"] = "image-exports, more"
	if _, err := function.Decode[Config](e); err == nil || !strings.Contains(err.Error(), `WATCHED_BUCKETS holds " more"`) {
		t.Errorf("error %v", err)
	}
}
