package tracker_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"

	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/ram"
	"ecs-image-export/shared/rpc"
)

// clients are those of a cloud that gives one answer to everything.
type clients struct {
	ecs *ecs.Client
	ram *ram.Client
	oss *oss.Bucket
	mns *mns.Client
}

// codeOnly starts a cloud that answers with a code, and counts what it was sent.
func codeOnly(t *testing.T, c export.Code) (clients, *atomic.Int32) {
	t.Helper()
	var requests atomic.Int32
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		if c.Where == export.ServiceOS || c.Where == export.ServiceMN {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(c.Status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>as told</Message><RequestId>r-1</RequestId></Error>", c.Code)
			return
		}
		w.WriteHeader(c.Status)
		fmt.Fprintf(w, `{"Code":%q,"Message":"as told","RequestId":"r-1"}`, c.Code)
	}))
	t.Cleanup(cloud.Close)
	keys := func(context.Context) (rpc.Credentials, error) {
		return rpc.Credentials{ID: "id", Secret: "secret"}, nil
	}
	var all clients
	var errs [4]error
	var objects *oss.Client
	all.ecs, errs[0] = ecs.New(ecs.Config{Region: "cn-hangzhou", Endpoint: cloud.URL, Credentials: keys})
	all.ram, errs[1] = ram.New(ram.Config{Region: "cn-hangzhou", RAMEndpoint: cloud.URL, STSEndpoint: cloud.URL, Credentials: keys})
	all.mns, errs[2] = mns.New(mns.Config{Region: "cn-hangzhou", AccountID: "1234567890123456", Endpoint: cloud.URL, Credentials: keys})
	objects, errs[3] = oss.New(oss.Config{Region: "cn-hangzhou", Endpoint: cloud.URL, Credentials: keys})
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	all.oss = objects.Bucket("image-exports")
	return all, &requests
}

// call is one that a service can answer with its codes.
type call struct {
	name string
	// repeats: it changes nothing, or does no harm when it is made again.
	repeats bool
	do      func(context.Context, clients) error
}

var (
	exportImage = call{"ExportImage", false, func(ctx context.Context, c clients) error {
		_, err := c.ecs.ExportImage(ctx, ecs.ExportRequest{ImageID: "m-1", Bucket: "b"})
		return err
	}}
	describeTasks = call{"DescribeTasks", true, func(ctx context.Context, c clients) error {
		_, err := c.ecs.TasksByImage(ctx, "m-1")
		return err
	}}
	describeTaskAttribute = call{"DescribeTaskAttribute", true, func(ctx context.Context, c clients) error {
		_, err := c.ecs.TaskAttribute(ctx, "t-1")
		return err
	}}
	describeImages = call{"DescribeImages", true, func(ctx context.Context, c clients) error {
		_, err := c.ecs.Image(ctx, "m-1")
		return err
	}}
	cancelTask = call{"CancelTask", true, func(ctx context.Context, c clients) error { return c.ecs.CancelTask(ctx, "t-1") }}
	getRole    = call{"GetRole", true, func(ctx context.Context, c clients) error {
		_, err := c.ram.Role(ctx, "r")
		return err
	}}
	attachPolicy = call{"AttachPolicyToRole", false, func(ctx context.Context, c clients) error {
		return c.ram.EnsureAttached(ctx, "r", ram.System, "p")
	}}
	assumeRole = call{"AssumeRole", true, func(ctx context.Context, c clients) error {
		_, err := c.ram.AssumeRole(ctx, "acs:ram::1:role/r", "session", 0)
		return err
	}}
)

// abort alone meets NoSuchUpload.
const abort = "AbortMultipartUpload"

// callsOf are, by where the table says that a code comes from, the calls that can
// meet it.
var callsOf = map[string][]call{
	export.OpExport:  {exportImage},
	export.OpTasks:   {describeTasks, describeTaskAttribute},
	export.OpCancel:  {cancelTask},
	export.ServiceEC: {exportImage, describeTasks, describeImages, cancelTask},
	export.ServiceRA: {getRole, attachPolicy},
	export.ServiceST: {assumeRole},
	export.ServiceOS: {
		{"GetObject", true, func(ctx context.Context, c clients) error { _, _, err := c.oss.Get(ctx, "k"); return err }},
		{"ListObjects", true, func(ctx context.Context, c clients) error {
			_, err := c.oss.List(ctx, oss.ListOptions{})
			return err
		}},
		{"DeleteObject", true, func(ctx context.Context, c clients) error { return c.oss.Delete(ctx, "k") }},
		{abort, true, func(ctx context.Context, c clients) error {
			return c.oss.Abort(ctx, oss.Upload{Key: "k", ID: "u"})
		}},
		{"PutObject", false, func(ctx context.Context, c clients) error { return c.oss.Create(ctx, "k", nil) }},
		{"AppendObject", false, func(ctx context.Context, c clients) error {
			_, err := c.oss.Append(ctx, "k", 1, []byte("x"))
			return err
		}},
	},
	export.ServiceMN: {
		{"BatchDeleteMessage", true, func(ctx context.Context, c clients) error {
			_, err := c.mns.Queue("q").Delete(ctx, "h")
			return err
		}},
		{"PublishMessage", false, func(ctx context.Context, c clients) error {
			_, err := c.mns.Topic("t").Publish(ctx, "{}", "tag")
			return err
		}},
		{"SendMessage", false, func(ctx context.Context, c clients) error {
			_, err := c.mns.Queue("q").Send(ctx, "{}", 0)
			return err
		}},
	},
}

// taken are the errors of the clients that say: it is there, or gone, or done,
// already; go on from that.
var taken = []error{
	ecs.ErrTaskNotFound, ecs.ErrImageIsExporting,
	oss.ErrNotFound, oss.ErrExists, oss.ErrPosition,
	mns.ErrGone, mns.ErrExists,
}

// open says that nobody knows after err whether the call was carried out.
func open(err error) bool {
	return rpc.Ambiguous(err) || errors.Is(err, oss.ErrUnsettled) || errors.Is(err, mns.ErrUnsettled)
}

// treated is what a client makes of an answer, in the words of the table. The
// clients don't read the table: what they do is their own, and this test is what
// keeps the two together.
func treated(err error, requests int) export.Do {
	if err == nil || open(err) || slices.ContainsFunc(taken, func(e error) bool { return errors.Is(err, e) }) {
		return export.DoAdopt
	}
	if requests > 1 || errors.Is(err, ecs.ErrQuota) || errors.Is(err, ecs.ErrThrottled) || errors.Is(err, mns.ErrThrottled) {
		return export.DoWait
	}
	return export.DoGiveUp
}

// TestCodesAndClients walks the table of codes: a cloud answers every call that can
// meet a code with it, and what the client does and returns must be what the table
// says.
func TestCodesAndClients(t *testing.T) {
	t.Parallel()
	for _, c := range export.Codes {
		t.Run(fmt.Sprint(c.Where, " ", c.Code, " ", c.Status), func(t *testing.T) {
			t.Parallel()
			if len(callsOf[c.Where]) == 0 {
				t.Fatal("no call is made there")
			}
			// What passes by itself is asked again at once, where that does no harm:
			// nobody knows what became of the call, or it came too early.
			unknown := c.Status >= 500 && c.Status != http.StatusNotImplemented || c.Code == "SignatureNonceUsed"
			passes := unknown || c.Limit == export.CallRate
			for _, call := range callsOf[c.Where] {
				if c.Code == "NoSuchUpload" && call.name != abort {
					continue
				}
				cloud, requests := codeOnly(t, c)
				err := call.do(t.Context(), cloud)
				n := int(requests.Load())
				if a, ok := export.Explain(err); err != nil && (!ok || a.Code != c.Code || a.Do != c.Do || a.Remedy != c.Remedy) {
					t.Errorf("%s: the error is explained by %+v: %v", call.name, a, err)
				}
				want := c.Do
				switch {
				case want == export.DoRefuse:
					want = export.DoGiveUp // a client does not tell them apart
				case c.Where == export.OpCancel && want == export.DoWait:
					want = export.DoGiveUp // for this call: see TestCodesOfCancelTask
				case unknown && call.repeats && !rpc.Ambiguous(err) && !errors.Is(err, mns.ErrUnsettled):
					want = export.DoWait // nothing depends on what became of a read
				}
				if got := treated(err, n); got != want {
					t.Errorf("%s: the client treats it as %q after %d requests, the table as %q: %v", call.name, got, n, want, err)
				}
				if again := n > 1; call.repeats && again != passes || call.name == exportImage.name && again {
					t.Errorf("%s: %d requests", call.name, n)
				}
				if refusal, refused := ecs.Refusal(err); refused && (refusal.Code != c.Code || refusal.Message != "as told") {
					t.Errorf("%s: %+v", call.name, refusal)
				}
			}
		})
	}
}

// TestUnknownCodes wants an answer that the table does not know to be treated by
// its class, by the clients as by the table.
func TestUnknownCodes(t *testing.T) {
	t.Parallel()
	for where, calls := range callsOf {
		for status, passes := range map[int]bool{400: false, 403: false, 408: true, 409: false, 429: true, 500: true, 501: false, 502: true, 503: true} {
			t.Run(fmt.Sprint(where, status), func(t *testing.T) {
				t.Parallel()
				c := export.Code{Where: where, Code: "Haunted", Status: status}
				if got := export.CodeOf(where, c.Code, status); got.Passes() != passes {
					t.Errorf("the table says %q", got.Do)
				}
				for _, call := range calls {
					cloud, requests := codeOnly(t, c)
					err := call.do(t.Context(), cloud)
					again := requests.Load() > 1
					if call.repeats && again != passes || call.name == exportImage.name && again {
						t.Errorf("%s: %d requests: %v", call.name, requests.Load(), err)
					}
					if !call.repeats && open(err) != (passes && status != http.StatusTooManyRequests) {
						t.Errorf("%s: %v", call.name, err)
					}
				}
			})
		}
	}
}
