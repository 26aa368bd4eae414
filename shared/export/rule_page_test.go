package export

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// TestRuleTable wants a table that a person can use: every rule with its texts, a
// page, and a code that the table of codes explains.
func TestRuleTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	fields := []string{"imageId", "bucket", "prefix", "format", "roleName"}
	for _, r := range Rules {
		if seen[r.ID] || r.ID == "" {
			t.Errorf("%s: twice", r.ID)
		}
		seen[r.ID] = true
		if r.Limit == "" || r.Remedy == "" || !slices.Contains(Severities, r.Severity) || !slices.Contains(fields, r.Field) {
			t.Errorf("%s is not whole", r.ID)
		}
		if u, err := url.Parse(r.Page); err != nil || u.Scheme != "https" || u.Host != "www.alibabacloud.com" {
			t.Errorf("%s: page %q", r.ID, r.Page)
		}
		if r.Code == "" {
			continue
		}
		c, ok := find(OpExport, r.Code, 0)
		if !ok {
			t.Errorf("%s: ExportImage has no code %s", r.ID, r.Code)
		}
		if waits := c.Do == DoWait || c.Code == CodeImageBusy; waits != (r.Severity == Waits) {
			t.Errorf("%s is of severity %s, and for %s we %s", r.ID, r.Severity, r.Code, c.Do)
		}
	}
}

// TestRulesPage wants docs/rules.md to be made from the tables.
func TestRulesPage(t *testing.T) {
	t.Parallel()
	const golden = "../../docs/rules.md"
	got := rulesPage()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("docs/rules.md is out of date; go test ./shared/export -run RulesPage -update writes it anew (-file +code):\n%s", d)
	}
}

func rulesPage() string {
	var b strings.Builder
	l := DefaultLimits()
	// What is a deployment's own has a name here.
	l.RegionID, l.AccountID, l.Buckets = "REGION", "ACCOUNT_ID", []string{"EXPORT_BUCKETS"}
	names := l.names()
	b.WriteString(`# Rules

What an order is checked against before anything is submitted, and what is done about each answer of the cloud. Made from the tables in shared/export (rule_table.go, code_table.go) by a test; a change there changes this page.

A rule of severity **error** refuses the order, **wait** queues it, **warning** and **notice** let it pass and say so. The limits are the defaults; DATA_DISKS_MAX, DATA_DISK_GIB_MAX, SYSTEM_DISK_GIB_MAX and FORMAT_REGIONS change them.

| rule | severity | what should be | code of ECS | remedy |
| --- | --- | --- | --- | --- |
`)
	cell := strings.NewReplacer("|", `\|`)
	unset := strings.NewReplacer("{tasks}", "TASKS_AT_ONCE", "{systemDiskGiB}", "SYSTEM_DISK_GIB_MAX")
	for _, r := range Rules {
		limit := names.Replace(unset.Replace(r.Limit))
		remedy := names.Replace(r.Remedy)
		if r.Inferred != "" {
			remedy += " *Inferred:* " + names.Replace(r.Inferred)
		}
		code := ""
		if r.Code != "" {
			code = "`" + r.Code + "`"
		}
		fmt.Fprintf(&b, "| [%s](%s) | %s | %s | %s | %s |\n", r.ID, r.Page, r.Severity, cell.Replace(limit), code, cell.Replace(remedy))
	}
	b.WriteString(`
## Answers of the cloud

**refuse**: the order can't be carried out as it is, and its export fails. **wait**: it passes by itself; an export is queued, another call is made again. **adopt**: it may be done already; look, and go on from what is there. **give up**: only a person can mend it; a submission fails at once, what runs already is looked at until MAX_AGE is over.

A code that is not in the table is shown as it came: after 5xx, 408 or no answer ExportImage is looked for before it is called again, and other calls are repeated; 429 waits; any other 4xx ends a submission.

| operation | code | status | we | means | remedy |
| --- | --- | --- | --- | --- | --- |
`)
	for _, c := range Codes {
		fmt.Fprintf(&b, "| %s | `%s` | %d | %s | %s | %s |\n", c.Where, c.Code, c.Status, c.Do, cell.Replace(c.Means), cell.Replace(c.Remedy))
	}
	return b.String()
}
