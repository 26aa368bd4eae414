package rpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	localrpc "ecs-image-export/local/rpc"

	"ecs-image-export/local/identity"
	"ecs-image-export/shared/rpc"
)

func static(context.Context) (rpc.Credentials, error) {
	return rpc.Credentials{ID: "LTAIkey", Secret: "very-secret", Token: "the+token/=="}, nil
}

func client(t *testing.T, endpoint string, change func(*rpc.Config)) *rpc.Client {
	t.Helper()
	cfg := rpc.Config{
		Product: "Ecs", Version: "2014-05-26", Endpoint: endpoint, Region: "cn-hangzhou",
		Credentials: static, Timeout: time.Minute, Backoff: time.Millisecond,
	}
	if change != nil {
		change(&cfg)
	}
	c, err := rpc.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve answers each request with the next of the functions, and with the last
// of them from then on. It returns how many came.
func serve(t *testing.T, answers ...http.HandlerFunc) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var count atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(count.Add(1))
		answers[min(n, len(answers))-1](w, r)
	}))
	t.Cleanup(s.Close)
	return s, &count
}

func say(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// cut breaks the connection without an answer.
func cut(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// halve breaks the connection within the answer.
func halve(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"TaskId":`)
	_ = http.NewResponseController(w).Flush()
	cut(w, nil)
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

const good = `{"RequestId":"R","TaskId":"t-1"}`

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer   http.HandlerFunc
		want     string // refused, ambiguous, not sent or ""
		code     string
		says     string
		throttle bool
	}{
		"success":               {say(200, good), "", "", "", false},
		"refusal":               {say(403, `{"RequestId":"R","HostId":"h","Code":"ImageIsExporting","Message":"Wait.","Recommend":"x"}`), "refused", "ImageIsExporting", "Wait.", false},
		"throttling":            {say(400, `{"Code":"Throttling.User","Message":"Slow."}`), "refused", "Throttling.User", "", true},
		"429":                   {say(429, `busy`), "refused", "", "busy", true},
		"a proxy's page":        {say(403, `<html>no</html>`), "refused", "", "<html>no</html>", false},
		"code as a number":      {say(400, `{"Code":404,"Message":{"a":1},"RequestId":7}`), "refused", "404", `{"a":1}`, false},
		"detail as text":        {say(403, `{"Code":"Forbidden.RAM","Message":"No.","AccessDeniedDetail":"text"}`), "refused", "Forbidden.RAM", "No.", false},
		"a list":                {say(400, `[1,2]`), "refused", "", "[1,2]", false},
		"not built":             {say(501, `{"Code":"NotImplemented","Message":"x"}`), "refused", "NotImplemented", "", false},
		"service unavailable":   {say(503, `{"Code":"ServiceUnavailable","Message":"x"}`), "ambiguous", "ServiceUnavailable", "", false},
		"gateway's page":        {say(502, `<html>bad gateway</html>`), "ambiguous", "", "bad gateway", false},
		"code as a number, 500": {say(500, `{"Code":500,"Message":null}`), "ambiguous", "500", "", false},
		"request timeout":       {say(408, ``), "ambiguous", "", "", false},
		"redirection": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
		}, "ambiguous", "", "status 307", false},
		"garbage":                     {say(200, `<html>welcome</html>`), "ambiguous", "", "not JSON", false},
		"nothing":                     {say(200, ``), "ambiguous", "", "not JSON", false},
		"JSON of another shape":       {say(200, `{"RequestId":"R","TaskId":{}}`), "ambiguous", "", "decode the answer", false},
		"connection cut":              {cut, "ambiguous", "", "", false},
		"connection cut in an answer": {halve, "ambiguous", "", "read the answer", false},
		"hang":                        {hang, "ambiguous", "", "deadline exceeded", false},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}, "ambiguous", "", "larger than", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, count := serve(t, c.answer)
			timeout := 10 * time.Second
			if name == "hang" {
				timeout = 300 * time.Millisecond
			}
			var out struct {
				TaskID string `json:"TaskId"`
			}
			err := client(t, s.URL, func(cfg *rpc.Config) { cfg.Timeout = timeout }).
				Call(t.Context(), "ExportImage", map[string]string{"ImageId": "m-1"}, &out)
			_, refused := rpc.Refused(err)
			got := map[bool]string{refused: "refused", rpc.Ambiguous(err): "ambiguous", rpc.NotSent(err): "not sent"}[true]
			if got != c.want {
				t.Fatalf("%v: %q, want %q", err, got, c.want)
			}
			if count.Load() != 1 {
				t.Errorf("%d requests", count.Load())
			}
			if c.want == "" {
				if out.TaskID != "t-1" {
					t.Errorf("decoded %+v", out)
				}
				return
			}
			var e *rpc.Error
			if !errors.As(err, &e) || e.Code != c.code || e.Action != "ExportImage" || !strings.Contains(err.Error(), c.says) || rpc.Throttled(err) != c.throttle {
				t.Errorf("got %#v: %v", e, err)
			}
			for _, secret := range []string{"very-secret", "the+token", "the%2Btoken", "Signature=", "SecurityToken"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows %q: %v", secret, err)
				}
			}
		})
	}
}

func TestASignatureErrorHidesWhatWasSigned(t *testing.T) {
	t.Parallel()
	s, _ := serve(t, say(400, `{"Code":"SignatureDoesNotMatch","Message":"Specified signature is not matched with our calculation. server string to sign is:POST&%2F&SecurityToken%3Dthe"}`))
	err := client(t, s.URL, nil).Call(t.Context(), "ExportImage", nil, nil)
	if err == nil || strings.Contains(err.Error(), "SecurityToken") || !strings.Contains(err.Error(), "not matched") {
		t.Errorf("got %v", err)
	}
}

func TestWhatNeverLeft(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s, count := serve(t, say(200, good))
	lost := errors.New("no credentials today")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx      context.Context
		endpoint string
		change   func(*rpc.Config)
		is       error
	}{
		"nobody listens": {t.Context(), closed, nil, nil},
		"no TLS there":   {t.Context(), strings.Replace(s.URL, "http", "https", 1), nil, nil},
		"no credentials": {t.Context(), s.URL, func(c *rpc.Config) {
			c.Credentials = func(context.Context) (rpc.Credentials, error) { return rpc.Credentials{}, lost }
		}, lost},
		"canceled before":  {canceled, s.URL, nil, context.Canceled},
		"region of no use": {t.Context(), s.URL, func(c *rpc.Config) { c.Region = "a b" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := client(t, c.endpoint, c.change).Call(c.ctx, "ExportImage", nil, nil)
			if !rpc.NotSent(err) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v", err)
			}
		})
	}
	if count.Load() != 0 {
		t.Errorf("%d requests arrived", count.Load())
	}
}

func TestCancelling(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, count := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	err := client(t, s.URL, nil).Call(ctx, "DescribeTasks", nil, nil, rpc.Read)
	if !errors.Is(err, context.Canceled) || !rpc.Ambiguous(err) {
		t.Errorf("got %v", err)
	}
	if count.Load() != 1 {
		t.Errorf("%d requests", count.Load())
	}
}

func TestReadsAreTriedAgain(t *testing.T) {
	t.Parallel()
	throttled, ok := say(400, `{"Code":"Throttling","Message":"Slow."}`), say(200, good)
	for name, c := range map[string]struct {
		answers []http.HandlerFunc
		count   int32
		fails   bool
	}{
		"throttled":     {[]http.HandlerFunc{throttled, throttled, ok}, 3, false},
		"5xx":           {[]http.HandlerFunc{say(503, "x"), say(500, "{}"), say(502, ""), ok}, 4, false},
		"cut":           {[]http.HandlerFunc{cut, halve, ok}, 3, false},
		"garbage":       {[]http.HandlerFunc{say(200, "x"), ok}, 2, false},
		"refused":       {[]http.HandlerFunc{say(404, `{"Code":"InvalidImageId.NotFound"}`), ok}, 1, true},
		"every time":    {[]http.HandlerFunc{throttled}, 4, true},
		"not built":     {[]http.HandlerFunc{say(501, `{}`), ok}, 1, true},
		"after garbage": {[]http.HandlerFunc{say(200, "x"), say(403, `{"Code":"Forbidden.RAM"}`)}, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, count := serve(t, c.answers...)
			err := client(t, s.URL, nil).Call(t.Context(), "DescribeTasks", nil, nil, rpc.Read)
			if (err != nil) != c.fails || count.Load() != c.count {
				t.Errorf("%d requests, %v", count.Load(), err)
			}
		})
	}
}

func TestEachTryIsSignedAnew(t *testing.T) {
	t.Parallel()
	var seen sync.Map
	s, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, twice := seen.LoadOrStore(r.URL.Query().Get("SignatureNonce"), true); twice {
			t.Error("a nonce came twice")
		}
		w.WriteHeader(503)
	})
	_ = client(t, s.URL, nil).Call(t.Context(), "DescribeTasks", nil, nil, rpc.Read)
}

func TestNoTryBeginsAfterTheDeadline(t *testing.T) {
	t.Parallel()
	s, count := serve(t, say(503, "x"))
	// The first wait would be 2.5 seconds at least.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := client(t, s.URL, func(c *rpc.Config) { c.Backoff = time.Hour }).Call(ctx, "DescribeTasks", nil, nil, rpc.Read)
	if err == nil || ctx.Err() != nil || count.Load() != 1 {
		t.Errorf("%d requests, context %v: %v", count.Load(), ctx.Err(), err)
	}
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	var got url.Values
	var method, connection string
	s, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		method, got, connection = r.Method, r.URL.Query(), r.Header.Get("Connection")
		_, _ = io.WriteString(w, good)
	})
	err := client(t, s.URL, nil).Call(t.Context(), "ExportImage", map[string]string{"ImageId": "m-1", "RoleName": "", "OSSPrefix": "a+ b"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Signature", "SignatureNonce", "Timestamp"} {
		if got.Get(name) == "" {
			t.Errorf("no %s", name)
		}
		got.Del(name)
	}
	want := url.Values{
		"Action": {"ExportImage"}, "Version": {"2014-05-26"}, "Format": {"JSON"}, "RegionId": {"cn-hangzhou"},
		"ImageId": {"m-1"}, "OSSPrefix": {"a+ b"}, "AccessKeyId": {"LTAIkey"}, "SecurityToken": {"the+token/=="},
		"SignatureMethod": {"HMAC-SHA1"}, "SignatureVersion": {"1.0"}, "SignatureType": {""},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// A call that may be made once only gets a connection of its own.
	if method != "POST" || connection != "close" {
		t.Errorf("%s, connection %q", method, connection)
	}
}

func TestConnections(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	from := map[string]int{}
	s, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		from[r.RemoteAddr]++
		mu.Unlock()
		_, _ = io.WriteString(w, good)
	})
	c := client(t, s.URL, nil)
	for _, options := range [][]rpc.Option{{rpc.Read}, {rpc.Read}, {rpc.Read}, nil, nil, nil} {
		if err := c.Call(t.Context(), "DescribeTasks", nil, nil, options...); err != nil {
			t.Fatal(err)
		}
	}
	// One for the reads and one for each other call.
	if len(from) != 4 {
		t.Errorf("connections: %v", from)
	}
}

func TestTheEnvironmentsProxyListMayHoldAnything(t *testing.T) {
	t.Setenv("NO_PROXY", "[::1,*,+")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1/")
	s, _ := serve(t, say(200, good))
	if err := client(t, s.URL, nil).Call(t.Context(), "DescribeTasks", nil, nil); err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	valid := rpc.Config{Product: "Ecs", Version: "v", Region: "r", Credentials: static}
	for name, change := range map[string]func(*rpc.Config){
		"no product":     func(c *rpc.Config) { c.Product = "" },
		"no region":      func(c *rpc.Config) { c.Region = "" },
		"no credentials": func(c *rpc.Config) { c.Credentials = nil },
		"bare host":      func(c *rpc.Config) { c.Endpoint = "127.0.0.1:9083" },
		"path":           func(c *rpc.Config) { c.Endpoint = "http://127.0.0.1/x" },
		"scheme":         func(c *rpc.Config) { c.Endpoint = "ftp://127.0.0.1" },
	} {
		cfg := valid
		change(&cfg)
		if _, err := rpc.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := rpc.New(valid); err != nil {
		t.Error(err)
	}
}

type owner struct{}

func (owner) Identify(key, token string) (*identity.Identity, error) {
	return &identity.Identity{AccountID: "1", Root: true, Credentials: identity.Credentials{AccessKeyID: key, AccessKeySecret: "very-secret"}}, nil
}

// The stand-in checks every signature and that no nonce comes twice.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(&localrpc.Service{
		Product: "Ecs", Version: "2014-05-26", Identities: owner{},
		Actions: []localrpc.Action{{Name: "Echo", Do: func(_ context.Context, r *localrpc.Request) (any, error) {
			return map[string]string{"Said": r.Get("Say")}, nil
		}}},
	})
	t.Cleanup(s.Close)
	c := client(t, s.URL, nil)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for j := range 4 {
				want := strings.Repeat("é +*/", i+1)
				var out struct{ Said string }
				var options []rpc.Option
				if j%2 == 0 {
					options = append(options, rpc.Read)
				}
				if err := c.Call(t.Context(), "Echo", map[string]string{"Say": want}, &out, options...); err != nil || out.Said != want {
					t.Errorf("said %q: %v", out.Said, err)
				}
			}
		})
	}
	wg.Wait()
}
