package identity_test

import (
	"strings"
	"testing"

	"ecs-image-export/local/identity"
)

func trust(t *testing.T, principal string) identity.TrustPolicy {
	t.Helper()
	p, err := identity.ParseTrustPolicy([]byte(`{"Version":"1","Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":` + principal + `}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTrustsService(t *testing.T) {
	t.Parallel()
	p := trust(t, `{"Service":["ecs.aliyuncs.com","fc.aliyuncs.com"]}`)
	for service, want := range map[string]bool{"ecs.aliyuncs.com": true, "FC.aliyuncs.com": true, "oss.aliyuncs.com": false, "": false} {
		if got := p.TrustsService(service); got != want {
			t.Errorf("%q: %v", service, got)
		}
	}
	if p.TrustsCaller(&identity.Identity{AccountID: "1", ARN: "acs:ram::1:user/u", Root: false}) {
		t.Error("a user is no service")
	}
}

func TestTrustsCaller(t *testing.T) {
	t.Parallel()
	session := &identity.Identity{AccountID: "1", ARN: "acs:ram::1:assumed-role/Worker/s1"}
	user := &identity.Identity{AccountID: "1", ARN: "acs:ram::1:user/u"}
	for name, c := range map[string]struct {
		principal string
		id        *identity.Identity
		want      bool
	}{
		"anyone of the account":   {`{"RAM":"acs:ram::1:root"}`, session, true},
		"other account":           {`{"RAM":["acs:ram::2:root"]}`, session, false},
		"a role":                  {`{"RAM":["acs:ram::1:role/worker"]}`, session, true},
		"other role":              {`{"RAM":["acs:ram::1:role/boss"]}`, session, false},
		"same role, other acount": {`{"RAM":["acs:ram::2:role/worker"]}`, session, false},
		"a user":                  {`{"RAM":["acs:ram::1:user/u"]}`, user, true},
		"a user is no role":       {`{"RAM":["acs:ram::1:role/u"]}`, user, false},
		"second of two":           {`{"Service":["fc.aliyuncs.com"],"RAM":["acs:ram::2:root","acs:ram::1:user/u"]}`, user, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := trust(t, c.principal).TrustsCaller(c.id); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestATrustPolicyCanDeny(t *testing.T) {
	t.Parallel()
	p, err := identity.ParseTrustPolicy([]byte(`{"Version":"1","Statement":[
		{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"RAM":"acs:ram::1:root"}},
		{"Action":"sts:*","Effect":"Deny","Principal":{"RAM":"acs:ram::1:user/u"}},
		{"Action":"oss:GetObject","Effect":"Deny","Principal":{"RAM":"acs:ram::1:root"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if p.TrustsCaller(&identity.Identity{AccountID: "1", ARN: "acs:ram::1:user/u"}) {
		t.Error("the denied user is trusted")
	}
	if !p.TrustsCaller(&identity.Identity{AccountID: "1", ARN: "acs:ram::1:user/v"}) {
		t.Error("the other user is not trusted")
	}
}

func TestParseTrustPolicyRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ statement, says string }{
		"Resource":       {`{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":"x"},"Resource":"*"}`, `"Resource" is not supported`},
		"Federated":      {`{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Federated":"x"}}`, `"Federated" is not supported`},
		"Condition":      {`{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":"x"},"Condition":{}}`, `"Condition" is not supported`},
		"no principal":   {`{"Action":"sts:AssumeRole","Effect":"Allow"}`, `"Principal" is missing`},
		"nobody":         {`{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{}}`, "nobody"},
		"empty":          {`{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"RAM":[]}}`, "nobody"},
		"star":           {`{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"RAM":"*"}}`, "acs:ram"},
		"bare account":   {`{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"RAM":"1234567890123456"}}`, "acs:ram"},
		"principal text": {`{"Action":"sts:AssumeRole","Effect":"Allow","Principal":"*"}`, "object"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := identity.ParseTrustPolicy([]byte(`{"Version":"1","Statement":[` + c.statement + `]}`))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v does not say %q", err, c.says)
			}
		})
	}
}
