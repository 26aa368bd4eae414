package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
)

// TestFields sends each text that a call may hold blank, as spaces and very long.
// A blank one is as good as left out, unless it is required; what is no value says so,
// in a sentence of its own, and without the whole of what was sent.
func TestFields(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1})
	api := b.instance(t)
	long := strings.Repeat("x", 10_000)
	for _, test := range []struct{ field, blank, spaces, long string }{
		{"imageId", "body.imageId", "image-exists", "image-exists"},
		{"bucket", "", "bucket-allowed", "bucket-allowed"},
		{"prefix", "", "prefix-form", "prefix-form"},
		{"format", "", "format-valid", "format-valid"},
		{"roleName", "", "role-form", "role-form"},
	} {
		for value, rule := range map[string]string{"": test.blank, "  ": test.spaces, long: test.long} {
			body := order("imageId", b.images[0], test.field, value)
			if test.field == "imageId" {
				body = order("imageId", value)
			}
			a := api.do(t, "POST", "/exports/check", body)
			switch {
			case strings.HasPrefix(rule, "body."):
				if p := a.problem(t); p.Status != http.StatusUnprocessableEntity || len(p.Errors) != 1 || p.Errors[0].Location != rule || !strings.Contains(p.Errors[0].Message, "length") {
					t.Errorf("check %s %.10q: %+v", test.field, value, p)
				}
			default:
				var report checkReport
				a.into(t, &report)
				i := slices.IndexFunc(report.Findings, func(f brokenRule) bool { return f.Severity == export.Error })
				switch {
				case rule == "" && (i >= 0 || report.Verdict != verdict(export.Ready)):
					t.Errorf("check %s %.10q: %+v", test.field, value, report)
				case rule == "":
				case i < 0 || report.Findings[i].Rule != rule || len(report.Findings[i].Found) > 300 || value == "  " && !strings.ContainsAny(report.Findings[i].Found, `"'`):
					t.Errorf("check %s %.10q: %+v, want %s", test.field, value, report.Findings, rule)
				}
			}
			// The order itself says the same, in problems of the same fields.
			if rule == "" {
				continue
			}
			p := api.do(t, "POST", "/exports", body).problem(t)
			if p.Status != http.StatusUnprocessableEntity || len(p.Errors) != 1 || p.Errors[0].Location != "body."+test.field || len(p.Errors[0].Message) > 500 {
				t.Errorf("order %s %.10q: %+v", test.field, value, p)
			}
			if !strings.HasPrefix(rule, "body.") && p.Errors[0].Rule != rule {
				t.Errorf("order %s %.10q: %+v, want %s", test.field, value, p.Errors[0], rule)
			}
		}
	}
	for _, test := range []struct {
		target              string
		blank, spaces, long int
		location            string
	}{
		{"/authorization?roleName=", 200, 422, 422, "query.roleName"},
		{"/exports?imageId=", 200, 422, 422, "query.imageId"},
		{"/exports?state=", 200, 422, 422, "query.state"},
		{"/exports?pageToken=", 200, 400, 400, "query.pageToken"},
		{"/images?pageToken=", 200, 400, 400, "query.pageToken"},
	} {
		for value, status := range map[string]int{"": test.blank, "  ": test.spaces, long: test.long} {
			a := api.do(t, "GET", test.target+url.QueryEscape(value), "")
			if a.status != status || len(a.body) > 5_000 {
				t.Errorf("%s%.10q: %d %.300s", test.target, value, a.status, a.body)
				continue
			}
			if status == http.StatusOK {
				continue
			}
			if p := a.problem(t); len(p.Errors) != 1 || p.Errors[0].Location != test.location {
				t.Errorf("%s%.10q: %+v", test.target, value, p)
			}
		}
	}
	if ids := b.recorded(t); len(ids) != 0 {
		t.Errorf("recorded: %v", ids)
	}
}

// TestRoleOfAnOrder wants the role of an order to be judged for whoever may order
// with it, and for nobody who may only look: what is found tells what is in the
// policies of a role.
func TestRoleOfAnOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	b.config.ExportRole = "exporter"
	api := b.instance(t)
	for _, test := range []struct {
		role, scopes string
		status       int
	}{
		{"", "exports:read", http.StatusOK},
		{"Exporter", "exports:read", http.StatusOK}, // RAM tells no capitals apart
		{consoleRole, "exports:read", http.StatusOK},
		{"no name", "exports:read", http.StatusOK},
		{"another", "exports:read", http.StatusForbidden},
		{"another", "exports:read exports:admin", http.StatusForbidden},
		{"another", "exports:read exports:write", http.StatusOK},
	} {
		before := b.count("ram GetRole")
		a := api.do(t, "POST", "/exports/check", order("imageId", b.images[0], "roleName", test.role), "Authorization", "Bearer "+scoped(test.scopes))
		if a.status != test.status {
			t.Errorf("%q with %s: %d %s", test.role, test.scopes, a.status, a.body)
		}
		if a.status != http.StatusForbidden {
			continue
		}
		p := a.problem(t)
		if challenge := a.header["Www-Authenticate"]; !strings.HasSuffix(challenge, `scope="exports:read exports:write"`) || !strings.Contains(p.Detail, "the scope exports:write") {
			t.Errorf("%q with %s: %s %s", test.role, test.scopes, challenge, a.body)
		}
		if n := b.count("ram GetRole"); n != before {
			t.Errorf("%q with %s: RAM was asked", test.role, test.scopes)
		}
	}
}

// TestMalformedRole wants what is no name of a role to be called that, not a role
// that is missing.
func TestMalformedRole(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	api := b.instance(t)
	arn := fmt.Sprintf("acs:ram::%s:role/%s", b.config.AccountID, consoleRole)
	r := api.check(t, order("imageId", b.images[0], "roleName", arn))
	if len(r.Findings) != 1 || r.Findings[0].Rule != "role-form" || r.Findings[0].Severity != export.Error || !strings.Contains(r.Findings[0].Found, arn) || !strings.Contains(r.Findings[0].Limit, "64 letters") {
		t.Errorf("%+v", r.Findings)
	}
	p := api.do(t, "POST", "/exports", order("imageId", b.images[0], "roleName", arn)).problem(t)
	if len(p.Errors) != 1 || p.Errors[0].Rule != "role-form" || !strings.Contains(p.Errors[0].Message, "is no name of a role") {
		t.Errorf("%+v", p)
	}
	p = api.do(t, "GET", "/authorization?roleName="+url.QueryEscape(arn), "").problem(t)
	if len(p.Errors) != 1 || !strings.Contains(p.Errors[0].Message, "1 to 64 letters, digits") {
		t.Errorf("%+v", p)
	}
}
