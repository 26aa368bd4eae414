package record_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/cloud/cloudtest"
	"ecs-image-export/local/ecs/sample"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/record"
	"ecs-image-export/shared/record/recordtest"
	"ecs-image-export/shared/rpc"
)

// bucket is the records bucket of a stand-in, reached through transport.
func bucket(t *testing.T, environment map[string]string, transport http.RoundTripper) *oss.Bucket {
	t.Helper()
	client, err := oss.New(oss.Config{
		Region: environment["REGION"], Endpoint: environment["OSS_ENDPOINT"], Transport: transport,
		Credentials: func(context.Context) (rpc.Credentials, error) {
			return rpc.Credentials{ID: environment["ACCESS_KEY_ID"], Secret: environment["ACCESS_KEY_SECRET"], Token: environment["SECURITY_TOKEN"]}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client.Bucket(environment["RECORDS_BUCKET"])
}

func standIn(t *testing.T) map[string]string {
	t.Helper()
	images := t.TempDir()
	if _, err := sample.Small(images, 1); err != nil {
		t.Fatal(err)
	}
	return cloudtest.Environment(cloudtest.Start(t, cloud.Options{Images: images}))
}

func TestStandIn(t *testing.T) {
	t.Parallel()
	environment := standIn(t)
	b := bucket(t, environment, nil)
	t.Run("suite", func(t *testing.T) { recordtest.Run(t, b) })
	t.Run("queue", func(t *testing.T) { recordtest.Queue(t, b) })
	t.Run("versioned", func(t *testing.T) {
		enableVersioning(t, environment)
		recordtest.Versioned(t, b)
	})
}

// TestTooLong wants a log that is longer than anybody reads to be one that can't be
// read: it is parked, and holds up nobody.
func TestTooLong(t *testing.T) {
	t.Parallel()
	environment := standIn(t)
	client, err := oss.New(oss.Config{
		Region: environment["REGION"], Endpoint: environment["OSS_ENDPOINT"], MaxObject: 100,
		Credentials: func(context.Context) (rpc.Credentials, error) {
			return rpc.Credentials{ID: environment["ACCESS_KEY_ID"], Secret: environment["ACCESS_KEY_SECRET"]}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	store, id := record.New(client.Bucket(environment["RECORDS_BUCKET"]), time.Now), export.NewID(time.Now())
	line := export.Line{State: export.Requested, Request: &export.Request{ImageName: strings.Repeat("a", 100)}}
	if _, err := store.Append(t.Context(), record.Empty(id), "n", line); err != nil {
		t.Fatal(err)
	}
	var call *oss.Error
	if _, err := store.Load(t.Context(), id); !errors.Is(err, record.ErrUnreadable) || errors.As(err, &call) {
		t.Errorf("%v, want %v, and no call to repeat", err, record.ErrUnreadable)
	}
}

// TestLongQueue wants all of a queue that is longer than one page of a listing, also
// where a page ends between a place and its standing aside.
func TestLongQueue(t *testing.T) {
	t.Parallel()
	store := record.New(bucket(t, standIn(t), nil), time.Now)
	const n = 1005
	first := time.Now().UTC().Truncate(time.Millisecond)
	var want []export.Waiting
	var group errgroup.Group
	group.SetLimit(16)
	for i := range n {
		w := export.Waiting{ID: export.NewID(first), Arrived: first.Add(time.Duration(i) * time.Millisecond)}
		aside := i == 999 // the last key of the first page is its place
		group.Go(func() error {
			err := store.Join(t.Context(), w)
			if err == nil && aside {
				err = store.StandAside(t.Context(), w, "m-1")
			}
			return err
		})
		want = append(want, w)
		if aside {
			want[i].ImageID = "m-1"
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	q, err := store.Queue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, q.Waiting); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSlowClock wants no line of a log to be earlier than the one before, whatever
// the clock of its writer says.
func TestSlowClock(t *testing.T) {
	t.Parallel()
	b := bucket(t, standIn(t), nil)
	now := time.Now().UTC().Truncate(time.Millisecond)
	quick, slow := record.New(b, func() time.Time { return now }), record.New(b, func() time.Time { return now.Add(-time.Minute) })
	log, err := quick.Append(t.Context(), record.Empty(export.NewID(now)), "a", export.Line{State: export.Requested, Request: &export.Request{}})
	if err == nil {
		log, err = slow.Append(t.Context(), log, "b", export.Line{State: export.Queued, Delay: &export.Delay{}})
	}
	if err != nil || !log.UpdatedAt.Equal(now) {
		t.Errorf("the second line is of %v, the first of %v, %v", log.UpdatedAt, now, err)
	}
}

// TestReal runs the suite against OSS where a bucket is named: it needs REGION,
// ACCESS_KEY_ID, ACCESS_KEY_SECRET and RECORDTEST_BUCKET, a bucket for nothing
// else.
func TestReal(t *testing.T) {
	name := os.Getenv("RECORDTEST_BUCKET")
	if name == "" {
		t.Skip("RECORDTEST_BUCKET names no bucket of a real account")
	}
	environment := map[string]string{"RECORDS_BUCKET": name}
	for _, k := range []string{"REGION", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN"} {
		environment[k] = os.Getenv(k)
	}
	b := bucket(t, environment, nil)
	recordtest.Run(t, b)
	recordtest.Queue(t, b)
}

// cut loses the answers to some appends, or the appends themselves.
type cut struct {
	next   http.RoundTripper
	answer bool         // carried out, the answer is lost
	left   atomic.Int32 // how many are still to be lost
}

func (c *cut) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.Contains(req.URL.RawQuery, "append") || c.left.Add(-1) < 0 {
		return c.next.RoundTrip(req)
	}
	if c.answer {
		resp, err := c.next.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	return nil, errors.New("connection reset")
}

func TestLostAppends(t *testing.T) {
	t.Parallel()
	environment := standIn(t)
	for name, lost := range map[string]*cut{
		"an answer is lost":         {answer: true},
		"an append is lost":         {},
		"two appends are lost":      {},
		"the first answer and more": {answer: true},
	} {
		lost.next = http.DefaultTransport
		lost.left.Store(1)
		if strings.Contains(name, "two") {
			lost.left.Store(2)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := record.New(bucket(t, environment, lost), time.Now)
			log, err := store.Append(t.Context(), record.Empty(export.NewID(time.Now())), "me",
				export.Line{State: export.Requested, Request: &export.Request{ImageID: "m-test"}})
			if err != nil {
				t.Fatal(err)
			}
			again, err := store.Load(t.Context(), log.ID)
			if err != nil {
				t.Fatal(err)
			}
			if again.Seq() != 1 || again.Lines[0].Nonce != "me" {
				t.Errorf("the log has %d lines", again.Seq())
			}
			if _, err := store.Append(t.Context(), log, "me", export.Line{State: export.Requested}); err != nil {
				t.Errorf("going on from what Append returned: %v", err)
			}
		})
	}
	t.Run("an answer is lost and somebody goes on", func(t *testing.T) {
		t.Parallel()
		lost := &cut{answer: true, next: http.DefaultTransport}
		store := record.New(bucket(t, environment, lost), time.Now)
		id := export.NewID(time.Now())
		log, err := store.Append(t.Context(), record.Empty(id), "me", export.Line{State: export.Requested, Request: &export.Request{ImageID: "m-test"}})
		if err != nil {
			t.Fatal(err)
		}
		other, err := store.Append(t.Context(), log, "other", export.Line{State: export.Requested, Reason: "other"})
		if err != nil {
			t.Fatal(err)
		}
		lost.left.Store(1)
		if _, err := store.Append(t.Context(), log, "me", export.Line{State: export.Requested, Reason: "late"}); !errors.Is(err, record.ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
		if got, _ := store.Load(t.Context(), id); got.Seq() != other.Seq() {
			t.Errorf("the log has %d lines, want %d", got.Seq(), other.Seq())
		}
	})
}

// enableVersioning does what no program of ours does.
func enableVersioning(t *testing.T, environment map[string]string) {
	t.Helper()
	client, err := sdk.New(environment["OSS_ENDPOINT"], environment["ACCESS_KEY_ID"], environment["ACCESS_KEY_SECRET"],
		sdk.AuthVersion(sdk.AuthV4), sdk.Region(environment["REGION"]))
	if err == nil {
		err = client.SetBucketVersioning(environment["RECORDS_BUCKET"], sdk.VersioningConfig{Status: "Enabled"})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestLostClaims wants a claim whose answer, or which itself, got lost to be made
// once, and to be told from somebody else's.
func TestLostClaims(t *testing.T) {
	t.Parallel()
	environment := standIn(t)
	for name, answer := range map[string]bool{"the answer is lost": true, "the claim is lost": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lost := &cut{answer: answer, next: http.DefaultTransport}
			store := record.New(bucket(t, environment, lost), time.Now)
			what := record.IdempotencyKey(record.Digest(name))
			lost.left.Store(1)
			first, err := store.SetClaim(t.Context(), what, record.Claimed{}, record.Claim{ID: "first", At: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := store.Claim(t.Context(), what); err != nil || got != first {
				t.Errorf("got %+v, %v, want %+v", got, err, first)
			}
			lost.left.Store(1)
			if _, err := store.SetClaim(t.Context(), what, record.Claimed{}, record.Claim{ID: "late", At: time.Now()}); !errors.Is(err, record.ErrLost) {
				t.Errorf("after somebody else: %v, want ErrLost", err)
			}
			if got, err := store.Claim(t.Context(), what); err != nil || got != first {
				t.Errorf("got %+v, %v, want %+v", got, err, first)
			}
		})
	}
}
