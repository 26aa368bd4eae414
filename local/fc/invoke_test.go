package fc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What a caller gets for each way in which a Go function can end.
func TestEnds(t *testing.T) {
	t.Parallel()
	c := open(t, "fn\ntimeout: 1", nil)
	tests := []struct {
		name, event string
		errorType   string
		want        string // a regular expression
	}{
		{"result", `{"do":"echo","x":[1]}`, "", `^{"do":"echo","x":\[1\]}$`},
		{"raw event that is no JSON", `not json`, unhandledError, `^{"errorMessage":"event: invalid character .*","errorType":"wrapError"}$`},
		{"error", `{"do":"error"}`, unhandledError, `^{"errorMessage":"no","errorType":"errorString"}$`},
		{"panic", `{"do":"panic"}`, unhandledError, `^{"errorMessage":"boom","errorType":"string","stackTrace":\[{`},
		{"alive after a panic", `{}`, "", `^{}$`},
		{"exit", `{"do":"exit"}`, unhandledError,
			`^{"errorMessage":"Process exited unexpectedly before completing request \(duration: \d+ms, maxMemoryUsage: \d+MB\)"}$`},
		{"new instance after an exit", `{}`, "", `^{}$`},
		{"timeout", `{"do":"sleep","ms":60000}`, unhandledError,
			`^{"errorMessage":"Function timed out after 1 seconds \(maxMemoryUsage: \d+MB\)"}$`},
		{"new instance after a timeout", `{}`, "", `^{}$`},
	}
	for _, tt := range tests { // in order: each one follows the one before
		out := c.call("fn", tt.event)
		if out.refused != nil || out.errorType != tt.errorType || !regexp.MustCompile(tt.want).Match(out.payload) {
			t.Errorf("%s: got %q %s %v, want %q %s", tt.name, out.errorType, out.payload, out.refused, tt.errorType, tt.want)
		}
	}
	if n := c.byName["fn"].pool.size(); n != 1 {
		t.Errorf("%d instances, want 1", n)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("FROM_THE_PARENT", "must not be seen")
	c := open(t, "fn\nrole: runner\nmemorySize: 256\nenvironmentVariables: {MINE: a=b, BLANK: ''}", nil)
	out := c.call("fn", `{"do":"environment"}`)
	got := decode[[]string](t, out.payload)
	slices.Sort(got)
	var kept []string
	for _, v := range got {
		if name, _, _ := strings.Cut(v, "="); name == "FC_RUNTIME_API" || name == "FC_INSTANCE_ID" {
			v = name
		}
		kept = append(kept, v)
	}
	want := []string{
		"ALIBABA_CLOUD_ACCESS_KEY_ID=STS.runner.1", "ALIBABA_CLOUD_ACCESS_KEY_SECRET=secret", "ALIBABA_CLOUD_SECURITY_TOKEN=token-fn",
		"BLANK=", "FC_ACCOUNT_ID=" + testAccount, "FC_FUNCTION_HANDLER=main", "FC_FUNCTION_MEMORY_SIZE=256", "FC_FUNCTION_NAME=fn",
		"FC_FUNC_CODE_PATH=" + root + "/code/", "FC_INSTANCE_ID", "FC_REGION=" + testRegion, "FC_RUNTIME_API", "FC_VER_ID=LATEST",
		"HOME=/tmp", "MINE=a=b", "PATH=/usr/local/bin:/usr/bin:/bin", "TZ=UTC"}
	if d := cmp.Diff(want, kept); d != "" {
		t.Error(d)
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	c := open(t, "fn\nrole: runner\ntimeout: 7\nmemorySize: 256", nil)
	out := c.call("fn", `{"do":"context"}`)
	type credentials struct{ AccessKeyId, AccessKeySecret, SecurityToken string }
	got := decode[struct {
		Context struct {
			RequestID   string
			Credentials credentials
			Function    struct {
				Name, Handler, Memory string
				Timeout               int
			}
			Region, AccountId string
			RetryCount        int
		}
		Left float64
	}](t, out.payload)
	if !regexp.MustCompile(`^1-[0-9a-f]{8}-[0-9a-f]{24}$`).MatchString(got.Context.RequestID) {
		t.Errorf("request id %s", got.Context.RequestID)
	}
	if got.Left <= 5 || got.Left > 7 {
		t.Errorf("%v s left of 7", got.Left)
	}
	got.Context.RequestID = ""
	if d := cmp.Diff(credentials{"STS.runner.1", "secret", "token-fn"}, got.Context.Credentials); d != "" {
		t.Error(d)
	}
	if f := got.Context.Function; f.Name != "fn" || f.Handler != "main" || f.Memory != "256" || f.Timeout != 7 {
		t.Errorf("function %+v", f)
	}
	if got.Context.Region != testRegion || got.Context.AccountId != testAccount || got.Context.RetryCount != 0 {
		t.Errorf("context %+v", got.Context)
	}
}

// Credentials are the same until they near their end; then an instance that
// lives on gets new ones with its next request.
func TestCredentialsAreRenewed(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Now()
	c := open(t, "fn\nrole: runner", func(c *Config) {
		c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	key := func() string {
		out := c.call("fn", `{"do":"context"}`)
		return decode[struct {
			Context struct{ Credentials struct{ AccessKeyId string } }
		}](t, out.payload).Context.Credentials.AccessKeyId
	}
	got := []string{key(), key()}
	mu.Lock()
	now = now.Add(56 * time.Minute)
	mu.Unlock()
	got = append(got, key())
	if d := cmp.Diff([]string{"STS.runner.1", "STS.runner.1", "STS.runner.2"}, got); d != "" {
		t.Error(d)
	}
}

func TestRoleThatCannotBeTaken(t *testing.T) {
	t.Parallel()
	c := open(t, "none\nrole: nobody\n---\ntrusts\nrole: invoker", nil)
	for name, want := range map[string]string{
		"none":   "AccessDenied: take role nobody: no such role",
		"trusts": "AccessDenied: take role invoker: role does not trust the caller",
	} {
		if out := c.call(name, `{}`); out.refused == nil || out.refused.Error() != want || out.refused.Status != http.StatusForbidden {
			t.Errorf("%s: got %v, want %s", name, out.refused, want)
		}
	}
	// A stand-in that cannot work, as on a full disk, says so: nobody has to look
	// for a permission that lacks.
	c.ids.mu.Lock()
	c.ids.broken = errors.New("no space left on device")
	c.ids.mu.Unlock()
	if out := c.call("none", `{}`); out.refused == nil || out.refused.Status != http.StatusInternalServerError || out.refused.Error() != "InternalServerError: take role nobody: no space left on device" {
		t.Errorf("on a full disk: %v", out.refused)
	}
}

// Work at the same time runs in instances of its own, up to the limit, and waits
// beyond; an instance never has two requests.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	const limit, calls = 3, 12
	c := open(t, "fn\ntimeout: 30", func(c *Config) { c.MaxInstances = limit })
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			event := fmt.Sprintf(`{"do":"sleep","ms":30,"i":%d}`, i)
			if out := c.call("fn", event); string(out.payload) != event {
				t.Errorf("got %s, want %s", out.payload, event)
			}
		})
	}
	most := 0
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	eventually(t, "all calls", func() bool {
		most = max(most, c.byName["fn"].pool.size())
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	if most != limit {
		t.Errorf("%d instances at once, want %d", most, limit)
	}
}

func TestWaitingEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	c := open(t, "fn\ntimeout: 30", func(c *Config) { c.MaxInstances = 1 })
	first := make(chan outcome, 1)
	go func() { first <- c.call("fn", `{"do":"sleep","ms":300}`) }()
	eventually(t, "the first call runs", func() bool { return c.byName["fn"].pool.size() == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := c.invoke(ctx, c.byName["fn"], request{id: "x"})
	if out.refused == nil || out.refused.Code != "ResourceThrottled" {
		t.Errorf("got %+v", out)
	}
	if out := <-first; out.errorType != "" {
		t.Errorf("first call: %s", out.payload)
	}
}

func TestIdleInstancesEnd(t *testing.T) {
	t.Parallel()
	c := open(t, "fn", func(c *Config) { c.IdleAfter = 20 * time.Millisecond })
	first := string(c.call("fn", `{"do":"pid"}`).payload)
	eventually(t, "the instance ends", func() bool { return c.byName["fn"].pool.size() == 0 })
	if second := string(c.call("fn", `{"do":"pid"}`).payload); second == first {
		t.Errorf("the same process %s again", first)
	}
}

func TestInitializer(t *testing.T) {
	t.Parallel()
	const hook = "\ninstanceLifecycleConfig: {initializer: {handler: x, timeout: 5}}"
	c := open(t, "good"+hook+"\n---\nbad\nenvironmentVariables: {INITIALIZER: panic}"+hook, nil)
	if out := c.call("good", `{}`); out.errorType != "" || string(out.payload) != "{}" {
		t.Errorf("got %q %s", out.errorType, out.payload)
	}
	if out := c.call("bad", `{}`); out.errorType != initializationError || !strings.Contains(string(out.payload), "not today") {
		t.Errorf("got %q %s", out.errorType, out.payload)
	}
}

func TestNoExecutable(t *testing.T) {
	t.Parallel()
	c := open(t, "fn", func(c *Config) { c.Root = c.Dir })
	out := c.call("fn", `{}`)
	if got, want := string(out.payload), `{"errorMessage":"Invalid handler 'main'","errorType":"InvalidHandlerName"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := c.byName["fn"].pool.size(); n != 0 {
		t.Errorf("%d slots taken", n)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	c := open(t, "fn", nil)
	out := c.call("fn", `{"do":"exit"}`)
	if !strings.Contains(string(out.log), "last words\n") {
		t.Errorf("tail %q", out.log)
	}
	r, body := c.get("/_local/functions/fn/log")
	if r.StatusCode != 200 || !regexp.MustCompile(`(?m)^\S+Z c-[0-9a-f]{16} stdout last words$`).MatchString(body) {
		t.Errorf("log %d %s", r.StatusCode, body)
	}
}

// What has no effect here is said once, at the start.
func TestIgnoredIsLogged(t *testing.T) {
	t.Parallel()
	c := open(t, "fn\nvpcConfig: auto", nil)
	if !strings.Contains(c.log.String(), "fc: fn: vpcConfig of s.yaml has no effect here\n") {
		t.Errorf("log %s", c.log)
	}
}

func TestWhatIsNotRunIsRefused(t *testing.T) {
	t.Parallel()
	p := project(t, "fn\nasyncInvokeConfig: {destinationConfig: {onFailure: {destination: acs:mns:cn-hangzhou:1:/queues/q/messages}}}")
	_, err := Open(Config{Dir: t.TempDir(), Project: p, Region: testRegion})
	want := "function fn: the onFailure destination acs:mns:cn-hangzhou:1:/queues/q/messages is not delivered to here, only functions are"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = Open(Config{Dir: t.TempDir(), Project: project(t, "fn"), Region: "cn-beijing"})
	want = "function fn: region cn-hangzhou of s.yaml is not that of this stand-in, cn-beijing"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Two hundred callers at once are all answered, by as many instances as allowed.
func TestTwoHundredCallers(t *testing.T) {
	t.Parallel()
	c := open(t, "web"+webTrigger, func(c *Config) { c.MaxInstances = 4 })
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			resp, err := http.Get(c.http.URL + "/")
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	wg.Wait()
	if n := c.byName["web"].pool.size(); n > 4 {
		t.Errorf("%d instances", n)
	}
}
