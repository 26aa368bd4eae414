package ram_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ecs-image-export/local/identity"
	"ecs-image-export/shared/ram"
)

const (
	bucketResource = "acs:oss:cn-hangzhou:" + account + ":images"
	objectResource = bucketResource + "/Demo*"
)

// needs are two actions on a bucket and two on the objects whose names begin with
// Demo.
var needs = []ram.Need{
	{Action: "oss:GetBucketInfo", Resource: bucketResource},
	{Action: "oss:ListMultipartUploads", Resource: bucketResource},
	{Action: "oss:GetObject", Resource: objectResource},
	{Action: "oss:PutObject", Resource: objectResource},
}

// document is a policy of statements.
func document(statements ...string) string {
	return `{"Version":"1","Statement":[` + strings.Join(statements, ",") + `]}`
}

func allow(action, resource string) string {
	return fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":%q}`, action, resource)
}

func deny(action, resource string) string {
	return strings.Replace(allow(action, resource), "Allow", "Deny", 1)
}

func TestJudge(t *testing.T) {
	t.Parallel()
	every := []string{"oss:GetBucketInfo", "oss:ListMultipartUploads", "oss:GetObject", "oss:PutObject"}
	const under = `,"Condition":{"IpAddress":{"acs:SourceIp":["10.0.0.0/8"]}}}`
	for _, test := range []struct {
		name      string
		documents []string
		want      ram.Judgement
	}{
		{"no policy", nil, ram.Judgement{Lacks: every}},
		{"everything", []string{document(allow("*", "*"))}, ram.Judgement{}},
		{"all of OSS", []string{document(allow("oss:*", "acs:oss:*:*:*"))}, ram.Judgement{}},
		{"wildcards in other letters", []string{document(allow("OSS:get*", "*"), allow("oss:PutObject", "*"), allow("oss:?istM*Up*s", "*"))}, ram.Judgement{}},
		{"lists", []string{document(`{"Effect":"Allow","Action":["oss:Get*","oss:PutObject","oss:List*"],"Resource":["acs:oss:*:` + account + `:images","acs:oss:*:` + account + `:images/*"]}`)}, ram.Judgement{}},
		{"over several policies", []string{document(allow("oss:Get*", "*")), document(allow("oss:PutObject", "*")), document(allow("oss:List*", "*"))}, ram.Judgement{}},
		{"one action is missing", []string{document(allow("oss:Get*", "*"), allow("oss:List*", "*"))}, ram.Judgement{Lacks: every[3:]}},
		{"an action that begins so", []string{document(allow("oss:PutObjectTagging", "*"))}, ram.Judgement{Lacks: every}},
		{"read only", []string{document(allow("oss:Get*", "*"))}, ram.Judgement{Lacks: []string{every[1], every[3]}}},
		{"another service", []string{document(allow("ecs:*", "*"))}, ram.Judgement{Lacks: every}},
		{"the bucket without its objects", []string{document(allow("oss:*", "acs:oss:*:*:images"))}, ram.Judgement{Lacks: every[2:]}},
		{"the objects without the bucket", []string{document(allow("oss:*", "acs:oss:*:*:images/*"))}, ram.Judgement{Lacks: every[:2]}},
		{"bucket and objects with one pattern", []string{document(allow("oss:*", "acs:oss:*:*:images*"))}, ram.Judgement{}},
		{"another bucket", []string{document(allow("oss:*", "acs:oss:*:*:image"), allow("oss:*", "acs:oss:*:*:images2/*"))}, ram.Judgement{Lacks: every}},
		{"another account", []string{document(allow("oss:*", "acs:oss:*:7:*"))}, ram.Judgement{Lacks: every}},
		{"the region", []string{document(allow("oss:*", "acs:oss:cn-hangzhou:*:*"))}, ram.Judgement{}},
		{"the region in OSS's words", []string{document(allow("oss:*", "acs:oss:oss-cn-hangzhou:*:*"))}, ram.Judgement{}},
		{"no region", []string{document(allow("oss:*", "acs:oss::*:*"))}, ram.Judgement{}},
		{"another region", []string{document(allow("oss:*", "acs:oss:oss-cn-beijing:*:*"))}, ram.Judgement{Lacks: every}},
		{"the prefix", []string{document(allow("oss:*", "acs:oss:*:*:images"), allow("oss:*", "acs:oss:*:*:images/Demo*"))}, ram.Judgement{}},
		{"another prefix", []string{document(allow("oss:*", "acs:oss:*:*:images"), allow("oss:*", "acs:oss:*:*:images/Test*"))}, ram.Judgement{Lacks: every[2:]}},
		{"some objects of the prefix", []string{document(allow("oss:*", "acs:oss:*:*:images"), allow("oss:Put*", "acs:oss:*:*:images/*.raw.tar.gz"))},
			ram.Judgement{Lacks: every[2:3], Unclear: []string{"statement 2 of policy Custom/p0 allows oss:PutObject on some resources of those that matter"}}},
		{"too few parts", []string{document(allow("oss:GetBucketInfo", "acs:oss:*"), allow("oss:GetObject", "nothing"))},
			ram.Judgement{Lacks: every[1:], Unclear: []string{"statement 1 of policy Custom/p0 allows oss:GetBucketInfo on some resources of those that matter"}}},
		{"a deny of one action", []string{document(allow("*", "*")), document(deny("oss:PutObject", "*"))}, ram.Judgement{Denied: every[3:]}},
		{"a deny alone", []string{document(deny("oss:Put*", "*"))}, ram.Judgement{Denied: every[3:], Lacks: every[:3]}},
		{"a deny of other objects", []string{document(allow("*", "*"), deny("oss:*", "acs:oss:*:*:images/Test*"), deny("oss:*", "acs:oss:*:*:other"))}, ram.Judgement{}},
		{"a deny of some objects", []string{document(allow("*", "*"), deny("oss:Put*", "acs:oss:*:*:images/*xvdb*"))},
			ram.Judgement{Unclear: []string{"statement 2 of policy Custom/p0 denies oss:PutObject on some resources of those that matter"}}},
		{"an allow with a condition", []string{document(strings.TrimSuffix(allow("oss:*", "*"), "}") + under)},
			ram.Judgement{Unclear: []string{"statement 1 of policy Custom/p0 allows " + strings.Join(every, ", ") + " under a condition"}}},
		{"an allow with a condition beside one without", []string{document(strings.TrimSuffix(allow("oss:*", "*"), "}")+under, allow("oss:*", "*"))}, ram.Judgement{}},
		{"a deny with a condition", []string{document(allow("oss:*", "*"), strings.TrimSuffix(deny("oss:GetObject", "*"), "}")+under)},
			ram.Judgement{Unclear: []string{"statement 2 of policy Custom/p0 denies oss:GetObject under a condition"}}},
		{"a deny of something else with a condition", []string{document(allow("oss:*", "*"), strings.TrimSuffix(deny("ecs:*", "*"), "}")+under)}, ram.Judgement{}},
		{"all but some actions", []string{document(`{"Effect":"Allow","NotAction":"ram:*","Resource":"*"}`)},
			ram.Judgement{Unclear: []string{"statement 1 of policy Custom/p0 allows " + strings.Join(every, ", ") + " by its NotAction, which is not judged here"}}},
		{"elements in other letters are others", []string{document(`{"Effect":"Allow","action":"oss:*","Resource":"*"}`)},
			ram.Judgement{Unclear: []string{"statement 1 of policy Custom/p0 allows " + strings.Join(every, ", ") + " by its action, which is not judged here"}}},
		{"a deny of all but some resources", []string{document(allow("*", "*"), `{"Effect":"Deny","Action":"oss:Put*","NotResource":["acs:oss:*:*:images/*"]}`)},
			ram.Judgement{Unclear: []string{"statement 2 of policy Custom/p0 denies oss:PutObject by its NotResource, which is not judged here"}}},
		{"several of them", []string{document(`{"Effect":"Allow","NotAction":"ecs:*","NotResource":"acs:ecs:*"` + under)},
			ram.Judgement{Unclear: []string{"statement 1 of policy Custom/p0 allows " + strings.Join(every, ", ") + " by its Condition and NotAction and NotResource, which is not judged here"}}},
		{"an element of the future", []string{document(strings.TrimSuffix(allow("oss:*", "*"), "}") + `,"Until":"2030-01-01"}`)},
			ram.Judgement{Unclear: []string{"statement 1 of policy Custom/p0 allows " + strings.Join(every, ", ") + " by its Until, which is not judged here"}}},
		{"a policy that can't be read", []string{`{"Statement":`}, ram.Judgement{Unclear: []string{"policy Custom/p0 is no JSON object"}}},
		{"no list of statements", []string{`{"Statement":{}}`, document(allow("*", "*"))}, ram.Judgement{Unclear: []string{"policy Custom/p0 has no list of statements"}}},
		{"an unknown effect", []string{document(`{"Effect":"Maybe"}`), document(deny("oss:Get*", "*"))},
			ram.Judgement{Denied: []string{every[0], every[2]}, Unclear: []string{"policy Custom/p0 has in statement 1 an Effect that is neither Allow nor Deny"}}},
		{"an action that is a number", []string{document(`{"Effect":"Allow","Action":[1]}`)},
			ram.Judgement{Unclear: []string{"policy Custom/p0 has in statement 1 an element Action that can't be read"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var policies []ram.Policy
			for i, d := range test.documents {
				policies = append(policies, ram.Policy{Name: fmt.Sprintf("Custom/p%d", i), Document: d})
			}
			if d := cmp.Diff(test.want, ram.Judge(policies, needs)); d != "" {
				t.Error("(-want +got)", d)
			}
		})
	}
}

// A policy that nobody could read may allow what no other does, or deny anything.
func TestJudgeWithoutADocument(t *testing.T) {
	t.Parallel()
	got := ram.Judge([]ram.Policy{{Name: "System/p", Unread: "no permission"}, {Name: "q", Document: document(deny("oss:Put*", "*"))}}, needs)
	want := ram.Judgement{Denied: []string{"oss:PutObject"}, Unclear: []string{"policy System/p can't be read: no permission"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error("(-want +got)", d)
	}
}

func TestTrusts(t *testing.T) {
	t.Parallel()
	const condition = `,"Condition":{"StringEquals":{"acs:SourceAccount":"1"}}`
	says := func(effect, action, principal, more string) string {
		return fmt.Sprintf(`{"Effect":%q,"Action":%s,"Principal":%s%s}`, effect, action, principal, more)
	}
	const ecs, take = `{"Service":["ecs.aliyuncs.com"]}`, `"sts:AssumeRole"`
	for _, test := range []struct {
		name, document string
		want           bool
		unclear        string
	}{
		{"as documented", document(says("Allow", take, ecs, "")), true, ""},
		{"one service, not a list", document(says("Allow", `["sts:*"]`, `{"Service":"ECS.aliyuncs.com"}`, "")), true, ""},
		{"among others", document(says("Allow", take, `{"RAM":["acs:ram::1:root"],"Service":["fc.aliyuncs.com","ecs.aliyuncs.com"]}`, "")), true, ""},
		{"in the second statement", document(says("Allow", take, `{"Service":["fc.aliyuncs.com"]}`, ""), says("Allow", take, ecs, "")), true, ""},
		{"another service", document(says("Allow", take, `{"Service":["fc.aliyuncs.com"]}`, "")), false, ""},
		{"the account", document(says("Allow", take, `{"RAM":["acs:ram::1:root"]}`, "")), false, ""},
		{"another action", document(says("Allow", `"sts:GetCallerIdentity"`, ecs, "")), false, ""},
		{"denied", document(says("Allow", take, ecs, ""), says("Deny", take, ecs, "")), false, ""},
		{"another is denied", document(says("Allow", take, ecs, ""), says("Deny", take, `{"Service":["fc.aliyuncs.com"]}`, "")), true, ""},
		{"under a condition", document(says("Allow", take, ecs, condition)), true, "statement 1 of the trust policy names ecs.aliyuncs.com under a condition"},
		{"denied under a condition", document(says("Allow", take, ecs, ""), says("Deny", take, ecs, condition)), true, "statement 2 of the trust policy names ecs.aliyuncs.com under a condition"},
		{"all but some actions", document(`{"Effect":"Allow","NotAction":"ram:*","Principal":{"Service":["ecs.aliyuncs.com"]}}`), true, "statement 1 of the trust policy names ecs.aliyuncs.com by its NotAction, which is not judged here"},
		{"all but some principals", document(`{"Effect":"Allow","Action":"sts:AssumeRole","NotPrincipal":{"Service":["fc.aliyuncs.com"]}}`), true, "statement 1 of the trust policy names ecs.aliyuncs.com by its NotPrincipal, which is not judged here"},
		{"only denied under a condition", document(says("Deny", take, ecs, condition)), false, ""},
		{"nothing", document(), false, ""},
		{"no document", "", true, "the trust policy is no JSON object"},
		{"a principal that is a text", document(says("Allow", take, `"*"`, "")), true, "the trust policy has in statement 1 an element Principal that can't be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, unclear := ram.Trusts(test.document, "ecs.aliyuncs.com")
			if got != test.want || strings.Join(unclear, "; ") != test.unclear {
				t.Errorf("got %v, %q, want %v, %q", got, unclear, test.want, test.unclear)
			}
		})
	}
}

// TestJudgeAgreesWithTheStandIn compares what is said for sure with the stand-in,
// which enforces policies by code of its own, on objects that the needs are about.
func TestJudgeAgreesWithTheStandIn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		actions := rapid.SampledFrom([]string{"*", "oss:*", "oss:Get*", "oss:PutObject", "oss:*Object", "oss:Get?bject", "ecs:*"})
		resources := rapid.OneOf(
			rapid.SampledFrom([]string{"*", "acs:oss:*:*:*", "acs:oss:*:" + account + ":images", "acs:oss:oss-cn-hangzhou:*:images/*"}),
			rapid.Map(rapid.StringMatching(`(images|image\*|\*|i\?ages)/?[Demox*?]{0,6}`), func(s string) string { return "acs:oss:*:*:" + s }),
		)
		var statements []string
		for range rapid.IntRange(1, 5).Draw(t, "statements") {
			s := allow(actions.Draw(t, "action"), resources.Draw(t, "resource"))
			if rapid.IntRange(0, 2).Draw(t, "deny") == 0 {
				s = strings.Replace(s, "Allow", "Deny", 1)
			}
			statements = append(statements, s)
		}
		policy, err := identity.ParsePolicy([]byte(document(statements...)))
		if err != nil {
			t.Fatal(err)
		}
		id := &identity.Identity{Policies: []identity.Policy{policy}}
		key := rapid.StringMatching(`[Demox_]{0,8}`).Draw(t, "key")
		for _, n := range needs {
			j := ram.Judge([]ram.Policy{{Name: "p", Document: document(statements...)}}, []ram.Need{n})
			if j.Unclear != nil {
				continue
			}
			resource := strings.Replace(n.Resource, "*", key, 1)
			resource = strings.Replace(resource, ":cn-hangzhou:", ":oss-cn-hangzhou:", 1)
			if got, want := j.Lacks == nil && j.Denied == nil, id.Allows(n.Action, resource); got != want {
				t.Errorf("%s on %s: %+v, and the stand-in says %v", n.Action, resource, j, want)
			}
		}
	})
}

// FuzzJudge wants an answer to whatever a document holds: an action is in one list
// at most, a Deny of everything denies it, and an Allow of everything grants what
// is not denied.
func FuzzJudge(f *testing.F) {
	f.Add(document(allow("oss:*", "acs:oss:*:*:images/*"), deny("oss:Put*", "*")))
	f.Add(`{"Version":"1","Statement":[{"Effect":"Allow","NotAction":["a",null],"Resource":null,"Condition":{}}]}`)
	f.Add(`{"Statement":[{"Effect":"Deny","Action":"oss:?**?","Principal":{"Service":"ecs.aliyuncs.com"}}]}`)
	f.Add(`{"Statement":[null,[]]}`)
	f.Fuzz(func(t *testing.T, text string) {
		ram.Trusts(text, "ecs.aliyuncs.com")
		judge := func(more ...ram.Policy) ram.Judgement {
			return ram.Judge(append([]ram.Policy{{Name: "p", Document: text}}, more...), needs)
		}
		alone := judge()
		seen := map[string]bool{}
		for _, action := range append(alone.Lacks, alone.Denied...) {
			if seen[action] {
				t.Errorf("%s is in two lists: %+v", action, alone)
			}
			seen[action] = true
		}
		if j := judge(ram.Policy{Document: document(deny("*", "*"))}); len(j.Denied) != len(needs) || j.Lacks != nil {
			t.Errorf("with everything denied: %+v", j)
		}
		if j := judge(ram.Policy{Document: document(allow("*", "*"))}); j.Lacks != nil || !cmp.Equal(j.Denied, alone.Denied) {
			t.Errorf("with everything allowed: %+v, alone %+v", j, alone)
		}
	})
}
