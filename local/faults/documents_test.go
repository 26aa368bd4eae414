package faults_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"ecs-image-export/local/faults"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/ram"
	"ecs-image-export/shared/rpc"
)

// TestEveryDocumentedCode lets the stand-in answer every code that the project
// has an answer to, by its name alone, and asks the project's clients what they
// got.
func TestEveryDocumentedCode(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx := t.Context()
	type place struct {
		service, action string
		call            func() error // one that the client does not repeat
	}
	places := map[string]place{
		export.OpExport:  {"ecs", "ExportImage", func() error { _, err := s.export(ctx); return err }},
		export.OpTasks:   {"ecs", "DescribeTasks", func() error { _, err := s.ecs.TasksByImage(ctx, s.image); return err }},
		export.OpCancel:  {"ecs", "CancelTask", func() error { return s.ecs.CancelTask(ctx, "t-1") }},
		export.ServiceEC: {"ecs", "", func() error { return s.ecs.CancelTask(ctx, "t-1") }},
		export.ServiceRA: {"ram", "", func() error { return s.ram.EnsureAttached(ctx, "r", ram.System, "p") }},
		export.ServiceST: {"sts", "", func() error { _, err := s.ram.AssumeRole(ctx, "acs:ram::1:role/x", "xx", time.Hour); return err }},
		export.ServiceOS: {"oss", "", func() error { _, err := s.bucket.Append(ctx, "k", 0, []byte("x")); return err }},
		export.ServiceMN: {"mns", "", func() error { _, err := s.topic.Publish(ctx, "x", ""); return err }},
	}
	// The project knows these by what stands before the full stop.
	family := map[string]string{"Forbidden": "Forbidden.RAM", "InvalidSecurityToken": "InvalidSecurityToken.Expired"}
	statuses := map[string]map[int]bool{} // of each code in each place
	for _, c := range export.Codes {
		if one, ok := family[c.Code]; ok {
			c.Code = one
		}
		key := c.Where + " " + c.Code
		if statuses[key] == nil {
			statuses[key] = map[int]bool{}
		}
		statuses[key][c.Status] = true
	}
	walked := 0
	for _, c := range export.Codes {
		p, known := places[c.Where]
		if !known {
			t.Errorf("%s: no call is made there", c.Where)
			continue
		}
		if one, ok := family[c.Code]; ok {
			c.Code = one
		}
		fault := faults.Fault{Service: p.service, Action: p.action, What: faults.What{Code: c.Code}}
		body, err := json.Marshal(fault)
		s.must(err)
		status, answer := s.call(http.MethodPost, string(body))
		if status != http.StatusCreated {
			t.Errorf("%s %s: the stand-in does not know it: %s", c.Where, c.Code, answer)
			continue
		}
		s.must(json.Unmarshal(answer, &fault))
		// Of a key that is unknown the documents say 400, and the gateway 404.
		if may := statuses[c.Where+" "+c.Code]; !may[fault.What.Status] && c.Code != "InvalidAccessKeyId.NotFound" {
			t.Errorf("%s %s: the stand-in's status is %d, the project's table has %v", c.Where, c.Code, fault.What.Status, may)
		}
		if got, want := seen(p.call()), fmt.Sprint(fault.What.Status, " ", c.Code); got != want {
			t.Errorf("%s: the client saw %q, want %q", c.Where, got, want)
		}
		s.call(http.MethodDelete, "")
		walked++
	}
	if walked < 60 {
		t.Errorf("%d codes were walked", walked)
	}
}

// seen is the status and the code of an error of any of the clients.
func seen(err error) string {
	var r *rpc.Error
	var o *oss.Error
	var m *mns.Error
	switch {
	case errors.As(err, &r):
		return fmt.Sprint(r.Status, " ", r.Code)
	case errors.As(err, &o):
		return fmt.Sprint(o.Status, " ", o.Code)
	case errors.As(err, &m):
		return fmt.Sprint(m.Status, " ", m.Code)
	}
	return fmt.Sprint(err)
}

// TestDocumentedOfRAM does the same with the codes that RAM and STS document for
// what the set-up, the checks and the permission do there.
func TestDocumentedOfRAM(t *testing.T) {
	t.Parallel()
	s := start(t)
	calls := map[string]func() error{
		"ram": func() error {
			_, err := s.ram.CreateRole(t.Context(), ram.Role{Name: "made", Trust: trustsECS})
			return err
		},
		"sts": func() error {
			_, err := s.ram.AssumeRole(t.Context(), "acs:ram::1:role/x", "xx", time.Hour)
			return err
		},
	}
	for _, c := range []struct {
		service string
		status  int
		codes   []string
	}{
		{"ram", 400, []string{"MalformedPolicyDocument", "InvalidParameter.RoleName.InvalidChars", "InvalidParameter.RoleName.Length",
			"InvalidParameter.AssumeRolePolicyDocument.Length", "InvalidParameter.PolicyType", "SignatureNonceUsed", "IncompleteSignature"}},
		{"ram", 403, []string{"NoPermission"}},
		{"ram", 404, []string{"EntityNotExist.Role", "EntityNotExist.Policy", "EntityNotExist.Policy.Version", "EntityNotExist.Role.Policy"}},
		{"ram", 409, []string{"EntityAlreadyExists.Role", "EntityAlreadyExists.Policy", "EntityAlreadyExists.Role.Policy",
			"LimitExceeded.Role", "LimitExceeded.Policy", "LimitExceeded.Role.Policy"}},
		{"ram", 500, []string{"InternalError"}},
		{"ram", 503, []string{"ServiceUnavailable"}},
		{"sts", 400, []string{"InvalidParameter.RoleArn", "InvalidParameter.RoleSessionName", "InvalidParameter.DurationSeconds",
			"InvalidParameter.PolicyGrammar", "InvalidParameter.PolicySize"}},
		{"sts", 403, []string{"NoPermission"}},
		{"sts", 404, []string{"EntityNotExist.Role"}},
	} {
		for _, code := range c.codes {
			s.add(fmt.Sprintf(`{"service":%q,"what":{"code":%q}}`, c.service, code))
			if got, want := seen(calls[c.service]()), fmt.Sprint(c.status, " ", code); got != want {
				t.Errorf("%s: the client saw %q, want %q", c.service, got, want)
			}
			s.call(http.MethodDelete, "")
		}
	}
}
