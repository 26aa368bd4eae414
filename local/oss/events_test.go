package oss

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"ecs-image-export/events"

	v2 "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/google/go-cmp/cmp"
)

// inbox takes events, and refuses them while it is closed.
type inbox struct {
	mu      sync.Mutex
	closed  bool
	refused int
	got     []events.ObjectRecord
}

func (b *inbox) deliver(_ context.Context, e events.ObjectEvent) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		b.refused++
		return errors.New("not now")
	}
	b.got = append(b.got, e.Events...)
	return nil
}

func (b *inbox) set(closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = closed
}

func (b *inbox) counts() (got, refused int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.got), b.refused
}

func (b *inbox) names() (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.got {
		out = append(out, e.EventName+" "+e.OSS.Object.Key)
	}
	return out
}

func TestEventsOfEveryWrite(t *testing.T) {
	t.Parallel()
	var box inbox
	c := start(t, func(cfg *Config) { cfg.Deliver = box.deliver })
	client := c.withBucket(t, "data")
	b := v2.Ptr("data")
	_, err := client.PutObject(t.Context(), &v2.PutObjectRequest{Bucket: b, Key: v2.Ptr("p +%ü"), Body: strings.NewReader("0123456789"), ContentType: v2.Ptr("text/x"), Metadata: map[string]string{"a": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	put(t, client, "data", "p +%ü", "0123")
	steps := []func() error{
		func() error {
			_, err := client.CopyObject(t.Context(), &v2.CopyObjectRequest{Bucket: b, Key: v2.Ptr("c"), SourceKey: v2.Ptr("p +%ü")})
			return err
		},
		func() error {
			_, err := client.AppendObject(t.Context(), &v2.AppendObjectRequest{Bucket: b, Key: v2.Ptr("a"), Position: v2.Ptr(int64(0)), Body: strings.NewReader("xyz")})
			return err
		},
		func() error {
			id := initiate(t, client, "data", "m")
			_, err := complete(t, client, "data", "m", id, uploadParts(t, client, "data", "m", id, map[int][]byte{1: []byte("part")}))
			return err
		},
		func() error {
			id := initiate(t, client, "data", "n")
			_, err := client.AbortMultipartUpload(t.Context(), &v2.AbortMultipartUploadRequest{Bucket: b, Key: v2.Ptr("n"), UploadId: &id})
			return err
		},
		func() error {
			_, err := client.PutSymlink(t.Context(), &v2.PutSymlinkRequest{Bucket: b, Key: v2.Ptr("s"), Target: v2.Ptr("a")})
			return err
		},
		func() error {
			_, err := client.DeleteObject(t.Context(), &v2.DeleteObjectRequest{Bucket: b, Key: v2.Ptr("a")})
			return err
		},
		func() error {
			_, err := client.DeleteObject(t.Context(), &v2.DeleteObjectRequest{Bucket: b, Key: v2.Ptr("never was")})
			return err
		},
		func() error {
			_, err := client.DeleteMultipleObjects(t.Context(), &v2.DeleteMultipleObjectsRequest{Bucket: b, Objects: []v2.DeleteObject{{Key: v2.Ptr("c")}, {Key: v2.Ptr("m")}}})
			return err
		},
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	want := []string{
		"ObjectCreated:PutObject p +%ü", "ObjectCreated:PutObject p +%ü", "ObjectCreated:CopyObject c", "ObjectCreated:AppendObject a",
		"ObjectCreated:InitiateMultipartUpload m", "ObjectCreated:UploadPart m", "ObjectCreated:CompleteMultipartUpload m",
		"ObjectCreated:InitiateMultipartUpload n", "ObjectRemoved:AbortMultipartUpload n", "ObjectCreated:PutSymlink s",
		"ObjectRemoved:DeleteObject a", "ObjectRemoved:DeleteObjects c", "ObjectRemoved:DeleteObjects m",
	}
	eventually(t, "every event is delivered", func() bool { n, _ := box.counts(); return n >= len(want) })
	if d := cmp.Diff(want, box.names()); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	e := box.got[0]
	if e.OSS.Object.Size != 10 || e.OSS.Object.DeltaSize != 10 || e.OSS.Object.ETag != "781E5E245D69B566979B86E28D23F2C7" ||
		e.OSS.Bucket.ARN != "acs:oss:cn-hangzhou:"+testAccount+":data" || e.EventSource != "acs:oss" || e.Region != testRegion ||
		e.OSS.Object.ObjectMeta.MimeType != "text/x" || e.OSS.Object.ObjectMeta.UserMeta["x-oss-meta-a"] != "1" ||
		e.RequestParameters.SourceIPAddress != "127.0.0.1" || e.UserIdentity.PrincipalID != testAccount || e.ResponseElements.RequestID == "" {
		t.Errorf("event = %+v", e)
	}
	if d := box.got[1].OSS.Object.DeltaSize; d != -6 {
		t.Errorf("delta of an overwrite = %d", d)
	}
}

func TestEventsAreDeliveredUntilTheyAreTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	box := inbox{closed: true}
	open := func() (*Service, cloud) {
		s, err := Open(Config{Dir: dir, AccountID: testAccount, Region: testRegion, Identities: people{}, Deliver: box.deliver})
		if err != nil {
			t.Fatal(err)
		}
		return s, serve(t, s)
	}
	s, c := open()
	client := c.withBucket(t, "data")
	put(t, client, "data", "1", "")
	eventually(t, "a refusal", func() bool { _, n := box.counts(); return n >= 2 })
	put(t, client, "data", "2", "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n, _ := box.counts(); n != 0 {
		t.Fatalf("%d events came through", n)
	}
	box.set(false)
	s, c = open()
	eventually(t, "events from before the restart", func() bool { n, _ := box.counts(); return n == 2 })
	put(t, c.client(), "data", "3", "")
	eventually(t, "an event from after the restart", func() bool { n, _ := box.counts(); return n == 3 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names := box.names()
	slices.Sort(names)
	if d := cmp.Diff([]string{"ObjectCreated:PutObject 1", "ObjectCreated:PutObject 2", "ObjectCreated:PutObject 3"}, names); d != "" {
		t.Errorf("events: %s", d)
	}
}

// TestARefusedEventHoldsUpNothing: the second event comes through while the
// first is still refused.
func TestARefusedEventHoldsUpNothing(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	c := start(t, func(cfg *Config) {
		cfg.Deliver = func(_ context.Context, e events.ObjectEvent) error {
			mu.Lock()
			defer mu.Unlock()
			key := e.Events[0].OSS.Object.Key
			if key == "poison" {
				return errors.New("never")
			}
			got = append(got, key)
			return nil
		}
	})
	client := c.withBucket(t, "data")
	put(t, client, "data", "poison", "")
	put(t, client, "data", "good", "")
	eventually(t, "the good event", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Equal(got, []string{"good"})
	})
}
