package identity_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ecs-image-export/local/identity"
)

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	got, err := identity.ParsePolicy([]byte(` {"Version": "1", "Statement": [
		{"Effect": "Allow", "Action": "oss:GetObject", "Resource": ["acs:oss:*:1:b/*", "acs:oss:*:1:b"]},
		{"Effect": "Deny", "Action": ["oss:*", "*"], "Resource": "*"}]} `))
	if err != nil {
		t.Fatal(err)
	}
	want := identity.Policy{Version: "1", Statement: []identity.Statement{
		{Effect: "Allow", Action: identity.StringList{"oss:GetObject"}, Resource: identity.StringList{"acs:oss:*:1:b/*", "acs:oss:*:1:b"}},
		{Effect: "Deny", Action: identity.StringList{"oss:*", "*"}, Resource: identity.StringList{"*"}},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	t.Parallel()
	statement := func(s string) string { return `{"Version":"1","Statement":[` + s + `]}` }
	for name, c := range map[string]struct{ document, says string }{
		"empty":               {``, "JSON object"},
		"no object":           {`[]`, "JSON object"},
		"null":                {`null`, "JSON object"},
		"cut":                 {`{"Version":"1"`, "JSON object"},
		"two documents":       {statement(`{"Effect":"Allow","Action":"*","Resource":"*"}`) + `{}`, "follows"},
		"no version":          {`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`, `"Version" is missing`},
		"AWS version":         {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`, "2012-10-17"},
		"version as number":   {`{"Version":1,"Statement":[]}`, "Version"},
		"no statements":       {`{"Version":"1","Statement":[]}`, "Statement is empty"},
		"statement as object": {`{"Version":"1","Statement":{}}`, "Statement"},
		"Condition":           {statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{}}`), `"Condition" is not supported`},
		"NotAction":           {statement(`{"Effect":"Allow","NotAction":"*","Resource":"*"}`), `"NotAction" is not supported`},
		"NotResource":         {statement(`{"Effect":"Allow","Action":"*","NotResource":"*"}`), `"NotResource" is not supported`},
		"Principal":           {statement(`{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}`), `"Principal" is not supported`},
		"other case":          {statement(`{"effect":"Allow","Action":"*","Resource":"*"}`), `"effect" is not supported`},
		"twice":               {statement(`{"Effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"}`), "twice"},
		"extra at the top":    {`{"Id":"x","Version":"1","Statement":[]}`, `"Id" is not supported`},
		"effect":              {statement(`{"Effect":"allow","Action":"*","Resource":"*"}`), "neither Allow nor Deny"},
		"no resource":         {statement(`{"Effect":"Allow","Action":"*"}`), `"Resource" is missing`},
		"empty resource":      {statement(`{"Effect":"Allow","Action":"*","Resource":""}`), "Resource"},
		"empty resources":     {statement(`{"Effect":"Allow","Action":"*","Resource":[]}`), "Resource is empty"},
		"action of nothing":   {statement(`{"Effect":"Allow","Action":"PutObject","Resource":"*"}`), "<service>:<action>"},
		"action number":       {statement(`{"Effect":"Allow","Action":7,"Resource":"*"}`), "list of strings"},
		"action with null":    {statement(`{"Effect":"Allow","Action":["oss:*",null],"Resource":"*"}`), "list of strings"},
		"action null":         {statement(`{"Effect":"Allow","Action":null,"Resource":"*"}`), "Action"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := identity.ParsePolicy([]byte(c.document))
			if err == nil {
				t.Fatalf("accepted as %+v", got)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q does not say %q", err, c.says)
			}
		})
	}
}

func TestAPolicyReadsBackWhatItWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawPolicy(t)
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := identity.ParsePolicy(data)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func drawPolicy(t *rapid.T) identity.Policy {
	list := func(g *rapid.Generator[string], name string) identity.StringList {
		return rapid.SliceOfN(g, 1, 3).Draw(t, name)
	}
	p := identity.Policy{Version: "1"}
	for range rapid.IntRange(1, 4).Draw(t, "statements") {
		p.Statement = append(p.Statement, identity.Statement{
			Effect:   rapid.SampledFrom([]string{"Allow", "Deny"}).Draw(t, "effect"),
			Action:   list(rapid.StringMatching(`[a-z]{1,3}:[A-Za-z*?]{1,6}|\*`), "actions"),
			Resource: list(rapid.StringMatching(`acs:oss:\*:1:[ab*?]{1,4}(/[ab*?]{1,4})?|\*`), "resources"),
		})
	}
	return p
}

func FuzzParsePolicy(f *testing.F) {
	for _, seed := range []string{
		`{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:*"],"Resource":"*"}]}`,
		`{"Version":"1","Statement":[{"Effect":"Deny","Action":"*","Resource":["acs:oss:*:1:b/*"],"Condition":{}}]}`,
		`{"Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":["ecs.aliyuncs.com"]}}],"Version":"1"}`,
		`{"Version":"1","Statement":[{}]}{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := identity.ParsePolicy(data); err == nil {
			again, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if q, err := identity.ParsePolicy(again); err != nil || !cmp.Equal(p, q) {
				t.Errorf("%s: read as %+v, then as %+v: %v", data, p, q, err)
			}
			id := identity.Identity{Policies: []identity.Policy{p}}
			id.Allows("oss:GetObject", "acs:oss:*:1:b/k")
		}
		if p, err := identity.ParseTrustPolicy(data); err == nil {
			p.TrustsService("ecs.aliyuncs.com")
			p.TrustsCaller(&identity.Identity{AccountID: "1", ARN: "acs:ram::1:assumed-role/r/s"})
		}
	})
}
