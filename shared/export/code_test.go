package export

import (
	"slices"
	"strings"
	"testing"
)

// TestCodes walks the table: every answer has a treatment, a meaning and a remedy
// that are sentences, and is found again by what the service says.
func TestCodes(t *testing.T) {
	t.Parallel()
	for _, c := range Codes {
		if !slices.Contains([]Do{DoRefuse, DoWait, DoAdopt, DoGiveUp}, c.Do) || !strings.HasSuffix(c.Means, ".") || !strings.HasSuffix(c.Remedy, ".") {
			t.Errorf("%s %s is not whole: %+v", c.Where, c.Code, c)
		}
		if got := CodeOf(c.Where, c.Code, c.Status); got != c {
			t.Errorf("%s %s %d: found %+v", c.Where, c.Code, c.Status, got)
		}
		if c.Where != OpExport && c.Do == DoRefuse {
			t.Errorf("%s %s refuses an order that was taken", c.Where, c.Code)
		}
		if c.Status >= 500 && c.Status != 501 && c.Do != DoAdopt {
			t.Errorf("%s %s: after %d nobody knows whether it was done", c.Where, c.Code, c.Status)
		}
		if (c.Limit != 0) != (c.Do == DoWait) && c.Where != OpCancel {
			t.Errorf("%s %s: %s, limit %d", c.Where, c.Code, c.Do, c.Limit)
		}
	}
}

// TestCodeOf is about answers that the table has under another name, or not at
// all.
func TestCodeOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		where, code string
		status      int
		do          Do
		limit       Limit
		means       string
	}{
		{OpExport, "ImageNotSupported", 400, DoRefuse, 0, "encrypted"},
		{OpExport, "ImageNotSupported", 403, DoRefuse, 0, "Marketplace"},
		{OpExport, "Throttling", 400, DoWait, CallRate, "Too many calls"},
		{OpExport, "Throttling.User", 400, DoWait, CallRate, "Too many calls"},
		{OpCancel, "Throttling.Api", 429, DoWait, CallRate, "Too many calls"},
		{OpExport, "Forbidden.RAM", 403, DoGiveUp, 0, "may not do that"},
		{OpTasks, "InvalidSecurityToken.Expired", 400, DoGiveUp, 0, "credentials"},
		{OpExport, "ServiceUnavailable.RegionMaintaining", 503, DoAdopt, 0, "out of service"},
		{OpExport, "InvalidImage.Haunted", 400, DoRefuse, 0, "ExportImage answered InvalidImage.Haunted (status 400)"},
		{OpExport, "Haunted", 500, DoAdopt, 0, "Haunted (status 500)"},
		{OpExport, "Haunted", 429, DoWait, CallRate, "Haunted"},
		{OpExport, "", 502, DoAdopt, 0, "no answer that can be read"},
		{OpExport, "", 0, DoAdopt, 0, "no answer"},
		{OpExport, "Haunted", 501, DoRefuse, 0, "Haunted"},
		{OpTasks, "Haunted", 503, DoWait, 0, "Haunted"},
		{OpTasks, "", 0, DoWait, 0, "no answer"},
		{OpCancel, "Haunted", 403, DoGiveUp, 0, "Haunted"},
		{ServiceOS, "Haunted.Key", 403, DoGiveUp, 0, "OSS answered Haunted.Key"},
		{ServiceMN, "Haunted", 408, DoWait, 0, "MNS answered Haunted"},
	} {
		c := CodeOf(test.where, test.code, test.status)
		if c.Do != test.do || c.Limit != test.limit || !strings.Contains(c.Means, test.means) || c.Where != test.where || c.Code != test.code || c.Remedy == "" {
			t.Errorf("%s %q %d: %+v", test.where, test.code, test.status, c)
		}
	}
	if c := CodeOf(OpExport, "A&B", 400); !strings.Contains(c.Remedy, "q=A%26B") {
		t.Errorf("remedy %q", c.Remedy)
	}
}

// TestRemedy: a failed export says what to do, be the code ECS's or ours.
func TestRemedy(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"NoSetRoletoECSServiceAcount": "GET /authorization",
		"ImageNotSupported":           "Or: Install",
		"Forbidden.RAM":               "docs/policies",
	} {
		if got := (Failure{Code: code}).Remedy(); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q in it", code, got, want)
		}
	}
	for _, code := range []string{CodeTaskFailed, CodeMaxAge, "Haunted", ""} {
		if got := (Failure{Code: code}).Remedy(); got != "" {
			t.Errorf("%s: %q", code, got)
		}
	}
}
