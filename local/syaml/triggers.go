package syaml

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

var (
	triggerName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,127}$`)
	everyPeriod = regexp.MustCompile(`^@every ((?:\d+h)?(?:\d+m)?)$`)
)

// maxTriggers is how many triggers a function may have; maxBucketTriggers how
// many OSS triggers a bucket may have.
const (
	maxTriggers       = 50
	maxBucketTriggers = 10
)

// defaultRoles are the roles that the deploy tool creates where a trigger names
// none.
var defaultRoles = map[string]string{
	"oss":       "aliyunosseventnotificationrole",
	"mns_topic": "aliyunmnsnotificationrole",
}

// objectTrigger is an OSS trigger with what its rules need.
type objectTrigger struct {
	at       *node
	function string
	trigger  Trigger
}

// triggers reads and checks the triggers of f. It returns the OSS triggers,
// which have rules across functions.
func (r *reader) triggers(f *Function, list *node) []*objectTrigger {
	if list == nil || list.kind != isList {
		return nil
	}
	if len(list.items) > maxTriggers {
		r.report(list, "%d triggers, a function has at most %d", len(list.items), maxTriggers)
	}
	var objects []*objectTrigger
	names, qualifiers := map[string]bool{}, map[string]string{}
	for _, n := range list.items {
		if !r.check(n, "trigger", triggerShape) || n.kind != isMap {
			continue
		}
		t := Trigger{
			Name: n.get("triggerName").string(), Line: n.line, Type: n.get("triggerType").string(),
			Description: n.get("description").string(), Qualifier: n.get("qualifier").string(),
			SourceARN: n.get("sourceArn").string(), InvocationRole: n.get("invocationRole").string(),
		}
		if t.Qualifier == "" {
			t.Qualifier = "LATEST"
		}
		if t.InvocationRole == "" {
			t.InvocationRole = defaultRoles[t.Type]
		} else if role := n.get("invocationRole"); role.kind == isString {
			r.checkRole(role, "invocationRole")
		}
		if at := n.get("triggerName"); t.Name != "" {
			if !triggerName.MatchString(t.Name) {
				r.report(at, "triggerName %q must be 1 to 128 letters, digits, - and _, and start with a letter or _", t.Name)
			}
			if names[t.Name] {
				r.report(at, "triggerName %s is used twice", t.Name)
			}
			names[t.Name] = true
		}
		r.triggerConfig(&t, n, f)
		if t.HTTP != nil {
			if other := qualifiers[t.Qualifier]; other != "" {
				r.report(n, "trigger %s is a second HTTP trigger of %s beside %s: one is allowed", t.Name, t.Qualifier, other)
			}
			qualifiers[t.Qualifier] = t.Name
		}
		if t.OSS != nil {
			objects = append(objects, &objectTrigger{at: n, function: f.Name, trigger: t})
		}
		f.Triggers = append(f.Triggers, t)
	}
	return objects
}

func (r *reader) triggerConfig(t *Trigger, n *node, f *Function) {
	config, shape := n.get("triggerConfig"), configShapes[t.Type]
	if config == nil || config.kind != isMap || shape == nil {
		return
	}
	r.check(config, t.Type+" triggerConfig", shape)
	switch t.Type {
	case "http":
		t.HTTP = &HTTPTrigger{AuthType: config.get("authType").string(), Methods: config.get("methods").strings()}
		if methods := config.get("methods"); methods != nil && methods.kind == isList && len(methods.items) == 0 {
			r.report(methods, "methods is empty")
		}
		if t.HTTP.AuthType == "jwt" && config.get("authConfig") == nil {
			r.report(config, "authType jwt needs the key authConfig")
		}
	case "timer":
		t.Timer = &TimerTrigger{Cron: config.get("cronExpression").string(), Payload: config.get("payload").string()}
		if enable := config.get("enable"); enable != nil {
			t.Timer.Enable = enable.boolean
		}
		if at := config.get("cronExpression"); at != nil && at.kind == isString {
			if _, err := Schedule(t.Timer.Cron); err != nil {
				r.report(at, "cronExpression %q: %v", t.Timer.Cron, err)
			}
		}
	case "oss":
		key := config.get("filter").get("key")
		t.OSS = &OSSTrigger{Events: config.get("events").strings(),
			Prefix: key.get("prefix").string(), Suffix: key.get("suffix").string()}
		if events := config.get("events"); events != nil && events.kind == isList && len(events.items) == 0 {
			r.report(events, "events is empty")
		}
		t.OSS.Bucket = r.source(n, t, f, "oss", "acs:oss:<region>:<account>:<bucket>", "")
	case "mns_topic":
		t.MNSTopic = &MNSTopicTrigger{ContentFormat: config.get("notifyContentFormat").string(),
			Strategy: config.get("notifyStrategy").string(), FilterTag: config.get("filterTag").string()}
		if len(t.MNSTopic.FilterTag) > 16 {
			r.report(config.get("filterTag"), "filterTag %q is longer than 16 characters", t.MNSTopic.FilterTag)
		}
		t.MNSTopic.Topic = r.source(n, t, f, "mns", "acs:mns:<region>:<account>:/topics/<topic>", "/topics/")
	default:
		f.Ignored = append(f.Ignored, fmt.Sprintf("trigger %s (type %s)", t.Name, t.Type))
	}
}

// source checks a trigger's source ARN and returns the name at its end.
func (r *reader) source(n *node, t *Trigger, f *Function, service, form, prefix string) string {
	at := n.get("sourceArn")
	if at == nil {
		r.report(n, "trigger %s of type %s needs the key sourceArn", t.Name, t.Type)
		return ""
	}
	if at.kind != isString {
		return ""
	}
	s, region, account, rest, ok := arn(at.text)
	name, hasPrefix := strings.CutPrefix(rest, prefix)
	if !ok || s != service || region == "" || account == "" || !hasPrefix || name == "" || strings.Contains(name, "/") {
		r.report(at, "sourceArn %q must be %s", at.text, form)
		return ""
	}
	if region != f.Region && f.Region != "" {
		r.report(at, "sourceArn is in %s, must be in the function's region %s", region, f.Region)
	}
	return name
}

// Schedule parses a timer's expression: "@every" with minutes or hours, at least
// one minute, or six fields with seconds first, in UTC unless CRON_TZ= says
// otherwise.
func Schedule(expression string) (cron.Schedule, error) {
	if strings.HasPrefix(expression, "@") {
		m := everyPeriod.FindStringSubmatch(expression)
		if m == nil || m[1] == "" {
			return nil, fmt.Errorf("must be @every and minutes or hours, such as @every 5m")
		}
		period, err := time.ParseDuration(m[1])
		if err != nil || period < time.Minute {
			return nil, fmt.Errorf("the shortest period is 1m")
		}
		return cron.Every(period), nil
	}
	fields := strings.Fields(expression)
	zone := len(fields) > 0 && strings.HasPrefix(fields[0], "CRON_TZ=")
	if zone {
		fields = fields[1:]
	}
	if len(fields) != 6 {
		return nil, fmt.Errorf("must have 6 fields (second minute hour day month weekday), has %d", len(fields))
	}
	schedule, err := cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(expression)
	if err != nil {
		return nil, err
	}
	if s, ok := schedule.(*cron.SpecSchedule); ok && !zone {
		s.Location = time.UTC
	}
	return schedule, nil
}

// checkObjectTriggers holds the service's rules for the OSS triggers of one
// bucket: at most 10, and no two that one object event could fire, which is when
// their events overlap, one prefix starts with the other and one suffix ends
// with the other.
func (r *reader) checkObjectTriggers(all []*objectTrigger) {
	buckets := map[string]int{}
	for i, b := range all {
		source := b.trigger.SourceARN
		if buckets[source]++; buckets[source] == maxBucketTriggers+1 {
			r.report(b.at, "trigger %s is number %d of bucket %s, which has at most %d", b.trigger.Name,
				buckets[source], b.trigger.OSS.Bucket, maxBucketTriggers)
		}
		for _, a := range all[:i] {
			if a.trigger.SourceARN != source || !overlap(a.trigger.OSS, b.trigger.OSS) {
				continue
			}
			r.report(b.at, "trigger %s of %s overlaps with %s of %s: events, prefix and suffix allow the same object",
				b.trigger.Name, b.function, a.trigger.Name, a.function)
		}
	}
}

func overlap(a, b *OSSTrigger) bool {
	if !strings.HasPrefix(a.Prefix, b.Prefix) && !strings.HasPrefix(b.Prefix, a.Prefix) ||
		!strings.HasSuffix(a.Suffix, b.Suffix) && !strings.HasSuffix(b.Suffix, a.Suffix) {
		return false
	}
	return slices.ContainsFunc(a.Events, func(x string) bool {
		return slices.ContainsFunc(b.Events, func(y string) bool {
			return MatchEvent(x, y) || MatchEvent(y, x)
		})
	})
}

// MatchEvent says whether an event name such as oss:ObjectCreated:PutObject is
// what a trigger asks for, which may end in * .
func MatchEvent(pattern, event string) bool {
	if head, any := strings.CutSuffix(pattern, "*"); any {
		return strings.HasPrefix(event, head)
	}
	return pattern == event
}
