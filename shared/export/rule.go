package export

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Severity says what a finding means for the order.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // it is refused
	Waits   Severity = "wait"    // it is taken and queued
	Warning Severity = "warning" // it is taken, and somebody should look at this
	Notice  Severity = "notice"  // it is taken
)

// Severities lists them, the gravest first.
var Severities = []Severity{Error, Waits, Warning, Notice}

// Rule is one condition that an order must keep. Limit, Remedy and Inferred may
// hold names of limits in braces, such as {region}.
type Rule struct {
	ID       string
	Severity Severity
	Field    string // of the order that it is about
	Limit    string // what should be
	Remedy   string // what to do if it is not, where the finding has nothing better
	Code     string // what ECS would answer, where that is documented
	Page     string // of the vendor
	Inferred string // what of the rule is a conclusion of ours, in a sentence

	judge func(Subject, Limits) breach
}

// breach is how a rule is broken: what is so, in a sentence that names the thing,
// and what to do about it if that depends on the thing. The zero value is a rule
// that is kept.
type breach struct{ found, remedy string }

// Finding is a rule that an order breaks.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Field    string   `json:"field"`
	Found    string   `json:"found"`
	Limit    string   `json:"limit"`
	Remedy   string   `json:"remedy"`
	Code     string   `json:"code,omitempty"`
	Page     string   `json:"page"`
	Inferred string   `json:"inferred,omitempty"`
}

// Check evaluates every rule and returns all that are broken, the gravest first.
func Check(s Subject, l Limits) []Finding {
	findings := []Finding{}
	names := l.names()
	for _, r := range Rules {
		b := r.judge(s, l)
		if b.found == "" {
			continue
		}
		findings = append(findings, Finding{
			Rule: r.ID, Severity: r.Severity, Field: r.Field, Found: b.found,
			Limit: names.Replace(r.Limit), Remedy: cmp.Or(b.remedy, names.Replace(r.Remedy)),
			Code: r.Code, Page: r.Page, Inferred: names.Replace(r.Inferred),
		})
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Compare(slices.Index(Severities, a.Severity), slices.Index(Severities, b.Severity))
	})
	return findings
}

// Verdict is what findings add up to.
type Verdict string

// The verdicts.
const (
	Ready   Verdict = "ready"   // it would be submitted at once
	Queues  Verdict = "queues"  // it would wait in the queue
	Refused Verdict = "refused" // it would not be taken
)

// Judge says what would become of an order with these findings.
func Judge(findings []Finding) Verdict {
	verdict := Ready
	for _, f := range findings {
		switch f.Severity {
		case Error:
			return Refused
		case Waits:
			verdict = Queues
		}
	}
	return verdict
}

// names puts the deployment's limits into the texts of the rules.
func (l Limits) names() *strings.Replacer {
	return strings.NewReplacer(
		"{region}", l.RegionID, "{account}", l.AccountID, "{buckets}", strings.Join(l.Buckets, ", "), "{role}", l.RoleName, "{defaultRole}", DefaultRole,
		"{dataDisks}", strconv.Itoa(l.DataDisks), "{dataDiskGiB}", strconv.Itoa(l.DataDiskGiB), "{systemDiskGiB}", strconv.Itoa(l.SystemDiskGiB),
		"{formats}", list(Formats), "{formatRegions}", list(l.FormatRegions), "{maxPrefix}", strconv.Itoa(MaxPrefix),
		"{tasks}", strconv.Itoa(l.Tasks),
	)
}

func list[T ~string](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = string(item)
	}
	return strings.Join(texts, ", ")
}

// The four below guard rules about a thing that is not there or not known.

func ofImage(judge func(Subject, Limits) breach) func(Subject, Limits) breach {
	return func(s Subject, l Limits) breach {
		if s.Image == nil || s.Image.Missing {
			return breach{}
		}
		return judge(s, l)
	}
}

func ofBucket(judge func(Subject, Limits) breach) func(Subject, Limits) breach {
	return func(s Subject, l Limits) breach {
		if s.Bucket == nil || s.Bucket.Missing || s.Bucket.Denied {
			return breach{}
		}
		return judge(s, l)
	}
}

func ofRole(judge func(Subject, Limits) breach) func(Subject, Limits) breach {
	return func(s Subject, l Limits) breach {
		if s.Permission == nil || s.Permission.Missing || s.Permission.Unknown != "" {
			return breach{}
		}
		return judge(s, l)
	}
}

func ofAccount(judge func(Subject, Limits) breach) func(Subject, Limits) breach {
	return func(s Subject, l Limits) breach {
		if s.Account == nil {
			return breach{}
		}
		return judge(s, l)
	}
}
