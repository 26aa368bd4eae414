package identity_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ecs-image-export/local/identity"
)

func allow(action, resource string) identity.Policy { return rule("Allow", action, resource) }

func rule(effect, action, resource string) identity.Policy {
	return identity.Policy{Version: "1", Statement: []identity.Statement{
		{Effect: effect, Action: identity.StringList{action}, Resource: identity.StringList{resource}},
	}}
}

func TestAllows(t *testing.T) {
	t.Parallel()
	const put, object = "oss:PutObject", "acs:oss:*:1:b/dir/key"
	for name, c := range map[string]struct {
		pattern, on      string
		action, resource string
		want             bool
	}{
		"same":                          {put, object, put, object, true},
		"other action":                  {"oss:GetObject", object, put, object, false},
		"action without case":           {"OSS:putobject", object, put, object, true},
		"all actions of a service":      {"oss:*", object, put, object, true},
		"actions that begin so":         {"oss:Put*", object, put, object, true},
		"one character":                 {"oss:?utObject", object, put, object, true},
		"all actions":                   {"*", object, put, object, true},
		"other service":                 {"mns:*", object, put, object, false},
		"all resources":                 {put, "*", put, object, true},
		"all of a bucket":               {put, "acs:oss:*:1:b/*", put, object, true},
		"a bucket is not its objects":   {put, "acs:oss:*:1:b", put, object, false},
		"objects are not their bucket":  {put, "acs:oss:*:1:b/*", put, "acs:oss:*:1:b", false},
		"buckets that begin so":         {put, "acs:oss:*:1:b*", put, "acs:oss:*:1:bucket/k", true},
		"keys differ by case":           {put, "acs:oss:*:1:b/DIR/key", put, object, false},
		"roles do not":                  {"ram:GetRole", "acs:ram:*:1:role/MyRole", "ram:GetRole", "acs:ram:*:1:role/myrole", true},
		"a role's own ARN":              {"sts:AssumeRole", "acs:ram::1:role/r", "sts:AssumeRole", "acs:ram:*:1:role/r", true},
		"other account":                 {put, "acs:oss:*:2:b/*", put, object, false},
		"any account":                   {put, "acs:oss:*:*:b/*", put, object, true},
		"any service":                   {"*", "acs:*:*:1:*", put, object, true},
		"region of a regional resource": {"mns:SendMessage", "acs:mns:cn-hangzhou:1:/queues/q/messages", "mns:SendMessage", "acs:mns:cn-hangzhou:1:/queues/q/messages", true},
		"other region":                  {"mns:SendMessage", "acs:mns:cn-shanghai:1:/queues/q/messages", "mns:SendMessage", "acs:mns:cn-hangzhou:1:/queues/q/messages", false},
		"any region":                    {"mns:SendMessage", "acs:mns:*:1:/queues/*", "mns:SendMessage", "acs:mns:cn-hangzhou:1:/queues/q/messages", true},
		"a bucket has no region":        {put, "acs:oss:oss-cn-hangzhou:1:b/*", put, object, true},
		"a wildcard stays in its part":  {put, "acs:oss:*:*b/*", put, object, false},
		"action on nothing":             {"ecs:DescribeTasks", "*", "ecs:DescribeTasks", "*", true},
		"needs all":                     {"ecs:DescribeTasks", "acs:ecs:*:1:*", "ecs:DescribeTasks", "*", false},
		"empty pattern part":            {put, "acs:oss:*::b/*", put, object, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := identity.Identity{Policies: []identity.Policy{allow(c.pattern, c.on)}}
			if got := id.Allows(c.action, c.resource); got != c.want {
				t.Errorf("%s on %s lets %s on %s: %v", c.pattern, c.on, c.action, c.resource, got)
			}
		})
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	get, all := allow("oss:GetObject", "*"), allow("*", "*")
	no := rule("Deny", "oss:*", "acs:oss:*:1:secret/*")
	for name, c := range map[string]struct {
		id   identity.Identity
		want bool
	}{
		"the account":                 {identity.Identity{Root: true}, true},
		"the account, denied":         {identity.Identity{Root: true, Policies: []identity.Policy{no}}, true},
		"nobody":                      {identity.Identity{}, false},
		"allowed":                     {identity.Identity{Policies: []identity.Policy{get}}, true},
		"deny wins over later":        {identity.Identity{Policies: []identity.Policy{no, get}}, false},
		"deny wins over earlier":      {identity.Identity{Policies: []identity.Policy{all, no}}, false},
		"session allows":              {identity.Identity{Policies: []identity.Policy{all}, Session: &get}, true},
		"session denies":              {identity.Identity{Policies: []identity.Policy{all}, Session: &no}, false},
		"session gives nothing more":  {identity.Identity{Session: &all}, false},
		"session for something else":  {identity.Identity{Policies: []identity.Policy{all}, Session: ptr(allow("oss:PutObject", "*"))}, false},
		"session without a statement": {identity.Identity{Policies: []identity.Policy{all}, Session: &identity.Policy{}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.id.Allows("oss:GetObject", "acs:oss:*:1:secret/k"); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
	if (*identity.Identity)(nil).Allows("oss:GetObject", "*") {
		t.Error("no identity may do something")
	}
}

func ptr[T any](v T) *T { return &v }

func TestWildcardsMatchAsTheRegularExpressionDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*?é]{0,8}`).Draw(t, "pattern")
		s := rapid.StringMatching(`[abé]{0,8}`).Draw(t, "s")
		quoted := regexp.QuoteMeta(pattern)
		quoted = strings.ReplaceAll(strings.ReplaceAll(quoted, `\*`, `.*`), `\?`, `.`)
		want := regexp.MustCompile(`^` + quoted + `$`).MatchString(s)
		id := identity.Identity{Policies: []identity.Policy{allow("*", "acs:oss:*:1:"+pattern)}}
		if got := id.Allows("oss:GetObject", "acs:oss:*:1:"+s); got != want {
			t.Fatalf("%q on %q: %v, want %v", pattern, s, got, want)
		}
	})
}

func TestADenyIsNeverOutvoted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const action, resource = "oss:GetObject", "acs:oss:*:1:b/k"
		policies := rapid.SliceOf(rapid.Custom(drawPolicy)).Draw(t, "policies")
		at := rapid.IntRange(0, len(policies)).Draw(t, "at")
		denied := append(append(append([]identity.Policy{}, policies[:at]...), rule("Deny", action, resource)), policies[at:]...)
		if (&identity.Identity{Policies: denied}).Allows(action, resource) {
			t.Fatal("allowed")
		}
		// What somebody may do in a session is never more than without one.
		session := drawPolicy(t)
		limited := identity.Identity{Policies: policies, Session: &session}
		if limited.Allows(action, resource) && !(&identity.Identity{Policies: policies}).Allows(action, resource) {
			t.Fatal("a session policy gave a permission")
		}
	})
}

func TestManyStarsDoNotTakeForever(t *testing.T) {
	t.Parallel()
	id := identity.Identity{Policies: []identity.Policy{allow("*", "acs:oss:*:1:"+strings.Repeat("a*", 1000)+"b")}}
	if id.Allows("oss:GetObject", "acs:oss:*:1:"+strings.Repeat("a", 5000)) {
		t.Error("matched")
	}
}
